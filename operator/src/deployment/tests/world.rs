//! A cluster in memory: it stores what is applied, starts pods at once, and lets routers follow.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_crds::model_approval::Decision;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;
use plimsoll_crds::{ModelDeployment, names};
use plimsoll_stats::Verdict;
use serde_json::{Value, json};

use super::fixtures::{KEYS, approval, at, deployment, settings, version, version_name};
use crate::analysis::CheckReport;
use crate::change::{Change, same_object};
use crate::deployment::children::{kind, name};
use crate::deployment::looks::{Clock, due};
use crate::deployment::observed::{Observed, Settings};
use crate::deployment::plan::{Plan, Wake, plan};
use crate::deployment::routes::{RouterReport, Routes};
use crate::deployment::rules::Rules;

#[derive(Clone)]
pub struct World {
    pub deployment: ModelDeployment,
    pub observed: Observed,
    pub settings: Settings,
    pub now: i64,
    pub poked: bool,
    /// The verdict of every check about a revision; `Pass` where nothing is said.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What every check says whatever the revision.
    pub outage: Option<Verdict>,
    /// What the check of a name says whatever the revision.
    pub of_check: BTreeMap<String, Verdict>,
    /// Revisions whose pods never become ready.
    pub broken: Vec<String>,
    /// Kind and name of an object that the API server refuses to write.
    pub refused: Option<(&'static str, String)>,
    pub looks: usize,
    /// Whether routers are of a release that knows no tests.
    pub old_routers: bool,
    objects_made: usize,
}

impl World {
    /// Versions 1 to 4 exist, the numbers in `approved` are approved, the spec asks for `version`.
    pub fn new(version_text: &str, approved: &[u8]) -> Self {
        let observed = Observed {
            versions: (1..=4).map(version).collect(),
            approvals: approved.iter().map(|number| approval(*number, Decision::Approved)).collect(),
            approval_required: true,
            keys: Some(Ok(KEYS.to_owned())),
            ..Observed::default()
        };
        Self {
            deployment: deployment(version_text),
            observed,
            settings: settings(),
            now: 1_000,
            poked: false,
            verdicts: BTreeMap::new(),
            outage: None,
            of_check: BTreeMap::new(),
            broken: Vec::new(),
            refused: None,
            looks: 0,
            old_routers: false,
            objects_made: 0,
        }
    }

    pub fn status(&self) -> ModelDeploymentStatus {
        self.deployment.status.clone().unwrap_or_default()
    }

    pub fn ask_for(&mut self, version: &str) {
        self.deployment.spec.model.version = version.to_owned();
        self.bump();
    }

    pub fn bump(&mut self) {
        let generation = self.deployment.metadata.generation.unwrap_or(0);
        self.deployment.metadata.generation = Some(generation + 1);
    }

    pub fn approve(&mut self, number: u8) {
        self.observed.approvals.push(approval(number, Decision::Approved));
    }

    pub fn reject(&mut self, number: u8) {
        self.observed.approvals.push(approval(number, Decision::Rejected));
    }

    pub fn annotate(&mut self, key: &str, value: &str) {
        self.deployment.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    }

    pub fn routes(&self) -> Option<Routes> {
        self.observed.routes("flight-delay")
    }

    /// Weights by version number, of the versions that have any.
    pub fn traffic(&self) -> BTreeMap<u8, i32> {
        let backends = self.routes().map(|routes| routes.backends).unwrap_or_default();
        let number = |revision: &str| (1..=4).find(|number| self.version_of(revision) == Some(version_name(*number))).unwrap_or(0);
        backends.iter().filter(|backend| backend.weight > 0).map(|backend| (number(&backend.revision), backend.weight)).collect()
    }

    fn version_of(&self, revision: &str) -> Option<String> {
        self.observed.records().iter().find(|record| record.reference.revision == revision).map(|record| record.reference.model_version.clone())
    }

    pub fn object(&self, kind: &str, name: &str) -> Option<&Value> {
        self.observed.child(kind, name)
    }

    /// Pods asked for, by revision.
    pub fn replicas(&self) -> BTreeMap<String, i64> {
        let models = self.observed.children.iter().filter(|child| kind(child) == "Deployment" && name(child) != names::router("flight-delay"));
        models.map(|child| (name(child).replace("flight-delay-", ""), child["spec"]["replicas"].as_i64().unwrap())).collect()
    }

    /// What a look would say.
    fn look(&mut self) {
        let rules = Rules::read(&self.deployment.spec);
        let clock = Clock { looked_at: self.observed.looked_at, poked: self.poked, now: at(self.now) };
        self.poked = false;
        self.observed.reports = due(&self.deployment, &rules, clock).map(|look| {
            self.looks += 1;
            self.observed.looked_at = Some(at(self.now));
            let of_revision = self.verdicts.get(&look.of.candidate.revision);
            let verdict = |name: &str| self.outage.or_else(|| self.of_check.get(name).or(of_revision).copied()).unwrap_or(Verdict::Pass);
            let report = |name: &str| CheckReport { name: name.to_owned(), verdict: verdict(name), message: format!("look {}", self.looks) };
            look.checks.iter().map(|check| report(&check.name)).collect()
        });
    }

    /// One pass that the operator survives.
    pub fn pass(&mut self) -> Plan {
        let plan = self.pass_until(usize::MAX);
        self.settle();
        plan
    }

    /// One pass that ends after so many writes; the status is the last of them.
    pub fn pass_until(&mut self, writes: usize) -> Plan {
        self.look();
        let plan = plan(&self.deployment, &self.observed, &self.settings, at(self.now));
        self.carry_out(&plan, writes);
        plan
    }

    fn carry_out(&mut self, plan: &Plan, writes: usize) {
        let mut left = writes;
        for batch in plan.batches(&self.deployment.clone()) {
            for change in batch.changes {
                if left == 0 {
                    return;
                }
                if self.refuses(change) {
                    self.deployment.status = Some(batch.memory);
                    return;
                }
                self.write(change);
                left -= 1;
            }
        }
        if left > 0 {
            self.deployment.status = Some(plan.status.clone());
        }
    }

    fn refuses(&self, change: &Change) -> bool {
        let (Change::Apply(object) | Change::Create(object)) = change else { return false };
        self.refused.as_ref().is_some_and(|(wanted, of)| kind(object) == *wanted && name(object) == of)
    }

    fn write(&mut self, change: &Change) {
        match change {
            Change::Apply(object) | Change::Create(object) => self.apply(object),
            Change::Delete(reference) => {
                self.observed.children.retain(|child| child.pointer("/metadata/uid") != Some(&json!(reference.uid)));
            }
        }
    }

    fn apply(&mut self, object: &Value) {
        self.objects_made += 1;
        let uid = format!("uid-{}", self.objects_made);
        match self.observed.children.iter_mut().find(|child| same_object(child, object)) {
            Some(live) => {
                if kind(live) == "ControllerRevision" {
                    assert_eq!(live["data"], object["data"], "the API server lets nobody change a ControllerRevision's data");
                }
                if live["spec"] != object["spec"] {
                    let generation = live["metadata"]["generation"].as_i64().unwrap_or(1);
                    live["metadata"]["generation"] = json!(generation + 1);
                }
                for (key, value) in object.as_object().unwrap() {
                    if key != "metadata" {
                        live[key] = value.clone();
                    }
                }
            }
            None => {
                let mut made = object.clone();
                made["metadata"]["uid"] = json!(uid);
                made["metadata"]["generation"] = json!(1);
                self.observed.children.push(made);
            }
        }
    }

    /// Pods start and end, routers follow.
    pub fn settle(&mut self) {
        let broken = self.broken.clone();
        for child in self.observed.children.iter_mut().filter(|child| kind(child) == "Deployment") {
            let is_broken = broken.iter().any(|revision| name(child).ends_with(revision.as_str()));
            let ready = if is_broken { json!(0) } else { child["spec"]["replicas"].clone() };
            child["status"] = json!({
                "observedGeneration": child["metadata"]["generation"],
                "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": child["spec"]["replicas"],
            });
        }
        let version = self.routes().map(|routes| routes.version);
        let routers = self.object("Deployment", "flight-delay-router").and_then(|child| child["spec"]["replicas"].as_u64()).unwrap_or(0);
        let test = self.routes().and_then(|routes| routes.any_test().map(|test| test.seed.clone())).filter(|_| !self.old_routers);
        self.observed.routers = (0..routers).map(|_| RouterReport { ready: version.is_some(), version, test: test.clone() }).collect();
    }

    /// Passes, with time going by as plans ask for it, until nothing is waited for but people, or `seconds` are over.
    pub fn run(&mut self, seconds: i64) -> Vec<Plan> {
        let end = self.now + seconds;
        let mut plans = Vec::new();
        while self.now <= end {
            let before = (self.observed.children.clone(), self.observed.routers.clone(), self.deployment.status.clone());
            let plan = self.pass();
            let changed = before != (self.observed.children.clone(), self.observed.routers.clone(), self.deployment.status.clone());
            let wake = plan.wake;
            plans.push(plan);
            assert!(plans.len() < 5_000, "the operator does not come to rest");
            match wake {
                _ if changed => {}
                Wake::Now => panic!("a pass that changes nothing asks for another one"),
                Wake::After(left) => self.now += seconds_of(left),
                Wake::OnChange => break,
            }
        }
        plans
    }
}

fn seconds_of(left: Duration) -> i64 {
    i64::try_from(left.as_millis().div_ceil(1_000)).unwrap()
}
