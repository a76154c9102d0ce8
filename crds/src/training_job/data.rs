//! Where examples come from, and how they are split.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::{Window, column, columns, instant, optional_digest, optional_object_name};

/// The data of a run: sources become SQL tables, one query makes the examples.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// Files in object storage. Each becomes a table of the query.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = ("self.all(s, self.exists_one(t, t.name == s.name))", "sources must have distinct names"))]
    pub sources: Vec<DataSource>,
    /// A Secret of this namespace with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where needed, AWS_REGION and
    /// AWS_ENDPOINT_URL. The training pod mounts it; the operator never reads it. Whoever names it must be allowed to `get` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_object_name")]
    pub credentials_secret: Option<String>,
    /// DuckDB SQL over the sources that returns one row per example.
    #[schemars(length(min = 1, max = 32768))]
    pub query: String,
    /// Columns of the query that name an example. They must be unique together, and rows are sorted by them: same data,
    /// same order, same model.
    #[schemars(schema_with = "columns")]
    #[x_kube(validation = ("size(self) > 0", "rowKey must name at least one column"))]
    pub row_key: Vec<String>,
    /// The column with the time of an example, in UTC.
    #[schemars(schema_with = "column")]
    pub time_column: String,
    /// The examples to train and validate on, by time.
    pub window: Window,
    /// How examples are divided into train, validation and test.
    pub split: Split,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataSource {
    /// The name of the table in the query.
    #[schemars(schema_with = "column")]
    pub name: String,
    /// Where the file lies, as `s3://bucket/key`. `trainer run -f` on a laptop also takes `file:///path` and relative paths.
    #[schemars(length(min = 1, max = 1024))]
    pub uri: String,
    /// The file's format.
    pub format: DataFormat,
    /// Pins the file's bytes: another file is refused. The digest that was read is always recorded in the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_digest")]
    pub digest: Option<String>,
}

/// Formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DataFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// How examples are divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Split {
    /// The newest spans of time are held back.
    ByTime(ByTime),
}

/// Rows before the test span are for training, except their newest part, which is for validation.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = ("has(self.test) != has(self.testFrom)", "give either test (the newest span of the window) or testFrom"))]
#[x_kube(validation = ("!has(self.testTo) || has(self.testFrom)", "testTo needs testFrom"))]
#[serde(rename_all = "camelCase")]
pub struct ByTime {
    /// The span for validation: early stopping, calibration and the threshold see only these rows.
    pub validation: DurationText,
    /// The span for the test, at the end of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<DurationText>,
    /// The first instant of the test rows, fixed so that runs can be compared. It may lie at or after the end of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub test_from: Option<String>,
    /// The first instant after the test rows; the end of the window when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub test_to: Option<String>,
}

fn optional_instant(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = instant(generator);
    schema.insert("nullable".to_owned(), true.into());
    schema
}
