use k8s_openapi::jiff::SignedDuration;
use plimsoll_crds::condition::ConditionType;
use serde_json::json;

use super::fixtures::{DIGEST, result};
use super::world::{World, complete, failed};
use crate::change::Change;

fn finished(passed: bool) -> World {
    let mut world = World::new(json!({}));
    world.settle();
    world.end(complete(), json!({"exitCode": 0, "message": result(passed).to_string()}));
    world
}

#[test]
fn a_good_run_becomes_a_model_version_once() {
    let mut world = finished(true);
    world.settle();
    assert!(world.is(ConditionType::Ready) && world.is(ConditionType::GatesPassed) && world.is(ConditionType::Complete));
    assert!(world.message(ConditionType::GatesPassed).contains("0.7123"));
    insta::assert_yaml_snapshot!(serde_json::to_value(world.observed.version.take().unwrap()).unwrap());
    world.settle();
    assert!(world.observed.version.is_none(), "a deleted version is not made again");
    world.observed.jobs.clear();
    world.observed.pods.clear();
    world.settle();
    assert_eq!(world.created, ["t-1"], "a finished run is never run again");
}

#[test]
fn the_result_is_stored_before_a_version_rests_on_it() {
    let mut world = finished(true);
    let plan = world.pass(None);
    assert!(plan.changes.is_empty() && plan.status.result.is_some(), "{:?}", plan.changes);
    assert!(matches!(world.pass(None).changes.as_slice(), [Change::Create(version)] if version["kind"] == "ModelVersion"));
}

#[test]
fn gates_that_fail_make_no_version() {
    let mut world = finished(false);
    world.settle();
    assert!(world.is(ConditionType::Complete) && !world.is(ConditionType::Ready) && world.is(ConditionType::Stalled));
    assert!(world.observed.version.is_none());
    assert!(world.message(ConditionType::Ready).contains("failed: auc is 0.7123"));
}

#[test]
fn i4_a_version_of_that_name_with_other_bytes_ends_the_run() {
    let mut world = finished(true);
    world.pass(None);
    world.pass(None);
    let other = DIGEST.replace("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    world.observed.version.as_mut().unwrap().spec.digest.clone_from(&other);
    world.settle();
    assert_eq!(world.reason(ConditionType::Failed), "NameTaken");
    assert!(world.message(ConditionType::Failed).contains(&other));
    world.observed.version = None;
    world.settle();
    assert!(world.observed.version.is_none(), "what failed stays failed");
}

#[test]
fn i4_a_result_that_is_not_of_this_run_is_not_recorded() {
    for (field, value) in [("modelVersion", "other-aaaaaaaaaa"), ("uri", "s3://elsewhere/aaaa"), ("digest", "sha256:../x")] {
        let mut world = World::new(json!({}));
        world.settle();
        let mut said = result(true);
        said["result"][field] = value.into();
        world.end(complete(), json!({"exitCode": 0, "message": said.to_string()}));
        world.settle();
        assert_eq!(world.reason(ConditionType::Failed), "BadResult", "{field}");
        assert!(world.observed.version.is_none() && world.created.len() == 1);
    }
}

#[test]
fn endings_lead_where_they_should() {
    let said = |reason: &str| json!({"failure": {"reason": reason, "message": "column late is missing"}}).to_string();
    let table = [
        ("bad data", failed("BackoffLimitExceeded"), json!({"exitCode": 65, "message": said("BadData")}), 1, "Permanent", "BadData: column late"),
        (
            "store down",
            failed("BackoffLimitExceeded"),
            json!({"exitCode": 80, "message": said("StoreUnavailable")}),
            3,
            "AttemptsExhausted",
            "StoreUnavailable",
        ),
        ("out of memory", failed("BackoffLimitExceeded"), json!({"exitCode": 137, "reason": "OOMKilled"}), 3, "AttemptsExhausted", "OutOfMemory"),
        ("deadline", failed("DeadlineExceeded"), json!({"exitCode": 143}), 3, "AttemptsExhausted", "DeadlineExceeded"),
        ("message lost", complete(), json!({"exitCode": 0, "message": "{"}), 3, "AttemptsExhausted", "ResultLost"),
    ];
    for (what, condition, state, attempts, reason, message) in table {
        let mut world = World::new(json!({}));
        for _ in 0..5 {
            world.settle();
            world.end(condition.clone(), state.clone());
        }
        assert_eq!(world.created.len(), attempts, "{what}");
        assert_eq!(world.reason(ConditionType::Failed), reason, "{what}");
        assert!(world.message(ConditionType::Failed).contains(message), "{what}: {}", world.message(ConditionType::Failed));
        assert!(world.is(ConditionType::Stalled) && !world.is(ConditionType::Running));
    }
}

#[test]
fn a_deadline_that_passes_before_the_pod_runs_says_what_it_waited_for() {
    let mut world = World::new(json!({"maxAttempts": 1}));
    world.settle();
    world.now += SignedDuration::from_secs(31);
    world.settle();
    assert_eq!(world.reason(ConditionType::Running), "PodNotCreated");
    world.end(failed("DeadlineExceeded"), json!({"exitCode": 143}));
    world.settle();
    assert!(world.message(ConditionType::Failed).contains("until then: attempt 1: its Job has made no pod"));
}

#[test]
fn a_disruption_costs_no_attempt() {
    let mut world = World::new(json!({"maxAttempts": 1}));
    world.settle();
    world.disrupt();
    world.settle();
    assert_eq!(world.created, ["t-1", "t-2"]);
    assert!(!world.is(ConditionType::Failed));
}

#[test]
fn suspending_stops_the_attempt_and_resuming_makes_another() {
    let mut world = World::new(json!({"maxAttempts": 1}));
    world.settle();
    world.run_pod();
    world.settle();
    assert!(world.is(ConditionType::Running));
    world.job.spec.run.suspend = true;
    world.settle();
    assert!(world.is(ConditionType::Suspended) && !world.is(ConditionType::Running) && world.observed.jobs.is_empty());
    world.job.spec.run.suspend = false;
    world.settle();
    assert_eq!(world.created, ["t-1", "t-2"]);
}

#[test]
fn a_suspended_run_whose_job_has_gone_is_suspended_and_no_attempt_failed() {
    let mut world = World::new(json!({"maxAttempts": 1}));
    world.settle();
    world.run_pod();
    world.settle();
    world.job.spec.run.suspend = true;
    // The pass that deleted the Job was killed before it wrote that down.
    world.pass(Some(1));
    world.reap();
    assert!(world.observed.jobs.is_empty());
    world.settle();
    assert!(world.is(ConditionType::Suspended) && !world.is(ConditionType::Failed));
    world.job.spec.run.suspend = false;
    world.settle();
    assert_eq!(world.created, ["t-1", "t-2"], "suspending costs none of maxAttempts");
}

#[test]
fn i1_resuming_waits_for_the_pods_of_the_attempt_before() {
    let mut world = World::new(json!({}));
    world.settle();
    world.run_pod();
    world.job.spec.run.suspend = true;
    world.pass(None);
    world.job.spec.run.suspend = false;
    world.pass(None);
    assert_eq!((world.reason(ConditionType::Running).as_str(), world.created.len()), ("EarlierAttemptEnding", 1));
    world.reap();
    world.settle();
    assert_eq!(world.created.len(), 2);
}

#[test]
fn i1_a_deleted_job_is_followed_by_another_only_when_its_pod_has_gone() {
    let mut world = World::new(json!({}));
    world.settle();
    world.run_pod();
    world.job_deleted();
    world.pass(None);
    world.now += SignedDuration::from_secs(60);
    world.pass(None);
    assert_eq!((world.reason(ConditionType::Running).as_str(), world.created.len()), ("EarlierAttemptEnding", 1));
    world.settle();
    assert_eq!(world.created.len(), 2);
}

#[test]
fn i1_a_crash_after_any_write_makes_no_second_job() {
    for writes in 0..3 {
        let mut world = World::new(json!({}));
        for _ in 0..3 {
            world.pass(Some(writes));
        }
        world.settle();
        assert_eq!(world.created, ["t-1"], "after {writes} writes");
    }
}

#[test]
fn i1_a_job_that_a_crash_left_behind_is_stopped_when_the_run_is_suspended() {
    let mut world = World::new(json!({}));
    world.pass(Some(2));
    world.job.spec.run.suspend = true;
    world.settle();
    assert!(world.observed.jobs.is_empty() && world.is(ConditionType::Suspended));
    world.job.spec.run.suspend = false;
    world.settle();
    assert_eq!(world.created, ["t-1", "t-1"]);
}

#[test]
fn a_bad_spec_is_a_condition() {
    let mut world = World::new(json!({}));
    world.job.spec.features[0].name = "y".to_owned();
    world.settle();
    assert!(world.is(ConditionType::Stalled) && world.created.is_empty());
    assert!(world.message(ConditionType::Accepted).contains("create another TrainingJob"));
}

#[test]
fn a_configuration_that_says_something_else_is_replaced_before_an_attempt() {
    let mut world = World::new(json!({}));
    world.settle();
    world.end(failed("BackoffLimitExceeded"), json!({"exitCode": 1}));
    let forged = world.observed.configuration.as_mut().unwrap();
    forged.data = Some([("job.json".to_owned(), "{}".to_owned())].into());
    world.settle();
    assert_eq!(world.created.len(), 2);
    assert!(world.observed.configuration.as_ref().unwrap().data.as_ref().unwrap()["job.json"].contains("SELECT 1"));
}

#[test]
fn how_long_jobs_are_kept_can_be_changed_after_the_end() {
    let mut world = finished(true);
    world.settle();
    world.job.spec.run.time_to_live = plimsoll_crds::DurationText::new("1h");
    let plan = world.pass(None);
    assert!(matches!(plan.changes.as_slice(), [Change::Apply(job)] if job["spec"] == json!({"ttlSecondsAfterFinished": 3_600})), "{:?}", plan.changes);
    world.settle();
}

#[test]
fn people_are_told_once_of_each_transition() {
    let mut world = World::new(json!({}));
    let mut told = Vec::new();
    let mut run = |world: &mut World| {
        for _ in 0..4 {
            let plan = world.pass(None);
            told.extend(plan.notes.iter().map(|note| note.reason));
            world.now += SignedDuration::try_from(plan.wake.unwrap_or_default()).unwrap();
        }
    };
    run(&mut world);
    world.end(failed("BackoffLimitExceeded"), json!({"exitCode": 1}));
    run(&mut world);
    world.end(complete(), json!({"exitCode": 0, "message": result(true).to_string()}));
    run(&mut world);
    assert_eq!(told, ["AttemptStarted", "AttemptFailed", "AttemptStarted", "ModelVersionCreated"]);
}
