//! ModelApproval: a person's decision about one model, bound to its bytes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{digest, object_name, optional_digest, time};

/// A gatekeeper's decision about one ModelVersion. Immutable: to decide otherwise, delete it or create another one. It gates
/// increases of a candidate's traffic only: it never blocks a rollback, and an expired one takes no stable model down.
/// A standing rejection wins over every approval.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "ModelApproval",
    plural = "modelapprovals",
    shortname = "ma",
    category = "plimsoll",
    namespaced,
    derive = "PartialEq",
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.modelVersion"}"#,
    printcolumn = r#"{"name":"Decision","type":"string","jsonPath":".spec.decision"}"#,
    printcolumn = r#"{"name":"Approver","type":"string","jsonPath":".spec.approver"}"#,
    // No date: those are shown as an age, and a time to come as <invalid>.
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expiresAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = ("self.spec == oldSelf.spec", "a ModelApproval is immutable: delete it, or create another one")
)]
#[serde(rename_all = "camelCase")]
pub struct ModelApprovalSpec {
    /// The ModelVersion that is decided about.
    #[schemars(schema_with = "object_name")]
    pub model_version: String,
    /// Its digest: the decision is about these bytes.
    #[schemars(schema_with = "digest")]
    pub digest: String,
    /// The digest of the report that the approver read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_digest")]
    pub report_digest: Option<String>,
    /// Approved or Rejected.
    pub decision: Decision,
    /// Who decides: must be the name under which the API server knows the caller (`kubectl auth whoami`).
    #[schemars(length(min = 1, max = 256))]
    pub approver: String,
    /// Why.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
    /// When an approval ends; a rejection does not. It does not take down what already serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub expires_at: Option<Time>,
}

/// A gatekeeper's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// The model may get live traffic.
    Approved,
    /// The model must not get live traffic.
    Rejected,
}
