//! ABTest: which of several models is better, by what came true for the users who met each.

mod status;

pub use status::{ABTestStatus, ComparisonStatus, LookStatus, SampleRatioStatus, TestPlan, TestReport, TestVerdict};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::object_name;

/// Compares two or more models on live traffic. Each user meets one of them, always the same, or in the mode Paired everybody meets the control
/// while the treatment answers the same calls for nobody; what came true tells which is better, with a stated chance of error that holds
/// however often one looks. While a test runs, nothing else is rolled out on its ModelDeployment;
/// when it ends, is paused or deleted, all traffic goes back to the stable revision. What was fixed when it was made stays: to ask another question,
/// make another test.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "ABTest",
    plural = "abtests",
    shortname = "abt",
    category = "plimsoll",
    namespaced,
    status = "ABTestStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Deployment","type":"string","jsonPath":".spec.deployment"}"#,
    printcolumn = r#"{"name":"Running","type":"string","jsonPath":".status.conditions[?(@.type==\"Running\")].status"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict"}"#,
    printcolumn = r#"{"name":"Winner","type":"string","jsonPath":".status.winner"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = ("size(self.metadata.name) <= 40", "metadata.name must have at most 40 characters"),
    validation = ("self.spec.mode != 'Paired' || size(self.spec.variants) == 2", "a paired test has two variants: the control and one treatment"),
    validation = (
        "self.spec.mode == oldSelf.spec.mode && self.spec.deployment == oldSelf.spec.deployment && self.spec.variants == oldSelf.spec.variants && self.spec.unit == oldSelf.spec.unit && self.spec.primary == oldSelf.spec.primary && self.spec.design == oldSelf.spec.design && has(self.spec.guardrails) == has(oldSelf.spec.guardrails) && (!has(self.spec.guardrails) || self.spec.guardrails == oldSelf.spec.guardrails)",
        "what a test asks and how it is judged is fixed when it is made: delete it, or make another one (only paused and onWinner can be changed)"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ABTestSpec {
    /// The ModelDeployment whose traffic is split. It must collect outcomes (`spec.outcomes`).
    #[schemars(schema_with = "object_name")]
    pub deployment: String,
    /// What users meet. The first is the control, and names the model that the deployment serves. The same model twice is an A/A test: it finds
    /// nothing, unless something is wrong with the test.
    #[schemars(length(min = 2, max = 5))]
    #[x_kube(validation = ("self.all(v, self.exists_one(w, w.name == v.name))", "variants must have distinct names"))]
    #[x_kube(validation = ("self.map(v, v.weight).sum() == 100", "the variants' weights must sum to 100"))]
    pub variants: Vec<Variant>,
    /// Split: each user meets one variant, always the same. Paired: every caller is answered by the control, and the treatment answers a copy of
    /// each call of the users in the test, which nobody gets; both are compared by the one outcome. That takes far fewer users and lets nobody
    /// meet an untried model, but what an answer does to a user it cannot tell; it takes two variants, and every call is computed twice.
    #[serde(default)]
    pub mode: Mode,
    /// Whom a variant is drawn for; in the mode Paired, whose calls are compared.
    pub unit: Unit,
    /// What decides.
    pub primary: Primary,
    /// What must not get worse. A treatment that fails one ends the test at once, and everybody meets the stable revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub guardrails: Vec<Guardrail>,
    /// How it is judged.
    #[serde(default)]
    pub design: Design,
    /// What becomes of a treatment that wins.
    #[serde(default)]
    pub on_winner: OnWinner,
    /// Holds the test: all traffic goes to the stable revision, and nothing is looked at. What was counted stays.
    #[serde(default)]
    pub paused: bool,
}

/// One model of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// For example `control` or `treatment`.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The ModelVersion that answers. Approvals apply as in a rollout.
    #[schemars(schema_with = "object_name")]
    pub model_version: String,
    /// Its share of the users, in percent. In the mode Paired nobody is split: each variant answers all of them, whatever the weights are.
    #[schemars(range(min = 1, max = 99))]
    pub weight: i32,
}

/// Who answers whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Each user meets one variant, always the same.
    #[default]
    Split,
    /// Every caller is answered by the control, and the treatment answers copies.
    Paired,
}

/// Whom a variant is drawn for. Everybody with the same value meets the same variant in this test; another test draws anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// The request header that names the user. Calls without it are in no test, and are answered by the stable revision.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub header: String,
}

/// The one metric that decides.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.minimumDetectableEffect > 0.0", "minimumDetectableEffect must be above 0"))]
#[serde(rename_all = "camelCase")]
pub struct Primary {
    /// The mean of what over predictions.
    pub metric: Metric,
    /// Where better is.
    pub direction: Direction,
    /// The smallest difference that matters, in the metric's own unit: differences within it are `NoDifference`.
    pub minimum_detectable_effect: f64,
}

/// A metric of predictions whose outcome came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Which.
    pub outcome: OutcomeMetric,
}

/// Metrics that are means over predictions, so that their error can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeMetric {
    /// −ln of the probability that was given to what came true.
    LogLoss,
    /// The squared error of the probability.
    Brier,
    /// The share of right answers.
    Accuracy,
    /// The absolute error.
    MeanAbsoluteError,
    /// The squared error.
    MeanSquaredError,
}

/// Where better is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Smaller is better.
    Decrease,
    /// Larger is better.
    Increase,
}

/// What must not get worse.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.margin > 0.0 && self.margin < 1.0", "margin must lie between 0 and 1"))]
#[x_kube(validation = ("!has(self.alpha) || (self.alpha > 0.0 && self.alpha < 0.5)", "alpha must lie between 0 and 0.5"))]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    /// Which.
    pub metric: GuardrailMetric,
    /// How much worse than the control a variant may be, as a share of its calls.
    pub margin: f64,
    /// The chance that a variant which is within the margin is switched off; 0.001 if it is not said. (The API server fills in nothing here:
    /// a default inside a list would make every `kubectl apply` of the same manifest a change.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// What a guardrail watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GuardrailMetric {
    /// The share of calls that failed through the server's fault, as routers count them.
    ErrorRate,
}

/// How a test is judged.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.alpha > 0.0 && self.alpha < 0.5", "alpha must lie between 0 and 0.5"))]
#[x_kube(validation = ("self.power > self.alpha && self.power < 1.0", "power must lie between alpha and 1"))]
#[serde(rename_all = "camelCase")]
pub struct Design {
    /// GroupSequential where the most units are known: nearly as strong as a test with one look. AlwaysValid where they are not.
    #[serde(default)]
    pub method: Method,
    /// The chance of finding a difference where there is none, over all looks and all treatments.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The chance of finding a difference of `minimumDetectableEffect`.
    #[serde(default = "default_power")]
    pub power: f64,
    /// Users with an outcome at which the test ends, for each variant were the weights even.
    #[serde(default = "default_units")]
    #[schemars(range(min = 100, max = 1_000_000_000))]
    pub maximum_units_per_variant: i64,
    /// How often it is looked at until then, evenly over the units.
    #[serde(default = "default_looks")]
    #[schemars(range(min = 1, max = 100))]
    pub looks: i32,
    /// The longest time that users are assigned, from the first one on, pauses included. Then the last outcomes are waited for, and the test ends.
    #[serde(default = "default_duration")]
    pub maximum_duration: DurationText,
}

impl Default for Design {
    fn default() -> Self {
        Self {
            method: Method::default(),
            alpha: default_alpha(),
            power: default_power(),
            maximum_units_per_variant: default_units(),
            looks: default_looks(),
            maximum_duration: default_duration(),
        }
    }
}

/// How the chance of error is kept over many looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// Boundaries for planned looks, each with a part of alpha of its own: valid also for users who come back.
    #[default]
    GroupSequential,
    /// A confidence sequence, valid whenever one looks.
    AlwaysValid,
}

/// What becomes of a treatment that wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnWinner {
    /// It is told. A person names it in the ModelDeployment, or not.
    #[default]
    Report,
    /// A ModelDeployment of `version: Latest` may roll it out, with its steps and checks; a still newer version that is approved goes before it. No spec is written.
    Promote,
}

fn default_alpha() -> f64 {
    0.05
}

fn default_power() -> f64 {
    0.8
}

fn default_units() -> i64 {
    10_000
}

fn default_looks() -> i32 {
    10
}

fn default_duration() -> DurationText {
    DurationText::new("28d")
}
