//! What a ModelDeployment does now, what it did, and why.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::conditions;

/// What the operator decided and saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Available, Progressing, Paused, AwaitingApproval, TrafficVerified, DriftDetected, RolledBack, Promoted, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// What serves and is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<StableRevision>,
    /// What is being tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// What served before the stable revision, while it is kept warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<StableRevision>,
    /// What routers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<RoutesStatus>,
    /// The ABTest that has this deployment, until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestInProgress>,
    /// Models that failed on a runtime, and are not tried there again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// Each check's latest verdict. Changes with the verdict, not with each look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// Revisions that were stable, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// The newest 20 decisions, newest first: what, why, the numbers, the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRecord>,
    /// The retry token that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_retry: Option<String>,
    /// The resume token that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_resume: Option<String>,
}

/// What a revision is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionReference {
    /// The revision: a hash of content, server image and serving fields.
    pub revision: String,
    /// The model.
    pub model_version: String,
    /// The digest that its pods check before they are ready.
    pub digest: String,
    /// What makes the model behave as it does.
    pub content_digest: String,
    /// The digest of the server's image.
    pub runtime_digest: String,
}

/// What serves and is trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StableRevision {
    /// What it is made of.
    #[serde(flatten)]
    pub reference: RevisionReference,
    /// Since when it has all of the traffic.
    pub since: Time,
    /// While it is kept warm for its successor: counts since then are what the successor is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_since: Option<Time>,
}

/// What is being tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// What it is made of.
    #[serde(flatten)]
    pub reference: RevisionReference,
    /// The step of the strategy, counted from 0.
    pub step: i32,
    /// Its share of the traffic, in basis points (1/10,000).
    pub weight: i32,
    /// When the rollout began.
    pub started_at: Time,
    /// When the step began. Counts for checks start here.
    pub step_started_at: Time,
    /// Counts of the stable revision since then are what the candidate is compared with: the start of the latest step in which
    /// both had traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_since: Option<Time>,
    /// A verdict that was reached and is acted on next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<PendingVerdict>,
}

/// A verdict, written down before anything moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingVerdict {
    /// What follows.
    pub outcome: Outcome,
    /// The check that decided, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The numbers and the rule.
    pub message: String,
    /// When it was reached.
    pub at: Time,
}

/// What a verdict leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The next step.
    Advance,
    /// Back to the stable revision.
    Rollback,
}

/// What routers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutesStatus {
    /// The version of the routes that was written last.
    pub version: i64,
    /// Weights by revision, in basis points.
    pub weights: BTreeMap<String, i32>,
    /// Whether every ready router reports this version.
    pub verified: bool,
}

/// An ABTest that has a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestInProgress {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What users meet, control first; empty until it is known what answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub variants: Vec<VariantInProgress>,
    /// Whether users are assigned.
    pub splitting: bool,
    /// Why they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Whether that is because a gatekeeper rejected a variant.
    #[serde(default)]
    pub rejected: bool,
}

/// One side of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantInProgress {
    /// Its name in the ABTest.
    pub name: String,
    /// What answers.
    #[serde(flatten)]
    pub reference: RevisionReference,
}

/// A model that failed on a runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// What makes the model behave as it does.
    pub content_digest: String,
    /// The digest of the server's image.
    pub runtime_digest: String,
    /// The version that was tried.
    pub model_version: String,
    /// The check that failed.
    pub check: String,
    /// A hash of that check's definition: another definition lifts the block.
    pub check_hash: String,
    /// The numbers and the rule.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// A check's latest verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// The check.
    pub name: String,
    /// Pass, Fail, NoData, TooLittle or ProviderError.
    pub verdict: String,
    /// Since when.
    pub since: Time,
    /// The numbers when the verdict was reached.
    pub message: String,
}

/// A revision that was stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The revision.
    pub revision: String,
    /// Its model.
    pub model_version: String,
    /// When it got all of the traffic.
    pub promoted_at: Time,
    /// When another one did.
    pub ended_at: Time,
    /// Why it ended.
    pub reason: String,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// When.
    pub at: Time,
    /// What: RolloutStarted, StepCompleted, Promoted, RolledBack, Held, Resumed, Retried, Superseded.
    pub what: String,
    /// The revision that it is about.
    pub revision: String,
    /// The model that it is about.
    pub model_version: String,
    /// The candidate's weight after it, in basis points.
    pub weight: i32,
    /// Why, with the numbers and the rule.
    pub why: String,
}
