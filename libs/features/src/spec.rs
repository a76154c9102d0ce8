//! What a model's author says about a feature.

use serde::{Deserialize, Serialize};

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// The column, and the name of the served input.
    pub name: String,
    /// How its values are read and turned into numbers.
    pub kind: FeatureType,
}

/// How values are read and turned into numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum FeatureType {
    /// A number.
    Numeric {
        /// Values outside are moved to the nearer bound.
        clip: Option<(f64, f64)>,
        /// Takes ln(1 + x); values below 0 count as 0.
        log1p: bool,
        /// Subtracts the mean and divides by the deviation of the train rows.
        standardize: bool,
        /// What stands for a missing value.
        missing: MissingNumber,
    },
    /// A text from a set.
    Categorical {
        /// How a category becomes numbers.
        encoding: CategoricalEncoding,
        /// Rarer values are treated as unknown.
        minimum_count: u64,
    },
}

/// What stands for a missing number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingNumber {
    /// The train rows' median.
    Median,
    /// The median, and a further number that says that the value was missing.
    MedianAndIndicator,
}

/// How a category becomes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CategoricalEncoding {
    /// One number per category.
    OneHot,
    /// An index, for a learned vector of this length; chosen from the number of categories when absent.
    Embedding {
        /// The vector's length.
        dimension: Option<usize>,
    },
}
