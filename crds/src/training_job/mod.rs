//! TrainingJob: one training run of a model, from data to a verified artifact.

mod data;
mod evaluation;
mod features;
mod model;
pub mod result;
mod run;
mod status;

pub use data::{ByTime, Data, DataFormat, DataSource, Split};
pub use evaluation::{Evaluation, Gate, Metric, Opponent};
pub use features::{Clip, Embedding, Encoding, Feature, FeatureType, Missing, OneHot, Scale};
pub use model::{
    AdamW, Architecture, BinaryClassification, Calibration, Dummy, EarlyStopping, Linear, Mlp, Optimization, Optimizer, Task, Threshold, ThresholdMetric,
};
pub use run::{Medium, Output, Run, Scratch, Workers};
pub use status::{Attempt, Resolved, TrainingJobStatus};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema::object_name;

/// Trains one model from data in object storage, evaluates it on rows that it never saw, and records it as a ModelVersion
/// when it passes its gates. The spec cannot be changed once the run exists, except `run.suspend` and `run.timeToLive`:
/// another run is another TrainingJob.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "plimsoll.dev",
    version = "v1alpha1",
    kind = "TrainingJob",
    plural = "trainingjobs",
    shortname = "tj",
    category = "plimsoll",
    namespaced,
    status = "TrainingJobStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Model","type":"string","jsonPath":".spec.model"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.result.modelVersion"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = ("size(self.metadata.name) <= 50", "metadata.name must have at most 50 characters: the names of its pods are made from it"),
    validation = (
        "self.spec.model == oldSelf.spec.model && self.spec.data == oldSelf.spec.data && self.spec.task == oldSelf.spec.task && self.spec.features == oldSelf.spec.features && self.spec.architecture == oldSelf.spec.architecture && self.spec.optimization == oldSelf.spec.optimization && self.spec.calibration == oldSelf.spec.calibration && self.spec.evaluation == oldSelf.spec.evaluation && self.spec.output == oldSelf.spec.output && self.spec.workers == oldSelf.spec.workers && self.spec.run.maxAttempts == oldSelf.spec.run.maxAttempts && self.spec.run.activeDeadline == oldSelf.spec.run.activeDeadline",
        "spec is immutable except run.suspend and run.timeToLive: create another TrainingJob"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct TrainingJobSpec {
    /// The line of models that this run adds a version to.
    #[schemars(schema_with = "object_name")]
    #[x_kube(validation = ("size(self) <= 40", "model must have at most 40 characters: the names of its versions are made from it"))]
    pub model: String,
    /// Where the examples come from and which of them are for training, validation and test.
    pub data: Data,
    /// What is predicted.
    pub task: Task,
    /// The columns of the query that the model sees. Each is an input of the served model's signature.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = ("self.all(f, self.exists_one(g, g.name == f.name))", "features must have distinct names"))]
    pub features: Vec<Feature>,
    /// The network.
    pub architecture: Architecture,
    /// How it is fitted.
    #[serde(default)]
    pub optimization: Optimization,
    /// Makes probabilities honest after training; fitted on validation rows.
    #[serde(default)]
    pub calibration: Calibration,
    /// What is measured on the test rows, and what the model must reach to become a ModelVersion.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// The pods that train.
    #[serde(default)]
    pub workers: Workers,
    /// Where the artifact and the report go.
    pub output: Output,
    /// Attempts, deadlines, suspension.
    #[serde(default)]
    pub run: Run,
}
