//! What a test found so far. It changes with a look, not with what is counted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::conditions;

/// What a test found so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ABTestStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Running, Complete, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// What the test is expected to take. Before it starts it follows what the deployment's users show; then it stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<TestPlan>,
    /// When users were assigned first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended. It never goes on after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// How long outcomes are waited for, in seconds, when users were assigned first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity_seconds: Option<i64>,
    /// Every look that was taken, oldest first. Each was written here before anything followed from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub looks: Vec<LookStatus>,
    /// Whether users fell on variants as planned, at the newest look or at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<SampleRatioStatus>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<TestVerdict>,
    /// The variant that is better, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// The verdict in one sentence, with its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the report is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<TestReport>,
}

/// What a test is expected to take: estimates, from the users and outcomes that the deployment's stable revision has had before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestPlan {
    /// All of this in words; before enough is known, what is missing.
    pub message: String,
    /// Users with an outcome at which the test ends, for each variant were the weights even: `maximumUnitsPerVariant`.
    pub units_planned: i64,
    /// As many of them find a difference of `minimumDetectableEffect` with the design's `power`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_needed: Option<i64>,
    /// The smallest difference that the planned ones find with that power; of fewer, if `maximumDuration` is over before they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable_effect: Option<f64>,
    /// How long that takes, in seconds, at the rate of users so far: until the last of them is there, or `maximumDuration` is over, and the outcomes are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<i64>,
    /// Whether the planned users, and the time, find `minimumDetectableEffect` with that power. If they do not, the test runs all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<bool>,
    /// The revision whose users it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// So many of them had an outcome by then. When they are twice as many, it is estimated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_observed: Option<i64>,
}

/// The report of a test, which the deployment's evaluator draws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// A page for people; with `.json` at its end, its numbers. Inside the cluster, or by `kubectl port-forward service/<deployment>-evaluator 8080`.
    pub url: String,
    /// How many looks it knows.
    pub looks: i32,
    /// Whether it has the verdict.
    pub complete: bool,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TestVerdict {
    /// A variant is better.
    Winner,
    /// No variant differs by as much as matters.
    NoDifference,
    /// It ended before it could tell.
    Inconclusive,
    /// What was counted cannot be trusted.
    Invalid,
}

impl TestVerdict {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Winner => "Winner",
            Self::NoDifference => "NoDifference",
            Self::Inconclusive => "Inconclusive",
            Self::Invalid => "Invalid",
        }
    }
}

/// One look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookStatus {
    /// Which of the planned looks; where units came faster than looks, numbers are left out.
    pub number: i32,
    /// When.
    pub at: Time,
    /// Predictions made until then were counted, in milliseconds since 1970.
    pub counted_until: i64,
    /// The part of the planned information that was there.
    pub information: f64,
    /// Users with an outcome, by variant.
    pub units: Vec<i64>,
    /// Each treatment against the control.
    pub comparisons: Vec<ComparisonStatus>,
}

/// A treatment against the control at one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonStatus {
    /// The treatment.
    pub variant: String,
    /// Treatment minus control.
    pub estimate: f64,
    /// The standard error of that.
    pub standard_error: f64,
    /// What is compared with the boundary: estimate over standard error, on the normal's scale.
    pub statistic: f64,
    /// The boundary, on either side.
    pub bound: f64,
    /// The smallest difference that is not excluded; valid at all looks at once.
    pub lower: f64,
    /// The largest one.
    pub upper: f64,
    /// Whether the boundary was reached.
    pub crossed: bool,
}

/// ln of the e-values against "users fall on variants as planned"; above 6.9 the test is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleRatioStatus {
    /// Of users who were assigned.
    pub assigned: f64,
    /// Of users with an outcome.
    pub labelled: f64,
}
