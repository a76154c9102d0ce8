//! The columns that a model sees, and how they become numbers. Fitted on train rows, shipped with the model.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::column;

/// One input of the model.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.type == 'Numeric' || (!has(self.missing) && !has(self.scale) && !has(self.clip) && !has(self.log1p))", "missing, scale, clip and log1p are for Numeric features"))]
#[x_kube(validation = ("self.type == 'Categorical' || (!has(self.encoding) && !has(self.minimumCount))", "encoding and minimumCount are for Categorical features"))]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The column of the query, and the name of the input of the served model.
    #[schemars(schema_with = "column")]
    pub name: String,
    /// What kind of values it holds.
    #[serde(rename = "type")]
    pub kind: FeatureType,
    /// Numeric: what stands for a missing value. `MedianAndIndicator` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Numeric: `Standard` (mean 0, deviation 1 on the train rows) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Numeric: values outside are moved to the nearer bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// Numeric: takes ln(1 + x) of values, for counts and amounts with a long tail; a value below 0 counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log1p: Option<bool>,
    /// Categorical: `oneHot` or `embedding`; embedding when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Categorical: values that occur less often in the train rows are treated as unknown. 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub minimum_count: Option<i32>,
}

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FeatureType {
    /// A number; missing values are NULL in the query and NaN in a request.
    Numeric,
    /// A text from a set; missing values are NULL in the query and empty in a request. Missing and unknown are distinct.
    Categorical,
}

/// What stands for a missing number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Missing {
    /// The train rows' median.
    Median,
    /// The median, and a further input that says that the value was missing.
    #[default]
    MedianAndIndicator,
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scale {
    /// As they are.
    None,
    /// Mean 0, deviation 1 on the train rows.
    #[default]
    Standard,
}

/// Bounds of a number.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.minimum < self.maximum", "clip.minimum must be below clip.maximum"))]
#[serde(rename_all = "camelCase")]
pub struct Clip {
    /// The smallest value.
    pub minimum: f64,
    /// The largest value.
    pub maximum: f64,
}

/// How a category becomes numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// One input per category.
    OneHot(OneHot),
    /// A learned vector per category.
    Embedding(Embedding),
}

/// No settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OneHot {}

/// Settings of an embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Embedding {
    /// The vector's length; chosen from the number of categories when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub dimension: Option<i32>,
}
