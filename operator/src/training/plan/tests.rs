use serde_json::{Value, json};

use super::*;
use plimsoll_crds::condition::{ConditionType, is_true};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn job(run: Value) -> TrainingJob {
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "TrainingJob",
        "metadata": {"name": "t", "namespace": "n", "uid": "u", "generation": 1, "annotations": {"plimsoll.dev/author": "ann"}},
        "spec": {
            "model": "m",
            "data": {
                "sources": [{"name": "a", "uri": "s3://b/a.csv", "format": "Csv"}], "credentialsSecret": "in", "query": "SELECT 1",
                "rowKey": ["k"], "timeColumn": "t", "window": {"from": "2013-01-01", "to": "2013-02-01"},
                "split": {"byTime": {"validation": "1d", "test": "1d"}}
            },
            "task": {"binaryClassification": {"label": "y", "positive": "1"}},
            "features": [{"name": "x", "type": "Numeric"}], "architecture": {"linear": {}},
            "output": {"uri": "s3://m/m", "credentialsSecret": "out"}, "run": run
        }
    }))
    .unwrap()
}

fn result(passed: bool) -> Value {
    json!({"result": {
        "modelVersion": "m-aaaaaaaaaa", "digest": DIGEST, "contentDigest": DIGEST, "uri": "s3://m/m/a", "report": {"uri": "s3://m/m/r", "digest": DIGEST},
        "metrics": {"auc": 0.7}, "gates": [{"metric": "auc", "passed": passed, "message": "auc is 0.7"}], "gatesPassed": passed, "dataDigests": {},
        "window": {"from": "2013-01-01", "to": "2013-02-01"}, "rows": {"train": 1, "validation": 1, "test": 1}, "device": "Cpu", "softwareVersion": "0", "seconds": 1.0
    }})
}

/// An API server that knows Jobs, and pods that end as they are told.
struct World {
    job: TrainingJob,
    observed: Observed,
    now: Timestamp,
    created: usize,
}

impl World {
    fn new(run: Value) -> Self {
        Self { job: job(run), observed: Observed::default(), now: Timestamp::UNIX_EPOCH, created: 0 }
    }

    /// One pass; with `crash`, the operator dies before it writes the status.
    fn pass(&mut self, crash: bool) -> Plan {
        let plan = plan(&self.job, &self.observed, "image", self.now);
        for change in &plan.changes {
            match change {
                Change::Create(value) if value["kind"] == "Job" => self.create(value),
                Change::Create(value) if value["kind"] == "ModelVersion" => self.observed.version = Some(serde_json::from_value(value.clone()).unwrap()),
                Change::Create(_) => self.observed.configured = true,
                Change::Delete(reference) => self.observed.jobs.retain(|job| job.name_any() != reference.name),
                Change::Apply(_) => panic!("nothing is applied"),
            }
        }
        if !crash {
            self.job.status = Some(plan.status.clone());
        }
        plan
    }

    fn create(&mut self, value: &Value) {
        let name = value["metadata"]["name"].as_str().unwrap();
        if self.observed.jobs.iter().any(|job| job.name_any() == name) {
            return;
        }
        assert!(!self.observed.jobs.iter().any(lives), "I1: two attempts live");
        let mut value = value.clone();
        value["metadata"]["uid"] = json!(format!("uid-{name}"));
        self.observed.jobs.push(serde_json::from_value(value).unwrap());
        self.created += 1;
    }

    /// The newest attempt ends.
    fn end(&mut self, condition: Value, state: Value) {
        let job = self.observed.jobs.last_mut().unwrap();
        job.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        let pod = json!({
            "metadata": {"name": "p", "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid()}]},
            "status": {"phase": "Failed", "containerStatuses": [{"name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": state}}]}
        });
        self.observed.pods.push(serde_json::from_value(pod).unwrap());
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            let before = self.job.status.clone();
            let plan = self.pass(false);
            self.now += k8s_openapi::jiff::SignedDuration::try_from(plan.wake.unwrap_or_default()).unwrap();
            if plan.changes.is_empty() && plan.wake.is_none() && before == self.job.status {
                return;
            }
        }
        panic!("does not settle: {:?}", self.job.status);
    }

    fn is(&self, kind: ConditionType) -> bool {
        is_true(&self.job.status.as_ref().unwrap().conditions, kind)
    }
}

fn complete() -> Value {
    json!({"type": "Complete", "status": "True"})
}

fn failed(reason: &str) -> Value {
    json!({"type": "Failed", "status": "True", "reason": reason})
}

#[test]
fn a_good_run_becomes_a_model_version_once() {
    let mut world = World::new(json!({}));
    world.settle();
    world.end(complete(), json!({"exitCode": 0, "message": result(true).to_string()}));
    world.settle();
    assert!(world.is(ConditionType::Ready) && world.is(ConditionType::GatesPassed));
    let version = world.observed.version.take().unwrap();
    assert_eq!((version.spec.author.as_str(), version.spec.signature.inputs[0].datatype.as_str()), ("ann", "FP64"));
    world.settle();
    assert!(world.observed.version.is_none(), "a deleted version is not made again");
    world.observed.jobs.clear();
    world.settle();
    assert_eq!(world.created, 1, "a finished run is never run again");
}

#[test]
fn gates_that_fail_make_no_version() {
    let mut world = World::new(json!({}));
    world.settle();
    world.end(complete(), json!({"exitCode": 0, "message": result(false).to_string()}));
    world.settle();
    assert!(world.is(ConditionType::Complete) && !world.is(ConditionType::Ready) && world.is(ConditionType::Stalled));
    assert!(world.observed.version.is_none());
}

#[test]
fn endings_lead_where_they_should() {
    let said = |reason: &str| json!({"failure": {"reason": reason, "message": "m"}}).to_string();
    let table = [
        ("bad data", failed("BackoffLimitExceeded"), json!({"exitCode": 65, "message": said("BadData")}), 1, "Permanent"),
        ("store down", failed("BackoffLimitExceeded"), json!({"exitCode": 80, "message": said("StoreUnavailable")}), 3, "AttemptsExhausted"),
        ("out of memory", failed("BackoffLimitExceeded"), json!({"exitCode": 137, "reason": "OOMKilled"}), 3, "AttemptsExhausted"),
        ("deadline", failed("DeadlineExceeded"), json!({"exitCode": 143}), 3, "AttemptsExhausted"),
        ("message lost", complete(), json!({"exitCode": 0, "message": "{"}), 3, "AttemptsExhausted"),
    ];
    for (what, condition, state, attempts, reason) in table {
        let mut world = World::new(json!({}));
        for _ in 0..5 {
            world.settle();
            if world.observed.jobs.last().is_some_and(lives) {
                world.end(condition.clone(), state.clone());
            }
        }
        assert_eq!(world.created, attempts, "{what}");
        let conditions = &world.job.status.as_ref().unwrap().conditions;
        assert_eq!(condition::find(conditions, ConditionType::Failed).unwrap().reason, reason, "{what}");
    }
}

#[test]
fn a_disruption_costs_no_attempt() {
    let mut world = World::new(json!({"maxAttempts": 1}));
    world.settle();
    world.end(failed("BackoffLimitExceeded"), json!({"exitCode": 143}));
    world.observed.pods[0].status.as_mut().unwrap().conditions =
        Some(vec![serde_json::from_value(json!({"type": "DisruptionTarget", "status": "True"})).unwrap()]);
    world.settle();
    assert_eq!(world.created, 2);
    assert!(!world.is(ConditionType::Failed));
}

#[test]
fn suspending_stops_the_attempt_and_resuming_makes_another() {
    let mut world = World::new(json!({}));
    world.settle();
    world.job.spec.run.suspend = true;
    world.settle();
    assert!(world.is(ConditionType::Suspended) && world.observed.jobs.is_empty());
    world.job.spec.run.suspend = false;
    world.settle();
    assert_eq!(world.created, 2);
}

#[test]
fn i1_a_crash_before_the_status_is_written_makes_no_second_job() {
    let mut world = World::new(json!({}));
    for _ in 0..3 {
        world.pass(true);
    }
    world.settle();
    assert_eq!(world.created, 1);
}

#[test]
fn a_bad_spec_is_a_condition() {
    let mut world = World::new(json!({}));
    world.job.spec.features[0].name = "y".to_owned();
    world.settle();
    assert!(world.is(ConditionType::Stalled) && world.created == 0);
}
