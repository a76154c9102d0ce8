//! Task, network, optimization and calibration.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;
use crate::schema::column;

/// What is predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// One of two classes.
    BinaryClassification(BinaryClassification),
}

/// A label with two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BinaryClassification {
    /// The column of the query with the label. It must have two values among the train, the validation and the test rows, and no missing ones.
    #[schemars(schema_with = "column")]
    pub label: String,
    /// The value, as text, whose probability the model gives.
    #[schemars(length(min = 1, max = 128))]
    pub positive: String,
    /// Where the model says the positive value: fitted on validation rows. Probability 0.5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// How the threshold is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The measure that is largest at the threshold, on validation rows.
    pub maximize: ThresholdMetric,
}

/// Measures of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThresholdMetric {
    /// The harmonic mean of precision and recall.
    F1,
    /// The share of right answers.
    Accuracy,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Architecture {
    /// Gives the base rate of the train rows to everybody: what every model has to beat.
    Dummy(Dummy),
    /// Logistic regression.
    Linear(Linear),
    /// A multilayer perceptron.
    Mlp(Mlp),
}

/// No settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dummy {}

/// No settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Linear {}

/// Layers of a multilayer perceptron with ReLU between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mlp {
    /// Units of each hidden layer.
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 8192)))]
    pub hidden: Vec<i32>,
    /// The share of units that is dropped in training.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub dropout: f64,
}

/// How the network is fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Optimization {
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Examples a step.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: i32,
    /// Passes over the train rows, at most.
    #[serde(default = "default_epochs")]
    #[schemars(range(min = 1, max = 10_000))]
    pub epochs: i32,
    /// Seed of everything random: same spec, same data, same seed, same model.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub seed: i64,
    /// Ends training when validation rows stop improving, and keeps the best epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
}

impl Default for Optimization {
    fn default() -> Self {
        Self { optimizer: Optimizer::default(), batch_size: default_batch_size(), epochs: default_epochs(), seed: 0, early_stopping: None }
    }
}

fn default_batch_size() -> i32 {
    1024
}

fn default_epochs() -> i32 {
    20
}

/// The optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW(AdamW::default())
    }
}

/// Settings of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("self.learningRate > 0.0", "learningRate must be above 0"))]
#[serde(rename_all = "camelCase")]
pub struct AdamW {
    /// The step size.
    #[serde(default = "default_learning_rate")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { learning_rate: default_learning_rate(), weight_decay: 0.0 }
    }
}

fn default_learning_rate() -> f64 {
    0.001
}

/// When training ends early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlyStopping {
    /// The measure on validation rows.
    pub metric: Metric,
    /// Epochs without improvement before it ends.
    #[serde(default = "default_patience")]
    #[schemars(range(min = 1, max = 1000))]
    pub patience: i32,
}

fn default_patience() -> i32 {
    3
}

/// What makes probabilities honest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Calibration {
    /// As the network gives them.
    #[default]
    None,
    /// One number divides the logits; fitted on validation rows (Guo et al., 2017).
    Temperature,
}
