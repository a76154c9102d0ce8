use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use plimsoll_crds::TrainingJob;
use plimsoll_crds::condition::{ConditionType, find, is_true};
use serde_json::{Value, json};

use super::fixtures::job;
use crate::change::Change;
use crate::training::observe::Observed;
use crate::training::outcome::{lives, runs};
use crate::training::plan::{Plan, plan};

/// An API server that knows this run, a Job controller and a kubelet that do what they are told.
pub struct World {
    pub job: TrainingJob,
    pub observed: Observed,
    pub now: Timestamp,
    /// Names of the Jobs that were made, in order.
    pub created: Vec<String>,
    uids: usize,
}

impl World {
    pub fn new(run: Value) -> Self {
        Self { job: job(run), observed: Observed::default(), now: Timestamp::UNIX_EPOCH, created: Vec::new(), uids: 0 }
    }

    pub fn plan(&self) -> Plan {
        plan(&self.job, &self.observed, "trainer@sha256:1", self.now)
    }

    /// One pass; with `crash`, the operator dies after so many writes.
    pub fn pass(&mut self, crash: Option<usize>) -> Plan {
        let plan = self.plan();
        for change in plan.changes.iter().take(crash.unwrap_or(usize::MAX)) {
            self.write(change);
        }
        if crash.is_none() {
            self.job.status = Some(plan.status.clone());
        }
        assert!(self.alive() <= 1, "I1: two attempts live");
        plan
    }

    fn write(&mut self, change: &Change) {
        match change {
            Change::Create(value) => self.create(value),
            Change::Apply(value) => {
                let seconds = value["spec"]["ttlSecondsAfterFinished"].as_i64().map(|seconds| i32::try_from(seconds).unwrap());
                let job = self.observed.jobs.iter_mut().find(|job| job.name_any() == value["metadata"]["name"].as_str().unwrap()).unwrap();
                job.spec.as_mut().unwrap().ttl_seconds_after_finished = seconds;
            }
            Change::Delete(reference) if reference.kind == "ConfigMap" => self.observed.configuration = None,
            Change::Delete(reference) => self.delete(&reference.name),
        }
    }

    fn create(&mut self, value: &Value) {
        let mut value = value.clone();
        self.uids += 1;
        value["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        value["metadata"]["creationTimestamp"] = json!(self.now);
        match value["kind"].as_str().unwrap() {
            "Job" => {
                let name = value["metadata"]["name"].as_str().unwrap().to_owned();
                if self.observed.job(&name).is_none() {
                    self.observed.jobs.push(serde_json::from_value(value).unwrap());
                    self.created.push(name);
                }
            }
            "ModelVersion" => self.observed.version = Some(serde_json::from_value(value).unwrap()),
            "ConfigMap" => self.observed.configuration = Some(serde_json::from_value(value).unwrap()),
            kind => panic!("nothing of the kind {kind} is made"),
        }
    }

    /// In the foreground: the Job stays until its pods have gone.
    fn delete(&mut self, name: &str) {
        let now = self.now;
        let uid = self.observed.job(name).and_then(ResourceExt::uid).unwrap_or_default();
        let has_pods = self.observed.pods.iter().any(|pod| crate::read::owned_by(pod, &uid));
        let Some(job) = self.observed.jobs.iter_mut().find(|job| job.name_any() == name) else { return };
        job.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        if !has_pods {
            self.observed.jobs.retain(|job| job.name_any() != name);
        }
    }

    /// What terminates has terminated.
    pub fn reap(&mut self) {
        let going: Vec<String> = self.observed.jobs.iter().filter(|job| job.metadata.deletion_timestamp.is_some()).filter_map(ResourceExt::uid).collect();
        let jobs: Vec<String> = self.observed.jobs.iter().filter_map(ResourceExt::uid).collect();
        let orphan = |pod: &k8s_openapi::api::core::v1::Pod| !jobs.iter().any(|uid| crate::read::owned_by(pod, uid));
        self.observed.pods.retain(|pod| !orphan(pod) && !going.iter().any(|uid| crate::read::owned_by(pod, uid)));
        self.observed.jobs.retain(|job| job.metadata.deletion_timestamp.is_none());
    }

    /// A person deletes the newest Job the way kubectl does: its pods go a little later.
    pub fn job_deleted(&mut self) {
        self.observed.jobs.pop();
    }

    /// The kubelet starts the pod of the newest Job, if it lives.
    pub fn run_pod(&mut self) {
        self.set_pod(json!({"phase": "Running"}));
    }

    fn set_pod(&mut self, status: Value) {
        let Some(job) = self.observed.jobs.last().filter(|job| lives(job) && job.metadata.deletion_timestamp.is_none()) else { return };
        let pod = json!({
            "metadata": {"name": job.name_any() + "-0", "creationTimestamp": self.now, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid()}]},
            "status": status
        });
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod).unwrap();
        self.observed.pods.retain(|other| other.name_any() != pod.name_any());
        self.observed.pods.push(pod);
    }

    /// The newest attempt ends, if it lives.
    pub fn end(&mut self, condition: Value, state: Value) {
        self.set_pod(json!({
            "phase": "Failed",
            "containerStatuses": [{"name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": state}}]
        }));
        if let Some(job) = self.observed.jobs.last_mut().filter(|job| lives(job) && job.metadata.deletion_timestamp.is_none()) {
            job.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        }
    }

    /// The newest pod's node is drained.
    pub fn disrupt(&mut self) {
        self.end(failed("BackoffLimitExceeded"), json!({"exitCode": 143}));
        if let Some(status) = self.observed.pods.last_mut().and_then(|pod| pod.status.as_mut()) {
            status.conditions = Some(vec![serde_json::from_value(json!({"type": "DisruptionTarget", "status": "True"})).unwrap()]);
        }
    }

    /// Passes until nothing changes any more, with the time that they ask for; the number of passes.
    pub fn settle(&mut self) -> usize {
        for pass in 0..60 {
            let before = self.job.status.clone();
            self.reap();
            let plan = self.pass(None);
            if plan.changes.is_empty() && before == self.job.status && plan.wake.is_none_or(|wake| wake == crate::training::outcome::PATIENCE) {
                return pass;
            }
            self.now += SignedDuration::try_from(plan.wake.unwrap_or_default()).unwrap();
        }
        panic!("does not settle: {:?}", self.job.status);
    }

    /// Attempts that may run.
    fn alive(&self) -> usize {
        let jobs = self.observed.jobs.iter().filter(|job| lives(job)).count();
        let known = |pod: &k8s_openapi::api::core::v1::Pod| self.observed.jobs.iter().filter_map(ResourceExt::uid).any(|uid| crate::read::owned_by(pod, &uid));
        jobs + self.observed.pods.iter().filter(|pod| runs(pod) && !known(pod)).count()
    }

    pub fn is(&self, kind: ConditionType) -> bool {
        is_true(&self.job.status.as_ref().unwrap().conditions, kind)
    }

    pub fn reason(&self, kind: ConditionType) -> String {
        find(&self.job.status.as_ref().unwrap().conditions, kind).map(|condition| condition.reason.clone()).unwrap_or_default()
    }

    pub fn message(&self, kind: ConditionType) -> String {
        find(&self.job.status.as_ref().unwrap().conditions, kind).map(|condition| condition.message.clone()).unwrap_or_default()
    }
}

pub fn complete() -> Value {
    json!({"type": "Complete", "status": "True"})
}

pub fn failed(reason: &str) -> Value {
    json!({"type": "Failed", "status": "True", "reason": reason})
}
