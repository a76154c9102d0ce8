//! ModelDeployment: a model in production, and how its next version takes over.

mod checks;
mod outcomes;
mod status;
mod strategy;

pub use checks::{
    AlertCheck, Check, CheckSpec, DriftCheck, DriftOf, DriftReference, ErrorRateCheck, OutcomeCheck, OutcomeReference, SkillMetric, VersusStable,
};
pub use outcomes::{Database, Export, Outcomes, PostgresqlDatabase, PredictionLog, SqliteVolume};
pub use status::{
    Blocked, Candidate, CheckStatus, DecisionRecord, HistoryEntry, ModelDeploymentStatus, Outcome, PendingVerdict, RevisionReference, RoutesStatus,
    StableRevision, TestInProgress, VariantInProgress,
};
pub use strategy::{Canary, CanaryStep, Pause, Predictor, Rollback, RouterSpec, SetWeight, Strategy};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::object_name;

/// Serves one line of models behind one address, and moves traffic to its newer versions step by step: forward while its
/// checks pass, back as soon as one fails. Decisions live in the status; the spec is never written by Plimsoll.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "ModelDeployment",
    plural = "modeldeployments",
    shortname = "md",
    category = "plimsoll",
    namespaced,
    status = "ModelDeploymentStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Stable","type":"string","jsonPath":".status.stable.modelVersion"}"#,
    printcolumn = r#"{"name":"Candidate","type":"string","jsonPath":".status.candidate.modelVersion"}"#,
    printcolumn = r#"{"name":"Weight","type":"integer","jsonPath":".status.candidate.weight"}"#,
    printcolumn = r#"{"name":"Promoted","type":"string","jsonPath":".status.conditions[?(@.type==\"Promoted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = ("size(self.metadata.name) <= 40", "metadata.name must have at most 40 characters: the names of its children are made from it"),
    validation = (
        "!has(self.spec.strategy) || !has(self.spec.strategy.canary) || !has(self.spec.strategy.canary.checks) || self.spec.strategy.canary.checks.all(c, has(self.spec.checks) && self.spec.checks.exists(d, d.name == c))",
        "strategy.canary.checks must name entries of spec.checks"
    ),
    validation = ("!has(self.spec.predictionLog) || has(self.spec.outcomes)", "predictionLog needs outcomes: there is nobody else to keep predictions"),
    validation = (
        "has(self.spec.outcomes) || !has(self.spec.checks) || self.spec.checks.all(c, !has(c.outcome))",
        "a check of the kind outcome needs outcomes: set spec.outcomes.maturity, how long after a prediction its outcome may come"
    ),
    validation = (
        "!has(oldSelf.spec.outcomes) || !has(self.spec.outcomes) || !has(oldSelf.spec.outcomes.database.sqlite) || !has(self.spec.outcomes.database.sqlite) || self.spec.outcomes.database.sqlite == oldSelf.spec.outcomes.database.sqlite",
        "outcomes.database.sqlite cannot be changed: the volume is there already; its claim can be made larger with kubectl edit pvc"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentSpec {
    /// Which model serves.
    pub model: ModelReference,
    /// How often checks are looked at. A firing alert makes the operator look at once.
    #[serde(default = "default_check_interval")]
    pub check_interval: DurationText,
    /// The pods that answer.
    #[serde(default)]
    pub predictor: Predictor,
    /// The pods that split traffic.
    #[serde(default)]
    pub router: RouterSpec,
    /// How the next version takes over.
    #[serde(default)]
    pub strategy: Strategy,
    /// What is looked at, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = ("self.all(c, self.exists_one(d, d.name == c.name))", "checks must have distinct names"))]
    #[x_kube(validation = ("self.all(c, [has(c.errorRate), has(c.drift), has(c.alert), has(c.outcome)].exists_one(x, x))", "a check has exactly one of errorRate, drift, alert and outcome"))]
    pub checks: Vec<Check>,
    /// How long the way back stays open.
    #[serde(default)]
    pub rollback: Rollback,
    /// Keeps predictions and joins them to what came true. Without it, nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
    /// Which predictions are kept, and what of them; all of them without any inputs, if `outcomes` is set and this is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction_log: Option<PredictionLog>,
}

impl ModelDeploymentSpec {
    /// What model servers hand to the evaluator; `None` where nobody asks for outcomes.
    pub fn logged(&self) -> Option<PredictionLog> {
        self.outcomes.as_ref().map(|_| self.prediction_log.clone().unwrap_or_default())
    }
}

/// Which model serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelReference {
    /// The line of models.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// `Latest` for the newest approved version (never one older than what serves), or the name of a ModelVersion.
    #[serde(default = "latest")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^(Latest|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"))]
    pub version: String,
}

/// The version that follows the newest approved one.
pub const LATEST: &str = "Latest";

fn latest() -> String {
    LATEST.to_owned()
}

fn default_check_interval() -> DurationText {
    DurationText::new("15s")
}
