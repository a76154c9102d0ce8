//! What an ABTest does to routes, pods and rollouts, and what happens when it ends in any way.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_crds::ab_test::{OnWinner, TestVerdict};
use plimsoll_crds::condition::{ConditionType, find};
use plimsoll_crds::model_approval::Decision;
use plimsoll_crds::{ABTest, ABTestStatus, ModelDeployment};
use proptest::prelude::*;

use super::fixtures::{ab_test, approval, outcomes, version_name};
use super::world::World;
use crate::deployment::children::{kind, name};
use crate::deployment::routes::TestRoute;

/// Version 1 serves and collects outcomes; version 2 is there, and somebody tests it.
fn tested() -> World {
    let mut world = World::new("Latest", &[1]);
    world.deployment.spec.outcomes = Some(outcomes());
    world.run(600);
    world.observed.tests.push(ab_test(1, 2));
    world
}

fn route(world: &World) -> Option<TestRoute> {
    world.routes().and_then(|routes| routes.test)
}

/// Variants by version number.
fn answering(world: &World) -> BTreeMap<String, String> {
    let records = world.observed.records();
    let version = |revision: &str| records.iter().find(|record| record.reference.revision == revision).map(|record| record.reference.model_version.clone());
    route(world).iter().flat_map(|test| &test.variants).map(|variant| (variant.name.clone(), version(&variant.revision).unwrap_or_default())).collect()
}

fn end(world: &mut World, verdict: TestVerdict, winner: Option<&str>) {
    world.observed.tests[0].status = Some(ABTestStatus { verdict: Some(verdict), winner: winner.map(str::to_owned), ..ABTestStatus::default() });
}

fn models(world: &World) -> usize {
    world
        .observed
        .children
        .iter()
        .filter(|child| kind(child) == "Deployment" && !name(child).ends_with("router") && !name(child).ends_with("evaluator"))
        .count()
}

fn waiting_for(world: &World) -> String {
    world.status().test.and_then(|test| test.waiting_for).unwrap_or_default()
}

#[test]
fn i2_users_are_assigned_when_the_treatment_is_approved_and_ready() {
    let mut world = tested();
    world.run(600);
    assert!(route(&world).is_none() && waiting_for(&world).starts_with("treatment: "), "{}", waiting_for(&world));
    assert_eq!(models(&world), 2, "the treatment's pods are there before it has traffic");
    world.approve(2);
    world.run(600);
    let expected = [("newer.test-uid.control", 1), ("newer.test-uid.treatment", 2)].map(|(name, number)| (name.to_owned(), version_name(number)));
    assert_eq!(answering(&world), expected.into());
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]), "calls that are in no test meet the stable revision");
    assert_eq!((route(&world).unwrap().seed.as_str(), world.status().test.unwrap().splitting), ("test-uid", true));
}

#[test]
fn users_are_assigned_when_the_pods_are_ready_and_not_before() {
    let mut world = tested();
    world.approve(2);
    world.pass();
    let revision = world.status().test.unwrap().variants[1].reference.revision.clone();
    world.broken.push(revision);
    world.settle();
    world.run(600);
    assert!(route(&world).is_none() && waiting_for(&world).contains("not ready"), "{}", waiting_for(&world));
    world.broken.clear();
    world.settle();
    world.run(600);
    assert!(route(&world).is_some());
    // Pods that are lost later stop nothing: routers answer for them.
    world.broken.push(world.status().test.unwrap().variants[1].reference.revision.clone());
    world.settle();
    world.run(600);
    assert!(route(&world).is_some());
}

#[test]
fn routers_of_a_release_that_knows_no_tests_are_not_taken_at_their_word() {
    let mut world = tested();
    world.old_routers = true;
    world.approve(2);
    world.run(600);
    assert!(route(&world).is_some() && !world.status().routes.unwrap().verified);
    world.old_routers = false;
    world.settle();
    world.run(60);
    assert!(world.status().routes.unwrap().verified);
}

#[test]
fn an_aa_test_starts_no_pods() {
    let mut world = tested();
    world.observed.tests = vec![ab_test(1, 1)];
    world.run(600);
    let test = route(&world).unwrap();
    assert_eq!((test.variants[0].revision == test.variants[1].revision, models(&world)), (true, 1));
}

#[test]
fn nothing_is_rolled_out_while_a_test_runs() {
    let mut world = tested();
    world.approve(2);
    world.run(600);
    world.approve(3);
    world.run(600);
    assert!(world.status().candidate.is_none());
    let progressing = find(&world.status().conditions, ConditionType::Progressing).cloned().unwrap();
    assert_eq!((progressing.status.as_str(), progressing.reason.as_str()), ("False", "Testing"));
    assert!(find(&world.status().conditions, ConditionType::Reconciling).is_none(), "helm --wait would hang for weeks");
    end(&mut world, TestVerdict::Inconclusive, None);
    world.run(7_200);
    assert_eq!(world.traffic(), BTreeMap::from([(3, 10_000)]));
}

#[test]
fn a_test_waits_for_a_rollout_and_its_bake() {
    let mut world = World::new("Latest", &[1]);
    world.deployment.spec.outcomes = Some(outcomes());
    world.run(600);
    world.approve(2);
    world.pass();
    assert!(world.status().candidate.is_some());
    world.observed.tests.push(ab_test(2, 3));
    world.approve(3);
    while world.status().candidate.is_some() || world.status().previous.is_some() {
        assert!(world.status().test.is_none() && route(&world).is_none());
        world.run(30);
    }
    world.run(600);
    assert_eq!(answering(&world).into_values().collect::<Vec<_>>(), [version_name(2), version_name(3)]);
}

#[test]
fn however_a_test_ends_all_traffic_goes_to_the_stable_revision_and_its_pods_go() {
    type Ends = (&'static str, fn(&mut World));
    let ends: [Ends; 5] = [
        ("verdict", |world| end(world, TestVerdict::Winner, Some("treatment"))),
        ("pause", |world| world.observed.tests[0].spec.paused = true),
        ("deletion", |world| world.observed.tests.clear()),
        ("rejection", |world| world.reject(2)),
        ("no outcomes", |world| world.deployment.spec.outcomes = None),
    ];
    for (what, ended) in ends {
        let mut world = tested();
        world.approve(2);
        world.run(600);
        assert!(route(&world).is_some(), "{what}");
        // `Latest` would go on to version 2 where the test is gone: that is another story.
        world.ask_for(&version_name(1));
        world.observed.tests[0].spec.on_winner = OnWinner::Report;
        ended(&mut world);
        world.bump();
        world.run(7_200);
        assert!(route(&world).is_none(), "{what}");
        assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]), "{what}");
        assert_eq!(models(&world), 1 + usize::from(what == "no outcomes"), "{what}: {:?}", world.replicas());
    }
}

#[test]
fn only_a_winner_that_is_to_be_promoted_is_rolled_out_by_latest() {
    for (verdict, winner, on_winner, serves) in [
        (TestVerdict::Winner, Some("treatment"), OnWinner::Promote, 2),
        (TestVerdict::Winner, Some("treatment"), OnWinner::Report, 1),
        (TestVerdict::Winner, Some("control"), OnWinner::Promote, 1),
        (TestVerdict::NoDifference, None, OnWinner::Promote, 1),
        (TestVerdict::Invalid, None, OnWinner::Promote, 1),
    ] {
        let mut world = tested();
        world.observed.tests[0].spec.on_winner = on_winner;
        world.approve(2);
        world.run(600);
        end(&mut world, verdict, winner);
        world.run(7_200);
        assert_eq!(world.traffic(), BTreeMap::from([(serves, 10_000)]), "{verdict:?} {winner:?} {on_winner:?}");
    }
    // A person who names it is followed.
    let mut world = tested();
    world.approve(2);
    world.run(600);
    end(&mut world, TestVerdict::Inconclusive, None);
    world.ask_for(&version_name(2));
    world.run(7_200);
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
}

#[test]
fn what_a_test_handed_over_goes_before_the_next_test_and_an_older_test_does_not_forbid_it() {
    let mut world = tested();
    world.observed.tests[0].spec.on_winner = OnWinner::Promote;
    world.observed.tests.push(another(&ab_test(1, 3), 9));
    let mut earlier = another(&ab_test(1, 2), 8);
    earlier.status = Some(ABTestStatus { verdict: Some(TestVerdict::Inconclusive), ..ABTestStatus::default() });
    world.observed.tests.push(earlier);
    for number in [2, 3] {
        world.approve(number);
    }
    world.run(600);
    assert_eq!(route(&world).unwrap().seed, "test-uid");
    end(&mut world, TestVerdict::Winner, Some("treatment"));
    world.run(7_200);
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]), "not held by the test that waited");
    assert!(route(&world).is_none(), "whose control no longer serves");
}

#[test]
fn a_test_that_waits_holds_nothing_back() {
    let mut world = tested();
    world.run(600);
    assert!(waiting_for(&world).starts_with("treatment: "));
    world.approve(3);
    world.run(7_200);
    assert_eq!(world.traffic(), BTreeMap::from([(3, 10_000)]));
    assert!(world.status().test.is_none());
}

#[test]
fn nobody_is_assigned_for_longer_than_planned() {
    let mut world = tested();
    world.approve(2);
    world.run(600);
    let started = Some(Time(super::fixtures::at(world.now)));
    world.observed.tests[0].status = Some(ABTestStatus { started_at: started, ..ABTestStatus::default() });
    world.now += 3_600;
    world.run(60);
    assert!(route(&world).is_some(), "an hour is what was planned");
    world.now += 60;
    world.run(60);
    assert!(route(&world).is_none() && waiting_for(&world).contains("longest time"), "{}", waiting_for(&world));
}

#[test]
fn a_test_of_a_version_that_is_being_rolled_out_does_not_take_it_back() {
    let mut world = World::new("Latest", &[1]);
    world.deployment.spec.outcomes = Some(outcomes());
    world.run(600);
    world.approve(2);
    world.pass();
    world.observed.tests.push(ab_test(1, 2));
    world.run(7_200);
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
    assert!(route(&world).is_none(), "its control no longer serves");
}

#[test]
fn i5_a_crash_around_any_write_of_a_split_changes_nothing() {
    let expected = {
        let mut world = tested();
        world.approve(2);
        world.run(600);
        answering(&world)
    };
    for writes in 0..14 {
        let mut world = tested();
        world.approve(2);
        world.pass_until(writes);
        world.settle();
        world.run(600);
        assert_eq!(answering(&world), expected, "after {writes} writes");
        end(&mut world, TestVerdict::NoDifference, None);
        world.pass_until(writes);
        world.settle();
        world.run(7_200);
        assert_eq!((route(&world), world.traffic(), models(&world)), (None, BTreeMap::from([(1, 10_000)]), 1), "after {writes} writes");
    }
}

#[test]
fn i8_a_test_between_two_looks_is_never_written() {
    let mut world = tested();
    world.approve(2);
    world.run(600);
    let status = world.status();
    for _ in 0..5 {
        let plan = world.pass();
        assert!(plan.changes.is_empty() && plan.notes.is_empty(), "{:?}", plan.changes);
    }
    assert_eq!(world.status(), status);
}

fn another(test: &ABTest, number: u8) -> ABTest {
    let mut other = test.clone();
    other.metadata.name = Some(format!("test-{number}"));
    other.metadata.uid = Some(format!("uid-{number}"));
    other
}

fn seed(deployment: &ModelDeployment, world: &World) -> (Option<String>, Option<String>) {
    (deployment.status.clone().and_then(|status| status.test).map(|test| test.uid), route(world).map(|test| test.seed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Whatever tests come and go: one at a time, a rejected model never, weights that add up, and in the end everybody is where they were.
    #[test]
    fn i2_i3_tests_that_come_and_go_leave_the_stable_revision_alone(steps in proptest::collection::vec(0_u8..8, 1..20)) {
        let mut world = tested();
        world.ask_for(&version_name(1));
        let (first, mut number) = (world.observed.tests[0].clone(), 0);
        for step in steps {
            match step {
                0 => { number += 1; world.observed.tests.push(another(&first, number)); }
                1 => { world.observed.tests.pop(); }
                2 => world.approve(2),
                3 => world.observed.approvals.retain(|approval| approval.spec.decision != Decision::Rejected),
                4 => world.observed.approvals.push(approval(2, Decision::Rejected)),
                5 => world.observed.tests.iter_mut().for_each(|test| test.spec.paused = !test.spec.paused),
                6 => { if let Some(test) = world.observed.tests.first_mut() { test.status = Some(ABTestStatus { verdict: Some(TestVerdict::Invalid), ..ABTestStatus::default() }); } }
                _ => { let lost = world.status().test.and_then(|test| Some(test.variants.last()?.reference.revision.clone())); world.broken = lost.into_iter().collect(); }
            }
            world.settle();
            world.run(60);
            let routes = world.routes().unwrap();
            prop_assert_eq!(routes.backends.iter().map(|backend| backend.weight).sum::<i32>(), 10_000);
            prop_assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
            let (holds, runs) = seed(&world.deployment, &world);
            prop_assert!(runs.is_none() || runs == holds);
            let rejected = world.observed.approvals.iter().any(|approval| approval.spec.decision == Decision::Rejected);
            prop_assert!(!rejected || routes.test.is_none(), "a rejected model has users");
            if let Some(test) = &routes.test {
                prop_assert_eq!(test.variants.iter().map(|variant| variant.weight).sum::<i32>(), 10_000);
                prop_assert!(test.variants.iter().all(|variant| routes.backends.iter().any(|backend| backend.revision == variant.revision)));
            }
        }
        world.observed.tests.clear();
        world.broken.clear();
        world.settle();
        world.run(7_200);
        prop_assert!(world.status().test.is_none() && models(&world) == 1);
    }
}
