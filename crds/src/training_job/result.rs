//! What a training pod hands back: `result.json`, and the same as its termination message (at most 4 KiB).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;
use crate::schema::{Window, digest};

/// Exit code: the spec cannot be carried out.
pub const EXIT_BAD_SPEC: i32 = 64;
/// Exit code: the data does not fit the spec.
pub const EXIT_BAD_DATA: i32 = 65;
/// Exit code: a device was asked for and is not there.
pub const EXIT_NO_ACCELERATOR: i32 = 66;
/// Exit code: the output holds something else under this run's name.
pub const EXIT_OUTPUT_CONFLICT: i32 = 67;
/// Exit codes in this range are permanent: the run is not tried again.
pub const EXIT_PERMANENT: std::ops::RangeInclusive<i32> = 64..=79;
/// The kubelet cuts a termination message at this many bytes.
pub const TERMINATION_MESSAGE_BYTES: usize = 4096;

/// A run that ended with a model, whether its gates passed or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrainingResult {
    /// The name of the ModelVersion that this model has, or would have.
    pub model_version: String,
    /// sha256 of the artifact's manifest.
    #[schemars(schema_with = "digest")]
    pub digest: String,
    /// sha256 of what makes the model behave as it does: weights, pipeline, threshold.
    #[schemars(schema_with = "digest")]
    pub content_digest: String,
    /// Where the artifact lies.
    pub uri: String,
    /// Where the report lies.
    pub report: ReportReference,
    /// Metrics on the test rows.
    pub metrics: BTreeMap<Metric, f64>,
    /// Each gate and how it ended.
    #[serde(default)]
    pub gates: Vec<GateResult>,
    /// Whether every gate passed.
    pub gates_passed: bool,
    /// sha256 of each source as it was read.
    pub data_digests: BTreeMap<String, String>,
    /// The window that was trained on.
    pub window: Window,
    /// Rows of each part.
    pub rows: RowCounts,
    /// `Cpu` or `Cuda(0)`.
    pub device: String,
    /// The version of Plimsoll that trained.
    pub software_version: String,
    /// How long the run took.
    pub seconds: f64,
}

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportReference {
    /// The folder with report.json and report.html.
    pub uri: String,
    /// sha256 of report.json.
    #[schemars(schema_with = "digest")]
    pub digest: String,
}

/// How one gate ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateResult {
    /// What was measured.
    pub metric: Metric,
    /// Whether the gate passed.
    pub passed: bool,
    /// The numbers, in a sentence.
    pub message: String,
}

/// Rows of each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowCounts {
    /// Rows that the model was fitted on.
    pub train: i64,
    /// Rows for early stopping, calibration and the threshold.
    pub validation: i64,
    /// Rows for the metrics.
    pub test: i64,
}

/// A run that ended without a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrainingFailure {
    /// A PascalCase word, for example `BadData` or `StoreUnavailable`.
    pub reason: String,
    /// What is wrong, where, and what to do.
    pub message: String,
}

/// What stands in the termination message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TrainingOutcome {
    /// The run has a result.
    Result(Box<TrainingResult>),
    /// The run has none.
    Failure(TrainingFailure),
}
