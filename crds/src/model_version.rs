//! ModelVersion: one model that passed its gates, named by its bytes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Window, conditions, digest, object_name, optional_object_name};
use crate::training_job::Metric;
use crate::training_job::result::{GateResult, ReportReference};

/// A model that passed its gates. Made by the operator only, never changed, and owned by nobody: it stays when its
/// TrainingJob is deleted. Its name ends with the first ten hex digits of its digest.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "ModelVersion",
    plural = "modelversions",
    shortname = "mv",
    category = "plimsoll",
    namespaced,
    status = "ModelVersionStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Model","type":"string","jsonPath":".spec.model"}"#,
    printcolumn = r#"{"name":"Approved","type":"string","jsonPath":".status.conditions[?(@.type==\"Approved\")].status"}"#,
    printcolumn = r#"{"name":"AUC","type":"string","jsonPath":".spec.metrics.auc"}"#,
    printcolumn = r#"{"name":"Author","type":"string","jsonPath":".spec.author","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = (
        "self.metadata.name == self.spec.model + '-' + self.spec.digest.substring(7, 17)",
        "metadata.name must be the model, a dash and the first ten hex digits of the digest"
    ),
    validation = ("self.spec == oldSelf.spec", "a ModelVersion is immutable: train another one")
)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionSpec {
    /// The line of models.
    #[schemars(schema_with = "object_name")]
    #[x_kube(validation = ("size(self) <= 40", "model must have at most 40 characters"))]
    pub model: String,
    /// sha256 of the artifact's manifest: what an approval is bound to, and what a server checks before it is ready.
    #[schemars(schema_with = "digest")]
    pub digest: String,
    /// sha256 of weights, pipeline and threshold: two versions with the same one answer alike.
    #[schemars(schema_with = "digest")]
    pub content_digest: String,
    /// Where the artifact lies.
    #[schemars(length(min = 1, max = 1200))]
    pub uri: String,
    /// The Secret with which serving pods fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_object_name")]
    pub credentials_secret: Option<String>,
    /// Inputs and outputs of the served model.
    pub signature: Signature,
    /// Metrics on the test rows.
    #[schemars(extend("maxProperties" = 32))]
    pub metrics: BTreeMap<Metric, f64>,
    /// The gates that it passed.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub gates: Vec<GateResult>,
    /// The report that an approver reads, with the digest that an approval may name.
    pub report: ReportReference,
    /// sha256 of each source that it was trained on.
    #[schemars(extend("maxProperties" = 16))]
    pub data_digests: BTreeMap<String, String>,
    /// The window that it was trained on.
    pub window: Window,
    /// The run that made it.
    pub training_job: TrainingJobReference,
    /// Who created the TrainingJob, as the API server recorded it; `unknown` where no admission policy stamps it.
    #[schemars(length(max = 256))]
    pub author: String,
    /// The version of Plimsoll that trained it.
    #[schemars(length(max = 64))]
    pub software_version: String,
}

/// Inputs and outputs of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// One input per feature.
    #[schemars(length(max = 256))]
    pub inputs: Vec<SignatureInput>,
    /// What it answers.
    #[schemars(length(max = 8))]
    pub outputs: Vec<SignatureOutput>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureInput {
    /// The feature.
    pub name: String,
    /// The Open Inference Protocol's datatype.
    pub datatype: String,
    /// How a caller says that the value is missing.
    pub missing: String,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureOutput {
    /// Its name.
    pub name: String,
    /// The Open Inference Protocol's datatype.
    pub datatype: String,
}

/// The run that made a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrainingJobReference {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// What became of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Approved, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The ModelDeployments whose stable or candidate it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serving: Vec<String>,
}
