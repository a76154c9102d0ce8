//! What an operator found so far, as it is handed over with a test: the test's status.

use serde::Deserialize;

/// What was found so far.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Accepted, Running and so on.
    pub conditions: Vec<Condition>,
    /// What the test takes.
    pub plan: Option<TestPlan>,
    /// When users were assigned first.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How long outcomes are waited for.
    pub maturity_seconds: Option<i64>,
    /// Every look, oldest first.
    pub looks: Vec<Look>,
    /// Whether users fell on variants as planned.
    pub sample_ratio: Option<SampleRatio>,
    /// How it ended.
    pub verdict: Option<String>,
    /// The variant that is better.
    pub winner: Option<String>,
    /// The verdict in one sentence.
    pub summary: Option<String>,
}

/// What an operator says about a test.
#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Which.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in words.
    pub message: String,
}

/// What the test takes, estimated before it began.
#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TestPlan {
    /// In words.
    pub message: String,
    /// Users with an outcome at which it ends, for each variant were the weights even.
    pub units_planned: u64,
    /// Those that the wanted power takes.
    pub units_needed: Option<u64>,
    /// The smallest difference that the planned ones find.
    pub detectable_effect: Option<f64>,
    /// How long it takes.
    pub expected_seconds: Option<i64>,
    /// Whether that is enough for the smallest difference that matters.
    pub enough: Option<bool>,
}

/// One look.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Which of the planned looks.
    pub number: u32,
    /// When.
    pub at: String,
    /// Predictions made until then were counted, in milliseconds.
    pub counted_until: i64,
    /// The part of the planned units that was there.
    pub information: f64,
    /// Users with an outcome, by variant.
    pub units: Vec<u64>,
    /// Each treatment against the control.
    pub comparisons: Vec<Comparison>,
}

/// A treatment against the control at one look.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The treatment.
    pub variant: String,
    /// Treatment minus control.
    pub estimate: f64,
    /// The standard error of that.
    pub standard_error: f64,
    /// What is compared with the boundary.
    pub statistic: f64,
    /// The boundary, on either side; absent where this look may not stop the test.
    #[serde(default)]
    pub bound: Option<f64>,
    /// The interval's lower end.
    #[serde(default)]
    pub lower: Option<f64>,
    /// The interval's upper end.
    #[serde(default)]
    pub upper: Option<f64>,
    /// Whether the boundary was reached.
    pub crossed: bool,
}

/// ln of the e-values against "users fall on variants as planned".
#[derive(Clone, Copy, Debug, Deserialize, serde::Serialize)]
pub struct SampleRatio {
    /// Of users who were assigned.
    pub assigned: f64,
    /// Of users with an outcome.
    pub labelled: f64,
}
