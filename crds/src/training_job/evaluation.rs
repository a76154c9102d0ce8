//! What is measured on test rows, and which gates a model must pass.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::columns;

/// Offline evaluation, on test rows that nothing was fitted on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// What is measured; all metrics of the task when absent.
    #[serde(default = "Metric::all")]
    #[schemars(length(min = 1, max = 16))]
    pub metrics: Vec<Metric>,
    /// Columns of the query: the metrics are also reported for each of their 20 most frequent values that have at least
    /// 100 test rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "columns")]
    pub slices: Vec<String>,
    /// What the model must reach. Every gate must pass, else no ModelVersion is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = ("self.all(g, [has(g.minimum), has(g.maximum), has(g.betterThan)].exists_one(x, x))", "a gate has exactly one of minimum, maximum and betterThan"))]
    pub gates: Vec<Gate>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { metrics: Metric::all(), slices: Vec::new(), gates: Vec::new() }
    }
}

/// One thing that the model must reach on the test rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// What is measured.
    pub metric: Metric,
    /// The smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Whom the model must beat on the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better_than: Option<Opponent>,
}

/// Whom a model can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Opponent {
    /// The base rate of the train rows, given to everybody.
    Dummy,
}

/// Measures of a binary classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Area under the receiver operating characteristic.
    Auc,
    /// Mean negative log likelihood, natural logarithm.
    LogLoss,
    /// Mean squared error of the probability.
    Brier,
    /// Area under the precision-recall steps.
    AveragePrecision,
    /// Mean gap between probability and share, over 15 bins of equal width, weighted by their rows.
    ExpectedCalibrationError,
    /// Share of right labels at the threshold.
    Accuracy,
    /// Share of the rows called positive that are.
    Precision,
    /// Share of the positive rows that are called so.
    Recall,
    /// Harmonic mean of precision and recall.
    F1,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Auc,
            Self::LogLoss,
            Self::Brier,
            Self::AveragePrecision,
            Self::ExpectedCalibrationError,
            Self::Accuracy,
            Self::Precision,
            Self::Recall,
            Self::F1,
        ]
    }

    /// Whether larger values are better.
    pub fn larger_is_better(self) -> bool {
        !matches!(self, Self::LogLoss | Self::Brier | Self::ExpectedCalibrationError)
    }

    /// The name in specs, statuses and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::LogLoss => "logLoss",
            Self::Brier => "brier",
            Self::AveragePrecision => "averagePrecision",
            Self::ExpectedCalibrationError => "expectedCalibrationError",
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
