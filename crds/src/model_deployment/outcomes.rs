//! What came true: where predictions and their outcomes are kept, for how long, and which of them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::{Resources, columns, optional_object_name, volume_size};

/// Keeps predictions and joins them to what callers report later (`POST /v1/outcomes` at the deployment's own address).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcomes {
    /// How long after a prediction its outcome may come. A prediction counts, once, when this time is over; what comes later is counted as
    /// late and is in no metric. Choose it so that nearly every outcome is known by then.
    pub maturity: DurationText,
    /// How long records are kept, from the prediction on; at least as long as `maturity`. What was counted stays counted.
    #[serde(default = "default_retention")]
    pub retention: DurationText,
    /// Where records are kept.
    #[serde(default)]
    pub database: Database,
    /// Where each day goes as a Parquet file, for training and for analysts. Without it, nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
    /// CPU and memory of the evaluator's pod.
    #[serde(default)]
    pub resources: Resources,
}

/// Where records are kept: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("has(self.sqlite) != has(self.postgresql)", "database has exactly one of sqlite and postgresql"))]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// A file on a volume of the evaluator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteVolume>,
    /// A database that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgresqlDatabase>,
}

impl Default for Database {
    fn default() -> Self {
        Self { sqlite: Some(SqliteVolume::default()), postgresql: None }
    }
}

/// The volume. It is made once and stays until the ModelDeployment is deleted, even when `outcomes` is taken out of the spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqliteVolume {
    /// Its size. A million predictions that are kept take about 260 MB, and their inputs come on top.
    #[serde(default = "default_size")]
    #[schemars(schema_with = "volume_size")]
    pub size: String,
    /// Its storage class; the cluster's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub storage_class_name: Option<String>,
}

impl Default for SqliteVolume {
    fn default() -> Self {
        Self { size: default_size(), storage_class_name: None }
    }
}

/// A PostgreSQL database of version 15 or newer. Each ModelDeployment has a schema of its own in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlDatabase {
    /// A Secret whose key `url` is the connection string, for example `postgresql://user:password@host/database`. Who names it must be allowed to read it.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub secret: String,
}

/// An object store for what was joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// For example `s3://data/flight-delay`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[a-z0-9]+://.+$"))]
    pub uri: String,
    /// A Secret with the store's credentials, as for TrainingJobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_object_name")]
    pub credentials_secret: Option<String>,
}

/// Which predictions the evaluator gets, and what of them. A change is rolled out like another model: the server does it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("self.sample > 0.0 && self.sample <= 1.0", "sample must be above 0 and at most 1"))]
#[serde(rename_all = "camelCase")]
pub struct PredictionLog {
    /// The share of predictions that is kept: all of a user's, or none.
    #[serde(default = "everything")]
    pub sample: f64,
    /// Inputs of the model that are kept with each prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "columns")]
    pub columns: Vec<String>,
}

impl Default for PredictionLog {
    fn default() -> Self {
        Self { sample: everything(), columns: Vec::new() }
    }
}

fn default_retention() -> DurationText {
    DurationText::new("30d")
}

fn default_size() -> String {
    "10Gi".to_owned()
}

fn everything() -> f64 {
    1.0
}
