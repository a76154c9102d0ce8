//! When a look is due, and what it is about.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelDeployment;
use plimsoll_stats::Verdict;

use super::fixtures::at;
use super::stories::serving_one;
use super::world::World;
use crate::deployment::looks::{Clock, due, next_in};
use crate::deployment::rules::Rules;

fn rules(deployment: &ModelDeployment) -> Rules {
    Rules::read(&deployment.spec)
}

fn clock(looked_at: Option<i64>, poked: bool, now: Timestamp) -> Clock {
    Clock { looked_at: looked_at.map(at), poked, now }
}

/// In the first pause, at 10 %.
fn pausing() -> World {
    let mut world = serving_one();
    while world.status().candidate.is_none_or(|candidate| candidate.step != 1) {
        world.pass();
    }
    world
}

#[test]
fn looks_are_due_each_interval_after_a_pause_and_on_an_alert() {
    let world = pausing();
    let begun = world.status().candidate.unwrap().step_started_at.0.as_second();
    let is_due = |looked_at, poked, after| due(&world.deployment, &rules(&world.deployment), clock(looked_at, poked, at(begun + after))).is_some();
    let table = [
        ("right after the step began", None, false, 1, false),
        ("an interval later", None, false, 15, true),
        ("an interval after the last look", Some(begun + 15), false, 29, false),
        ("an interval after the last look", Some(begun + 15), false, 30, true),
        ("an alert", Some(begun + 15), true, 16, true),
        ("the pause ended since the last look", Some(begun + 119), false, 120, true),
        ("the pause ended, and that was seen", Some(begun + 120), false, 121, false),
    ];
    for (name, looked_at, poked, after, expected) in table {
        assert_eq!(is_due(looked_at, poked, after), expected, "{name}");
    }
    let look = due(&world.deployment, &rules(&world.deployment), clock(None, true, at(begun))).unwrap();
    assert_eq!(Some(look.of.stable.revision), world.status().stable.map(|stable| stable.reference.revision));
    assert_eq!((look.of.candidate.since, look.of.stable.since, look.checks.len()), (at(begun), at(begun), 2));
}

/// What has no traffic counts nothing new: it is compared by what it did when it last had some.
#[test]
fn who_gets_no_traffic_any_more_is_compared_by_its_last_traffic() {
    let about = |world: &World| due(&world.deployment, &rules(&world.deployment), clock(None, true, at(world.now))).map(|look| look.of);
    let mut world = serving_one();
    let mut shared = None;
    while world.status().previous.is_none() {
        shared = about(&world).or(shared);
        world.run(1);
    }
    let (shared, baked) = (shared.unwrap(), about(&world).unwrap());
    assert_eq!(baked.candidate.revision, shared.candidate.revision);
    assert_eq!(baked.stable, shared.stable, "the counts of the last step in which both had traffic");
    assert!(baked.candidate.since > shared.stable.since);

    let mut world = serving_one();
    world.deployment.spec.strategy.canary.steps = serde_json::from_value(serde_json::json!([{"setWeight": 100}, {"pause": {"duration": "2m"}}])).unwrap();
    while world.status().candidate.is_none_or(|candidate| candidate.step != 1) {
        world.pass();
    }
    let (of, status) = (about(&world).unwrap(), world.status());
    let started = status.candidate.unwrap().started_at.0;
    assert!(of.stable.since <= started, "nothing was ever shared: what it did before the rollout");
    assert!(of.stable.since >= status.stable.unwrap().since.0);
}

#[test]
fn nobody_looks_where_there_is_nothing_to_see() {
    let mut idle = serving_one();
    idle.observed.approvals.truncate(1);
    idle.run(60);
    let mut decided = pausing();
    decided.outage = Some(Verdict::Fail);
    decided.poked = true;
    decided.pass();
    let mut unchecked = pausing();
    unchecked.deployment.spec.strategy.canary.checks.clear();
    for (name, world) in [("idle", idle), ("a verdict waits", decided), ("no checks", unchecked)] {
        let (rules, clock) = (rules(&world.deployment), clock(None, true, at(world.now + 3_600)));
        assert!(due(&world.deployment, &rules, clock).is_none(), "{name}");
        assert_eq!(next_in(&world.status(), &rules, clock), None, "{name}");
    }
}
