//! From any state, passes come to rest; and a pass that is cut off anywhere leads to the same end.

use proptest::prelude::*;
use serde_json::Value;

use super::invariants::{happen, happening};
use super::stories::serving_one;
use super::world::World;
use crate::deployment::children::kind;

/// What a rollout leaves, without what depends on when and how often something was tried.
fn outcome(world: &World) -> (Vec<Value>, Vec<Option<String>>, Vec<String>) {
    let mut children: Vec<Value> = world.observed.children.iter().filter(|child| kind(child) != "ConfigMap").cloned().collect();
    for child in &mut children {
        child["metadata"]["uid"] = Value::Null;
        child["metadata"]["generation"] = Value::Null;
        child["status"] = Value::Null;
        child["revision"] = Value::Null;
    }
    children.sort_by_key(|child| (child["kind"].to_string(), child["metadata"]["name"].to_string()));
    let status = world.status();
    let versions = vec![
        status.stable.map(|stable| stable.reference.revision),
        status.candidate.map(|candidate| candidate.reference.revision),
        status.previous.map(|previous| previous.reference.revision),
    ];
    let decisions = status.decisions.iter().map(|decision| format!("{} {}", decision.what, decision.revision)).collect();
    (children, versions, decisions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn passes_come_to_rest_from_any_state(happenings in proptest::collection::vec(happening(), 1..40)) {
        let mut world = World::new("Latest", &[1]);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        world.settle();
        world.run(20_000);
        let before = world.status();
        let plan = world.pass();
        prop_assert_eq!(plan.changes, vec![]);
        prop_assert_eq!(plan.status, before);
    }
}

#[test]
fn a_crash_between_any_two_writes_leads_to_the_same_end() {
    let mut undisturbed = serving_one();
    undisturbed.run(5_000);
    let expected = outcome(&undisturbed);
    let mut crashes = 0;
    for pass in 0..40 {
        for writes in 0..16 {
            let mut world = serving_one();
            for _ in 0..pass {
                advance(&mut world);
            }
            let plan = world.clone().pass();
            if writes > plan.changes.len() {
                continue;
            }
            crashes += 1;
            world.pass_until(writes);
            world.observed.looked_at = None;
            world.settle();
            world.run(5_000);
            assert_eq!(outcome(&world), expected, "crash in pass {pass} after {writes} writes");
        }
    }
    println!("{crashes} crash points");
    assert!(crashes >= 40, "{crashes}");
}

/// One pass, and the time that it asks for.
fn advance(world: &mut World) {
    use crate::deployment::plan::Wake;
    if let Wake::After(left) = world.pass().wake {
        world.now += i64::try_from(left.as_millis().div_ceil(1_000)).unwrap();
    }
}
