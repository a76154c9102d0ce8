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
use plimsoll_crds::ModelVersion;
use plimsoll_crds::model_deployment::{Predictor, RevisionReference};
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
}

impl Request {
    /// What is asked for when `version` is served by `predictor`.
    pub fn new(version: &ModelVersion, predictor: &Predictor) -> Self {
        Self { model_version: version.metadata.name.clone().unwrap_or_default(), digest: version.spec.digest.clone(), predictor: serving_fields(predictor) }
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
    pub fn new(version: &ModelVersion, predictor: &Predictor, image: &str) -> Self {
        let runtime_digest = image_digest(image);
        let parts = serde_json::json!({
            "contentDigest": version.spec.content_digest,
            "digest": version.spec.digest,
            "runtimeDigest": runtime_digest,
            "predictor": serving_fields(predictor),
        });
        let request = Request::new(version, predictor);
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
