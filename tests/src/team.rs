//! A namespace in which people train, approve and deploy models, as they would with kubectl.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::cluster::{Cluster, is_true, text};
use crate::stage::Stage;

/// How long a training may take.
const TRAINED_WITHIN: Duration = Duration::from_secs(400);
/// What a serving pod of a journey asks for: many journeys share two processors.
const SERVES: &str = "20m";
/// What a training asks for: four at a time have a share in which they end; others wait for room.
const TRAINS: &str = "300m";

/// The people of a namespace. What they may do is written at [`Stage::team`].
#[derive(Clone, Debug)]
pub struct Team {
    /// Where.
    pub namespace: String,
    /// The cluster that they share.
    pub stage: Stage,
    /// Trains models.
    pub ann: Cluster,
    /// Approves them.
    pub gil: Cluster,
    /// A colleague, who may edit.
    pub cole: Cluster,
    /// Whether the namespace goes with this value.
    throw_away: bool,
}

impl Team {
    /// Makes the namespace, which stays.
    ///
    /// # Errors
    /// The API server refused.
    pub fn settle(stage: &Stage, namespace: &str) -> anyhow::Result<Self> {
        stage.team(namespace)?;
        let (ann, gil, cole) = (stage.person("ann")?, stage.person("gil")?, stage.person("cole")?);
        Ok(Self { namespace: namespace.to_owned(), stage: stage.clone(), ann, gil, cole, throw_away: false })
    }

    /// Makes a namespace that is deleted when this value goes.
    ///
    /// # Errors
    /// The API server refused.
    pub fn visit(stage: &Stage, what: &str) -> anyhow::Result<Self> {
        let mut team = Self::settle(stage, &format!("journey-{what}-{}", std::process::id()))?;
        team.throw_away = true;
        Ok(team)
    }

    /// Trains a model from this manifest and gives its ModelVersion.
    ///
    /// # Errors
    /// The job ends otherwise.
    pub fn train(&self, manifest: &str) -> anyhow::Result<Value> {
        self.train_as(&self.ann, manifest)
    }

    /// The same, by somebody.
    ///
    /// # Errors
    /// The job ends otherwise.
    pub fn train_as(&self, who: &Cluster, manifest: &str) -> anyhow::Result<Value> {
        let job = self.here(manifest)?;
        self.apply(who, &job.to_string())?;
        let name = text(&job, "/metadata/name");
        let ended = |job: &Value| is_true(job, "Ready") || is_true(job, "Stalled");
        let job = self.stage.admin.wait(&self.namespace, &format!("trainingjob/{name}"), TRAINED_WITHIN, ended)?;
        ensure!(is_true(&job, "Ready"), "{name}: {}", job.get("status").unwrap_or(&Value::Null));
        self.get(&format!("modelversion/{}", text(&job, "/status/result/modelVersion")))
    }

    /// A small model in a second or two: the first sample, linear, one epoch, hardly a gate, with this name and seed.
    ///
    /// # Errors
    /// The sample cannot be read.
    pub fn quick_job(&self, name: &str, seed: u32) -> anyhow::Result<Value> {
        let mut job: Value = serde_yaml::from_str(&self.stage.sample("v1.yaml")?)?;
        let changes = [
            ("/metadata/name", json!(name)),
            ("/spec/optimization/seed", json!(seed)),
            ("/spec/optimization/epochs", json!(1)),
            ("/spec/evaluation/gates", json!([{"metric": "auc", "minimum": 0.1}])),
            ("/spec/workers/resources/requests/cpu", json!(TRAINS)),
        ];
        for (pointer, value) in changes {
            *job.pointer_mut(pointer).with_context(|| format!("the sample has no {pointer}"))? = value;
        }
        // This namespace's own corner of the store.
        *job.pointer_mut("/spec/output/uri").context("the sample has an output")? = json!(format!("s3://models/{}", self.namespace));
        self.here(&job.to_string())
    }

    /// Applies a manifest in this namespace.
    ///
    /// # Errors
    /// The API server refused.
    pub fn apply(&self, who: &Cluster, manifest: &str) -> anyhow::Result<String> {
        who.kubectl_with(&["-n", &self.namespace, "apply", "-f", "-"], Some(manifest))
    }

    /// The approval of a version by somebody.
    pub fn approval(&self, approver: &str, version: &Value) -> Value {
        let name = text(version, "/metadata/name");
        json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelApproval", "metadata": {"name": format!("{name}-{approver}"), "namespace": self.namespace},
            "spec": {"modelVersion": name, "digest": text(version, "/spec/digest"), "reportDigest": text(version, "/spec/report/digest"), "decision": "Approved", "approver": approver, "reason": "the report is convincing"}})
    }

    /// The gatekeeper approves.
    ///
    /// # Errors
    /// The API server refused.
    pub fn approve(&self, version: &Value) -> anyhow::Result<()> {
        self.apply(&self.gil, &self.approval("gil", version).to_string()).map(drop)
    }

    /// Applies the sample's ModelDeployment with changes to its spec, as a person would edit the file.
    ///
    /// # Errors
    /// The API server refused.
    pub fn deploy(&self, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        self.deploy_as(&self.ann, change)
    }

    /// The same, by somebody.
    ///
    /// # Errors
    /// The API server refused.
    pub fn deploy_as(&self, who: &Cluster, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        let mut manifest = self.here(&self.stage.sample("deployment.yaml")?)?;
        if self.throw_away {
            for part in ["predictor", "router"] {
                *manifest.pointer_mut(&format!("/spec/{part}/resources/requests/cpu")).context("the sample's pods ask for a processor")? = json!(SERVES);
            }
        }
        change(manifest.pointer_mut("/spec").context("the sample has a spec")?);
        self.apply(who, &manifest.to_string()).map(drop)
    }

    /// An object of the namespace; null when it is not there.
    ///
    /// # Errors
    /// The API server cannot be asked.
    pub fn get(&self, what: &str) -> anyhow::Result<Value> {
        self.stage.admin.get(&self.namespace, what)
    }

    /// Waits until the sample's ModelDeployment says what is expected.
    ///
    /// # Errors
    /// It does not in time.
    pub fn wait(&self, seconds: u64, expected: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.stage.admin.wait(&self.namespace, "modeldeployment/flight-delay", Duration::from_secs(seconds), expected)
    }

    /// Where the deployment's router answers, gRPC and REST.
    ///
    /// # Errors
    /// There is no Service.
    pub fn address(&self) -> anyhow::Result<String> {
        let service = self.get("service/flight-delay")?;
        ensure!(!service.is_null(), "the ModelDeployment has no Service");
        Ok(format!("{}:8080", text(&service, "/spec/clusterIP")))
    }

    /// A manifest as it reads in this namespace.
    fn here(&self, manifest: &str) -> anyhow::Result<Value> {
        let mut object: Value = serde_yaml::from_str(manifest)?;
        let metadata = object.pointer_mut("/metadata").and_then(Value::as_object_mut).context("a manifest has metadata")?;
        metadata.insert("namespace".to_owned(), json!(self.namespace));
        Ok(object)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if self.throw_away {
            let _ = self.stage.admin.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
    }
}

/// Whether a ModelDeployment serves what its spec asks for, with nothing tried and nothing kept warm.
pub fn settled(deployment: &Value) -> bool {
    let absent = |pointer: &str| deployment.pointer(pointer).is_none_or(Value::is_null);
    is_true(deployment, "Ready") && is_true(deployment, "Promoted") && absent("/status/candidate") && absent("/status/previous")
}
