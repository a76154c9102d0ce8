//! Revisions: what a model pod is made of, and its rendered template, kept in one ControllerRevision each.
//!
//! A revision is the hash of the model's content and manifest digests, the server's image digest and the fields of the
//! predictor that change a pod. The manifest digest is part of it although the content digest decides how the model
//! behaves: a pod checks the manifest digest, so that what is served is what was approved (I4) even when two versions
//! answer alike.
//!
//! **Invariant (I11):** a revision's pods are built from its record for as long as it lives, the image included. The image of a
//! runtime is looked up when a rollout starts because the *request* (model version or predictor fields) changed, and never
//! again: an administrator's new image restarts nothing and starts nothing. It comes with the next model or predictor
//! change. This module must not know rollouts, routes or a client.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelDeploymentSpec;
use plimsoll_crds::ModelVersion;
use plimsoll_crds::model_deployment::{PredictionLog, Predictor, RevisionReference};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How many hex digits name a revision.
const DIGITS: usize = 10;

/// What the spec asks to be served. As long as it stays equal, nothing is rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The version.
    pub model_version: String,
    /// The manifest digest of that version.
    pub digest: String,
    /// The predictor, with the replicas left out: scaling is no rollout.
    pub predictor: Value,
    /// What its pods hand to the evaluator. Absent where nobody asks for outcomes, so that records from before know nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction_log: Option<Logged>,
}

/// What a pod hands to the evaluator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logged {
    /// The share of predictions, as a text: API servers write 1.0 as 1, and a record that reads otherwise than it was written cannot be applied again.
    pub sample: String,
    /// Inputs of the model.
    pub columns: Vec<String>,
}

impl From<PredictionLog> for Logged {
    fn from(log: PredictionLog) -> Self {
        Self { sample: log.sample.to_string(), columns: log.columns }
    }
}

/// The parts of a spec that change a model pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving<'a> {
    /// The pods.
    pub predictor: &'a Predictor,
    /// What they hand to the evaluator.
    pub log: Option<Logged>,
}

impl<'a> Serving<'a> {
    /// Those of this spec.
    pub fn of(spec: &'a ModelDeploymentSpec) -> Self {
        Self { predictor: &spec.predictor, log: spec.logged().map(Logged::from) }
    }
}

impl Request {
    /// What is asked for when `version` is served like this.
    pub fn new(version: &ModelVersion, serving: &Serving<'_>) -> Self {
        Self {
            model_version: version.metadata.name.clone().unwrap_or_default(),
            digest: version.spec.digest.clone(),
            predictor: serving_fields(serving.predictor),
            prediction_log: serving.log.clone(),
        }
    }
}

/// A revision as it was rendered once: the data of its ControllerRevision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What it is made of.
    pub reference: RevisionReference,
    /// What was asked for when it was made.
    pub request: Request,
    /// When its ModelVersion was created: `Latest` never goes back behind it, even when that object is gone.
    pub version_created: Option<Timestamp>,
    /// The pod template.
    pub template: Value,
}

/// A revision that could be started now.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// What it is made of.
    pub reference: RevisionReference,
    /// What was asked for.
    pub request: Request,
    /// The image that its server runs.
    pub image: String,
}

impl Desired {
    /// The revision of `version` on `image`, which is what the administrator's list has for the runtime now.
    pub fn new(version: &ModelVersion, serving: &Serving<'_>, image: &str) -> Self {
        let runtime_digest = image_digest(image);
        let mut parts = serde_json::json!({
            "contentDigest": version.spec.content_digest,
            "digest": version.spec.digest,
            "runtimeDigest": runtime_digest,
            "predictor": serving_fields(serving.predictor),
        });
        if let (Some(log), Some(parts)) = (&serving.log, parts.as_object_mut()) {
            parts.insert("predictionLog".to_owned(), serde_json::json!(log));
        }
        let request = Request::new(version, serving);
        let reference = RevisionReference {
            revision: short_hash(&parts),
            model_version: request.model_version.clone(),
            digest: version.spec.digest.clone(),
            content_digest: version.spec.content_digest.clone(),
            runtime_digest,
        };
        Self { reference, request, image: image.to_owned() }
    }
}

/// The fields that change a pod. The runtime's name is one of them, so that equal revisions come from equal requests.
fn serving_fields(predictor: &Predictor) -> Value {
    serde_json::json!({
        "runtime": predictor.runtime,
        "resources": predictor.resources,
        "nodeSelector": predictor.node_selector,
        "tolerations": predictor.tolerations,
    })
}

/// What names an image's bytes: its digest, or the whole reference where the administrator did not pin it.
pub fn image_digest(image: &str) -> String {
    image.rsplit_once('@').map_or(image, |(_, digest)| digest).to_owned()
}

/// The first hex digits of the sha256 of a JSON value.
pub fn short_hash(value: &Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(DIGITS).collect()
}
