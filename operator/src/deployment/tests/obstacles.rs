//! What stands in the way of a rollout, and of the way back: writes that are refused, pods that are gone, an operator that was away.

use std::collections::BTreeMap;

use plimsoll_crds::condition::{ConditionType, find};
use plimsoll_stats::Verdict;

use super::fixtures::version_name;
use super::stories::serving_one;
use super::world::World;

/// Version 2 has a tenth of the traffic.
fn at_ten_percent() -> World {
    let mut world = serving_one();
    world.ask_for(&version_name(2));
    while world.traffic() != BTreeMap::from([(1, 9_000), (2, 1_000)]) {
        world.pass();
    }
    world.pass();
    world
}

/// Version 2 has all of the traffic, version 1 is warm.
fn baking() -> World {
    let mut world = serving_one();
    while world.status().previous.is_none() {
        world.run(5);
    }
    world
}

fn stable(world: &World) -> String {
    world.status().stable.unwrap().reference.revision
}

fn lose(world: &mut World, revision: String) {
    world.broken.push(revision);
    world.settle();
}

fn reason(world: &World) -> String {
    find(&world.status().conditions, ConditionType::Progressing).unwrap().reason.clone()
}

/// A typing error of a user: the API server refuses the routers' Deployment from now on.
fn refuse_routers(world: &mut World) {
    world.refused = Some(("Deployment", "flight-delay-router".to_owned()));
    world.deployment.spec.router.resources.requests.insert("memory".into(), "512Mi".into());
    world.bump();
}

#[test]
fn i7_a_write_that_is_refused_does_not_keep_a_bad_candidate() {
    for moment in ["trying", "baking"] {
        let mut world = if moment == "trying" { at_ten_percent() } else { baking() };
        refuse_routers(&mut world);
        world.outage = Some(Verdict::Fail);
        for _ in 0..10 {
            world.now += 20;
            world.pass();
        }
        assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]), "{moment}");
        assert_eq!(world.status().blocked.len(), 1, "{moment}");
    }
}

#[test]
fn what_routers_were_told_is_remembered_although_another_write_is_refused() {
    let mut world = serving_one();
    world.ask_for(&version_name(2));
    world.pass();
    refuse_routers(&mut world);
    for _ in 0..10 {
        world.pass();
        let told = world.traffic().get(&2).copied().unwrap_or(0);
        assert_eq!(world.status().candidate.map_or(0, |candidate| candidate.weight), told, "nobody would look at it");
    }
    assert_eq!(world.traffic(), BTreeMap::from([(1, 9_000), (2, 1_000)]));
}

#[test]
fn nobody_goes_back_to_where_nobody_answers() {
    let mut world = at_ten_percent();
    let home = stable(&world);
    lose(&mut world, home);
    world.outage = Some(Verdict::TooLittle);
    world.run(60);
    let alone = BTreeMap::from([(2, 10_000)]);
    assert_eq!(world.traffic(), alone, "the candidate stands in");
    for what in ["it fails", "another one is asked for", "the stable one is asked for"] {
        let mut world = world.clone();
        match what {
            "it fails" => world.outage = Some(Verdict::Fail),
            "another one is asked for" => world.ask_for(&version_name(3)),
            _ => world.ask_for(&version_name(1)),
        }
        world.now += 20;
        world.run(3_600);
        assert_eq!(world.traffic(), alone, "{what}");
        assert_eq!(reason(&world), "NobodyElseReady", "{what}");
        world.broken.clear();
        world.settle();
        world.run(60);
        assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]), "{what}");
    }
    // What a gatekeeper rejects serves nobody, whoever else is there.
    world.reject(2);
    world.run(60);
    assert!(!world.traffic().contains_key(&2));
}

#[test]
fn a_warm_predecessor_without_pods_is_waited_for() {
    let mut world = baking();
    let previous = world.status().previous.unwrap().reference.revision;
    lose(&mut world, previous);
    world.ask_for(&version_name(1));
    world.run(60);
    assert_eq!((world.traffic(), reason(&world).as_str()), (BTreeMap::from([(2, 10_000)]), "NobodyElseReady"));
    world.broken.clear();
    world.settle();
    world.run(60);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
}

#[test]
fn a_bake_whose_revision_is_gone_does_not_hold_its_cure() {
    let mut world = baking();
    let gone = stable(&world);
    lose(&mut world, gone);
    world.approve(3);
    world.run(36_000);
    assert_eq!(world.traffic(), BTreeMap::from([(3, 10_000)]));
    assert_eq!(world.status().blocked, [], "it is not the model's fault");
}

#[test]
fn a_verdict_that_nobody_acted_on_in_time_is_judged_again() {
    let mut world = at_ten_percent();
    while world.status().candidate.unwrap().verdict.is_none() {
        world.now += 5;
        world.pass();
    }
    world.now += 7_200;
    world.outage = Some(Verdict::Fail);
    world.run(3_600);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    let weights: Vec<i32> = world.status().decisions.iter().map(|decision| decision.weight).collect();
    assert!(!weights.contains(&5_000), "{weights:?}");
}
