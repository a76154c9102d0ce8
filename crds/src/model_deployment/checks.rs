//! What a rollout looks at. A check ends in one of five verdicts: Pass, Fail, NoData, TooLittle, ProviderError.
//! Only Fail takes traffic away, only Pass moves it on.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The name by which the strategy calls it.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Compares failed calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRateCheck>,
    /// Compares the values that callers send, or the predictions, with those of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftCheck>,
    /// Watches a Prometheus alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertCheck>,
    /// Asks whether the candidate tells more about what came true than the base rate does. Needs `spec.outcomes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeCheck>,
}

/// A check by what it looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CheckSpec<'a> {
    /// Compares failed calls.
    ErrorRate(&'a ErrorRateCheck),
    /// Compares distributions.
    Drift(&'a DriftCheck),
    /// Watches an alert.
    Alert(&'a AlertCheck),
    /// Asks what came true.
    Outcome(&'a OutcomeCheck),
}

impl Check {
    /// What the check looks at; `None` when the object has none or several, which the API server refuses.
    pub fn spec(&self) -> Option<CheckSpec<'_>> {
        match (&self.error_rate, &self.drift, &self.alert, &self.outcome) {
            (Some(check), None, None, None) => Some(CheckSpec::ErrorRate(check)),
            (None, Some(check), None, None) => Some(CheckSpec::Drift(check)),
            (None, None, Some(check), None) => Some(CheckSpec::Alert(check)),
            (None, None, None, Some(check)) => Some(CheckSpec::Outcome(check)),
            _ => None,
        }
    }
}

/// Compares the share of failed calls (server errors and lost connections) among answers and failures, between candidate and stable. Calls
/// that the caller got wrong or gave up, and calls that were turned away, count for nothing: a candidate that answers nobody waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRateCheck {
    /// The comparison with the stable revision.
    pub versus_stable: VersusStable,
}

/// A comparison that stays valid however often it is looked at.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.margin > 0.0 && self.margin < 1.0", "margin must lie between 0 and 1"))]
#[x_kube(validation = ("self.alpha > 0.0 && self.alpha < 0.5", "alpha must lie between 0 and 0.5"))]
#[serde(rename_all = "camelCase")]
pub struct VersusStable {
    /// How much worse the candidate may be: Pass when a difference of this size is excluded. 0.005 is half a percent of the calls.
    pub margin: f64,
    /// The chance of a false Fail, and of a false Pass, over the whole rollout step.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
}

/// Compares counts in buckets by the population stability index (PSI). The chance of a false Fail is 0.001 over a step.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.threshold > 0.0", "threshold must be above 0"))]
#[serde(rename_all = "camelCase")]
pub struct DriftCheck {
    /// What is compared.
    pub of: DriftOf,
    /// With what.
    #[serde(default)]
    pub reference: DriftReference,
    /// Looks at how much farther the candidate is from its own training data than the stable revision is from its own, on
    /// the same traffic: the world's changes cancel out, a broken pipeline does not. Features that the stable model does not have
    /// are not judged.
    #[serde(default)]
    pub versus_stable: bool,
    /// The PSI that is tolerated. Below 0.25 a canary with sticky users cries wolf.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Predictions that must have been counted before there is a verdict.
    #[serde(default = "default_minimum_samples")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub minimum_samples: i64,
    /// Features that are left out, such as the hour of the day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub exclude: Vec<String>,
}

/// What drift is measured of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftOf {
    /// Every feature by itself; the worst one decides.
    Features,
    /// The predicted probability.
    Predictions,
}

/// What the counts are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftReference {
    /// The rows that the model was trained on (for predictions: held-out rows).
    #[default]
    Training,
}

/// Watches a Prometheus alert about this deployment's candidate. Pass: its rule is loaded, was evaluated since the step began,
/// and is not firing. Fail: it fires, and did not before the rollout began (that is NoData, too). A rule that is not there is NoData. Needs the chart value `prometheus.url`; without it the
/// verdict is ProviderError.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertCheck {
    /// Labels of the alert; `alertname` is needed. The namespace and the deployment are always added.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub match_labels: BTreeMap<String, String>,
}

/// Asks how much more the candidate tells about what came true than always saying the base rate of the same predictions: skill = 1 − loss / loss of
/// the base rate. 0 is a model that knows nothing but the base rate; when the world changes and the base rate with it, plain accuracy moves and
/// skill does not. It is judged by the predictions whose time for an outcome is over (`outcomes.maturity`), so a step lasts at least that long. All
/// predictions of the revision count that no ABTest chose it for, also those of an earlier rollout of the same revision.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.minimumSkill < 1.0", "minimumSkill must be below 1, which is the skill of a model that is always right"))]
#[x_kube(validation = ("!has(self.alpha) || (self.alpha > 0.0 && self.alpha < 0.5)", "alpha must lie between 0 and 0.5"))]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCheck {
    /// What a wrong prediction loses.
    pub metric: SkillMetric,
    /// What the candidate is compared with.
    pub versus: OutcomeReference,
    /// The skill that is asked for. Pass when every skill that the outcomes leave possible is at least this, Fail when every one is below it. It may be
    /// below 0: −0.1 tolerates a loss that is a tenth above that of the base rate.
    pub minimum_skill: f64,
    /// Outcomes of the candidate before which there is no verdict; 500 if it is not said. With fewer than a few hundred, `alpha` is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000_000_000))]
    pub minimum_outcomes: Option<i64>,
    /// The chance of a false Fail, and of a false Pass, over all looks at the revision; 0.001 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// Metrics for which it is known what always saying the base rate would lose; spelt as in an ABTest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SkillMetric {
    /// −ln of the probability that was given to what came true.
    LogLoss,
    /// The squared error of the probability.
    Brier,
    /// The squared error of a number.
    MeanSquaredError,
}

/// What outcomes are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OutcomeReference {
    /// The share of positive outcomes (or the mean outcome) of the candidate's own predictions, said of each of them.
    BaseRate,
}

impl OutcomeCheck {
    /// Outcomes before which there is no verdict.
    pub fn minimum_outcomes(&self) -> i64 {
        self.minimum_outcomes.unwrap_or(MINIMUM_OUTCOMES)
    }

    /// The chance of error.
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or_else(default_alpha)
    }
}

impl SkillMetric {
    /// As it is spelt in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "logLoss",
            Self::Brier => "brier",
            Self::MeanSquaredError => "meanSquaredError",
        }
    }
}

/// The usual `minimumOutcomes`.
const MINIMUM_OUTCOMES: i64 = 500;

fn default_alpha() -> f64 {
    0.001
}

fn default_threshold() -> f64 {
    0.25
}

fn default_minimum_samples() -> i64 {
    500
}
