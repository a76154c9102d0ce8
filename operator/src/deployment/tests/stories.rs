//! Rollouts from beginning to end.

use std::collections::BTreeMap;

use plimsoll_crds::condition::{ConditionType, find, is_true};
use plimsoll_crds::names::{ANNOTATION_RESUME, ANNOTATION_RETRY, LABEL_REVISION};
use plimsoll_stats::Verdict;
use serde_json::json;

use super::fixtures::{at, deployment_with, image, version_name};
use super::world::World;

/// Version 1 serves, version 2 is approved.
pub fn serving_one() -> World {
    let mut world = World::new("Latest", &[1]);
    world.run(600);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    world.approve(2);
    world
}

fn revision_of(world: &World, number: u8) -> String {
    world.observed.records().iter().find(|record| record.reference.model_version == version_name(number)).unwrap().reference.revision.clone()
}

fn decisions(world: &World) -> Vec<String> {
    world.status().decisions.iter().rev().map(|decision| decision.what.clone()).collect()
}

fn holds(world: &World, kind: ConditionType) -> bool {
    is_true(&world.status().conditions, kind)
}

#[test]
fn the_first_version_gets_all_of_the_traffic_when_it_is_approved_and_ready() {
    let mut world = World::new(&version_name(1), &[]);
    world.run(60);
    assert_eq!(world.traffic(), BTreeMap::new());
    assert!(holds(&world, ConditionType::AwaitingApproval));
    assert!(!holds(&world, ConditionType::Reconciling), "a rollout that waits for a person is not reconciling");
    world.approve(1);
    world.run(60);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    for kind in [ConditionType::Ready, ConditionType::Promoted, ConditionType::Available, ConditionType::TrafficVerified] {
        assert!(holds(&world, kind), "{kind:?} {:#?}", world.status().conditions);
    }
    assert_eq!(world.status().previous, None);
}

#[test]
fn a_better_version_goes_step_by_step() {
    let mut world = serving_one();
    let start = world.now;
    let mut weights = Vec::new();
    for plan in world.clone().run(2_000) {
        let weight = plan.status.candidate.as_ref().map_or(10_000, |candidate| candidate.weight);
        weights.push(weight);
    }
    weights.dedup();
    assert_eq!(weights, [0, 1_000, 5_000, 10_000]);
    world.run(2_000);
    let status = world.status();
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
    assert_eq!(
        decisions(&world),
        ["RolloutStarted", "Promoted", "RolloutStarted", "StepCompleted", "StepCompleted", "StepCompleted", "StepCompleted", "Promoted"]
    );
    assert_eq!(status.previous, None, "the bake is over");
    assert_eq!(status.history.len(), 1);
    let took = status.stable.unwrap().since.0.duration_since(at(start)).as_secs();
    assert!((240..300).contains(&took), "two pauses of two minutes, and little else: {took} s");
    let (one, two) = (revision_of(&world, 1), revision_of(&world, 2));
    assert_eq!(world.replicas(), BTreeMap::from([(one, 0), (two, 2)]), "the old revision is kept restorable, with no pods");
}

#[test]
fn a_failed_check_is_written_down_and_then_acted_on() {
    let mut world = serving_one();
    while world.status().candidate.is_none_or(|candidate| candidate.weight == 0) {
        world.pass();
    }
    let bad = world.status().candidate.unwrap().reference.revision;
    world.verdicts.insert(bad.clone(), Verdict::Fail);
    world.now += 20;
    let first = world.pass();
    assert_eq!(world.traffic(), BTreeMap::from([(1, 9_000), (2, 1_000)]), "the verdict is stored before anything moves");
    assert_eq!(first.changes, []);
    world.pass();
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    world.run(10_000);
    let status = world.status();
    assert_eq!(status.candidate, None);
    assert_eq!((status.blocked.len(), status.blocked[0].check.as_str()), (1, "errors"));
    assert!(holds(&world, ConditionType::RolledBack) && holds(&world, ConditionType::Ready) && !holds(&world, ConditionType::Promoted));
    assert!(!world.replicas().contains_key(&bad), "an aborted candidate leaves nothing behind");
}

#[test]
fn a_failure_while_baking_goes_back_to_the_warm_predecessor_once() {
    let mut world = serving_one();
    while world.status().previous.is_none() {
        world.run(5);
    }
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
    let bad = world.status().stable.unwrap().reference.revision;
    world.outage = Some(Verdict::Fail);
    world.poked = true;
    world.run(10_000);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    let status = world.status();
    assert_eq!((status.blocked.len(), status.previous.is_none()), (1, true));
    assert_eq!(status.history.iter().map(|entry| entry.revision.clone()).collect::<Vec<_>>().first(), Some(&bad));
    assert_eq!(decisions(&world).last().map(String::as_str), Some("RolledBack"));
}

#[test]
fn i3_while_the_new_stable_revision_has_no_ready_pods_its_predecessor_stays_and_answers() {
    let mut world = serving_one();
    while world.status().previous.is_none() {
        world.run(5);
    }
    world.broken.push(world.status().stable.unwrap().reference.revision);
    world.settle();
    world.run(36_000);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    assert!(world.status().previous.is_some(), "the bake does not end");
    assert_eq!(world.replicas().values().copied().collect::<Vec<_>>(), [2, 2]);
    world.broken.clear();
    world.settle();
    world.run(600);
    assert_eq!((world.traffic(), world.status().previous), (BTreeMap::from([(2, 10_000)]), None));
}

#[test]
fn a_new_candidate_starts_without_the_verdicts_of_the_last() {
    let mut world = serving_one();
    world.outage = Some(Verdict::Fail);
    world.run(3_600);
    assert_eq!(world.status().checks.len(), 2, "what failed stays to be read");
    world.approve(3);
    while world.status().candidate.is_none() {
        world.pass();
    }
    assert_eq!(world.status().checks, []);
}

#[test]
fn a_pause_for_a_person_ends_with_a_token_for_that_step() {
    let mut world = serving_one();
    world.deployment.spec = deployment_with("Latest", json!([{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}])).spec;
    world.run(600);
    assert!(holds(&world, ConditionType::Paused) && !holds(&world, ConditionType::Reconciling));
    let candidate = world.status().candidate.unwrap();
    assert_eq!((candidate.step, candidate.weight), (1, 1_000));
    for wrong in [format!("{}/0/go", candidate.reference.revision), "other/1/go".to_owned(), format!("{}/1/", candidate.reference.revision)] {
        world.annotate(ANNOTATION_RESUME, &wrong);
        world.run(600);
        assert_eq!(world.status().candidate.unwrap().step, 1, "{wrong}");
    }
    let token = format!("{}/1/go", candidate.reference.revision);
    world.annotate(ANNOTATION_RESUME, &token);
    world.run(2_000);
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
    assert_eq!(world.status().last_handled_resume, Some(token));
    assert!(decisions(&world).contains(&"Resumed".to_owned()));
}

#[test]
fn checks_without_a_verdict_hold_the_candidate_and_say_so_once() {
    for verdict in [Verdict::NoData, Verdict::TooLittle, Verdict::ProviderError] {
        let mut world = serving_one();
        world.outage = Some(verdict);
        world.run(3_600);
        assert_eq!(world.traffic(), BTreeMap::from([(1, 9_000), (2, 1_000)]), "{verdict:?}");
        assert_eq!(decisions(&world).iter().filter(|what| *what == "Held").count(), 1);
        assert_eq!(find(&world.status().conditions, ConditionType::Progressing).unwrap().reason, "Held");
        world.outage = None;
        world.run(3_600);
        assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
    }
}

#[test]
fn another_version_replaces_a_candidate_and_the_stable_one_ends_it() {
    let mut world = serving_one();
    world.run(60);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 9_000), (2, 1_000)]));
    world.approve(3);
    world.run(60);
    assert_eq!(world.status().candidate.unwrap().reference.model_version, version_name(3));
    assert_eq!(world.traffic(), BTreeMap::from([(1, 9_000), (3, 1_000)]));
    assert_eq!(world.replicas().len(), 2);
    world.ask_for(&version_name(1));
    world.run(60);
    assert_eq!((world.status().candidate, world.traffic()), (None, BTreeMap::from([(1, 10_000)])));
    assert!(holds(&world, ConditionType::Promoted) && !holds(&world, ConditionType::RolledBack));
}

#[test]
fn naming_the_warm_predecessor_returns_to_it_at_once() {
    let mut world = serving_one();
    while world.status().previous.is_none() {
        world.run(5);
    }
    world.ask_for(&version_name(1));
    let start = world.now;
    world.run(60);
    assert_eq!(world.traffic(), BTreeMap::from([(1, 10_000)]));
    assert_eq!(world.status().stable.unwrap().since.0, at(start));
    assert_eq!(world.status().blocked, []);
}

#[test]
fn a_rejection_takes_the_candidate_out_and_it_is_not_started_again() {
    let mut world = serving_one();
    world.ask_for(&version_name(2));
    world.run(60);
    world.reject(2);
    world.run(3_600);
    assert_eq!((world.status().candidate, world.traffic()), (None, BTreeMap::from([(1, 10_000)])));
    assert!(holds(&world, ConditionType::RolledBack) && holds(&world, ConditionType::AwaitingApproval));
}

#[test]
fn i10_a_blocked_pair_is_tried_again_for_a_new_image_a_new_check_or_a_new_token_only() {
    let mut world = serving_one();
    world.outage = Some(Verdict::Fail);
    world.run(3_600);
    assert_eq!(world.status().blocked.len(), 1);
    world.outage = None;
    world.run(36_000);
    assert_eq!((world.status().candidate, world.traffic()), (None, BTreeMap::from([(1, 10_000)])));

    let mut new_image = world.clone();
    new_image.settings.runtimes.insert("default".into(), image("model-server", 9));
    new_image.run(3_600);
    assert_eq!(new_image.traffic(), BTreeMap::from([(2, 10_000)]));

    let mut new_check = world.clone();
    new_check.deployment.spec.checks[0].error_rate.as_mut().unwrap().versus_stable.margin = 0.1;
    new_check.bump();
    new_check.run(3_600);
    assert_eq!(new_check.traffic(), BTreeMap::from([(2, 10_000)]));

    let mut retried = world.clone();
    retried.annotate(ANNOTATION_RETRY, "one");
    retried.outage = Some(Verdict::Fail);
    retried.run(3_600);
    assert_eq!((retried.traffic(), retried.status().last_handled_retry), (BTreeMap::from([(1, 10_000)]), Some("one".to_owned())));
    assert_eq!(retried.status().blocked.len(), 1, "one token is one try");
    retried.outage = None;
    retried.annotate(ANNOTATION_RETRY, "two");
    retried.run(3_600);
    assert_eq!(retried.traffic(), BTreeMap::from([(2, 10_000)]));
}

#[test]
fn a_good_runtime_is_not_blocked_by_a_bad_one() {
    let mut world = serving_one();
    world.ask_for(&version_name(1));
    world.run(60);
    world.deployment.spec.predictor.runtime = "other".into();
    world.bump();
    world.outage = Some(Verdict::Fail);
    world.run(3_600);
    assert_eq!(world.status().blocked.len(), 1);
    world.outage = None;
    world.deployment.spec.predictor.runtime = "default".into();
    world.bump();
    world.run(3_600);
    assert!(holds(&world, ConditionType::Promoted));
}

#[test]
fn a_broken_stable_revision_does_not_hold_a_healthy_candidate() {
    let mut world = serving_one();
    let stable = world.status().stable.unwrap().reference.revision;
    world.broken.push(stable);
    world.settle();
    world.run(3_600);
    assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
}

#[test]
fn what_cannot_be_followed_stalls_and_leaves_the_rest_alone() {
    let mut world = serving_one();
    world.run(3_600);
    for (change, reason) in [("missing-version", "UnknownVersion"), ("runtime", "UnknownRuntime"), ("duration", "BadSpec")] {
        let mut world = world.clone();
        match change {
            "runtime" => world.deployment.spec.predictor.runtime = "nowhere".into(),
            "duration" => world.deployment.spec.check_interval = plimsoll_crds::DurationText::new("soon"),
            version => world.deployment.spec.model.version = version.into(),
        }
        world.bump();
        world.run(600);
        assert_eq!(find(&world.status().conditions, ConditionType::Stalled).map(|condition| condition.reason.as_str()), Some(reason));
        assert!(holds(&world, ConditionType::Ready));
        assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
        assert_eq!(world.status().observed_generation, world.deployment.metadata.generation);
    }
}

#[test]
fn a_model_that_cannot_be_fetched_is_told_wherever_people_look() {
    let mut world = World::new("Latest", &[1]);
    world.pass();
    let revision = world.status().candidate.unwrap().reference.revision;
    world.broken = vec![revision.clone()];
    world.settle();
    let pod = |code: i32, message: &str| {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "flights", "labels": {LABEL_REVISION: revision}},
            "status": {"phase": "Pending", "initContainerStatuses": [{
                "name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": {"running": {}}, "lastState": {"terminated": {"exitCode": code, "message": message}}
            }]}
        }))
        .unwrap()
    };
    let message = |world: &World, kind| find(&world.status().conditions, kind).map(|condition| condition.message.clone()).unwrap_or_default();
    world.observed.pods = vec![pod(75, "StoreUnavailable: s3://models/1/manifest.json")];
    world.run(60);
    assert!(holds(&world, ConditionType::Reconciling) && !holds(&world, ConditionType::Stalled), "it may pass");
    world.observed.pods = vec![pod(65, "ArtifactMismatch: s3://models/1/weights.safetensors")];
    world.run(60);
    assert!(holds(&world, ConditionType::Stalled) && !holds(&world, ConditionType::Reconciling), "it stays");
    for kind in [ConditionType::Ready, ConditionType::Progressing, ConditionType::Stalled] {
        assert!(message(&world, kind).contains("ArtifactMismatch: s3://models/1/weights.safetensors"), "{kind:?}: {}", message(&world, kind));
    }
    (world.observed.pods, world.broken) = (vec![], vec![]);
    world.settle();
    world.run(60);
    assert!(holds(&world, ConditionType::Ready) && !holds(&world, ConditionType::Stalled));
}
