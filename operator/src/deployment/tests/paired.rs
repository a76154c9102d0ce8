//! What a paired ABTest does to routes and pods: the treatment's are started, and nobody meets them.

use std::collections::BTreeMap;

use plimsoll_crds::ab_test::Mode;

use super::fixtures::{ab_test, outcomes, version_name};
use super::world::World;
use crate::deployment::routes::TestRoute;

/// Version 1 serves and collects outcomes; somebody compares version 2 with it on the same calls.
fn compared() -> World {
    let mut world = World::new("Latest", &[1]);
    world.deployment.spec.outcomes = Some(outcomes());
    world.run(600);
    let mut test = ab_test(1, 2);
    test.spec.mode = Mode::Paired;
    world.observed.tests.push(test);
    world
}

/// The route of the test, which never splits anybody.
fn route(world: &World) -> Option<TestRoute> {
    let routes = world.routes()?;
    assert!(routes.test.is_none(), "a router of an earlier release would split users");
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    routes.paired_test
}

#[test]
fn i2_the_treatment_of_a_paired_test_is_approved_and_ready_before_calls_are_copied_to_it() {
    let mut world = compared();
    world.run(600);
    assert!(route(&world).is_none());
    world.approve(2);
    world.run(600);
    let test = route(&world).unwrap();
    assert_eq!(test.seed, "test-uid");
    assert_eq!(test.variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>(), ["newer.test-uid.control", "newer.test-uid.treatment"]);
    let [control, treatment] = [0, 1].map(|place: usize| test.variants[place].revision.clone());
    assert_eq!(world.status().stable.unwrap().reference.revision, control);
    assert_eq!(world.status().test.unwrap().variants[1].reference.model_version, version_name(2));
    let backend = world.routes().unwrap().backends.into_iter().find(|backend| backend.revision == treatment).unwrap();
    assert_eq!(backend.weight, 0);
    assert!(world.status().routes.unwrap().verified && world.status().test.unwrap().splitting);
    // Its pods may be lost: nobody waits for them.
    world.broken.push(treatment);
    world.settle();
    world.run(600);
    assert!(route(&world).is_some());
}

#[test]
fn a_router_that_knows_no_pairs_is_not_taken_at_its_word() {
    let mut world = compared();
    world.old_routers = true;
    world.approve(2);
    world.run(600);
    assert!(route(&world).is_some() && !world.status().routes.unwrap().verified);
}

#[test]
fn however_a_paired_test_is_stopped_copies_and_pods_end() {
    type Stop = (&'static str, fn(&mut World));
    let stops: [Stop; 3] = [
        ("pause", |world| world.observed.tests[0].spec.paused = true),
        ("deletion", |world| world.observed.tests.clear()),
        ("rejection", |world| world.reject(2)),
    ];
    for (what, stop) in stops {
        let mut world = compared();
        world.approve(2);
        world.run(600);
        let treatment = route(&world).unwrap().variants[1].revision.clone();
        world.ask_for(&version_name(1));
        stop(&mut world);
        world.bump();
        world.run(7_200);
        assert!(route(&world).is_none() && !world.replicas().contains_key(&treatment), "{what}: {:?}", world.replicas());
    }
}
