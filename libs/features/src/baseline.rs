//! Buckets in which values are counted, with edges frozen at training, and the counts of the training data.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::pipeline::NOT_AVAILABLE;
use crate::{Columns, Error, FeatureType, Pipeline};

/// Quantile buckets of a numeric feature.
const NUMERIC_BUCKETS: usize = 10;
/// The most frequent categories have a bucket each; the rest share one.
const CATEGORY_BUCKETS: usize = 20;
/// Buckets of equal width for a predicted probability.
pub const PREDICTION_BUCKETS: usize = 10;

/// What the training data looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Baseline {
    /// Each feature, on train rows.
    pub features: Vec<FeatureBaseline>,
    /// The predicted probability, on validation rows.
    pub predictions: Vec<u64>,
}

/// One feature's buckets and their counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FeatureBaseline {
    /// The feature.
    pub name: String,
    /// Its buckets.
    pub buckets: Buckets,
    /// Rows in each bucket, in the order of `Buckets::labels`.
    pub counts: Vec<u64>,
}

/// How values fall into buckets. After the ordinary ones come `missing` and, for categories, `unknown`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Buckets {
    /// Bucket i holds values up to edge i; the last one holds those above every edge.
    Numeric {
        /// Ascending, finite, distinct.
        edges: Vec<f64>,
    },
    /// Bucket i holds category i; then come all other categories that the model knows.
    Categorical {
        /// By falling frequency, then by name.
        values: Vec<String>,
    },
}

impl Baseline {
    /// Counts the train rows of every feature of the pipeline.
    ///
    /// # Errors
    /// A column is missing or of another type.
    pub fn of_features(pipeline: &Pipeline, train: &Columns) -> Result<Vec<FeatureBaseline>, Error> {
        pipeline
            .specs()
            .map(|spec| {
                let buckets = match spec.kind {
                    FeatureType::Numeric { .. } => Buckets::of_numbers(train.numeric(&spec.name)?),
                    FeatureType::Categorical { .. } => Buckets::of_categories(train.text(&spec.name)?, pipeline, &spec.name),
                };
                let mut counts = vec![0; buckets.len()];
                for bucket in buckets.assign(&spec.name, train, pipeline)? {
                    if let Some(count) = counts.get_mut(bucket) {
                        *count += 1;
                    }
                }
                Ok(FeatureBaseline { name: spec.name.clone(), buckets, counts })
            })
            .collect()
    }
}

impl Buckets {
    fn of_numbers(values: &[f64]) -> Self {
        let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        known.sort_by(f64::total_cmp);
        let mut edges: Vec<f64> = (1..NUMERIC_BUCKETS).filter_map(|i| known.get((known.len() * i) / NUMERIC_BUCKETS).copied()).collect();
        edges.dedup();
        Self::Numeric { edges }
    }

    fn of_categories(values: &[Option<String>], pipeline: &Pipeline, feature: &str) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for value in values.iter().flatten().filter(|value| pipeline.knows(feature, value) == Some(true)) {
            *counts.entry(value).or_default() += 1;
        }
        let mut ranked: Vec<(&str, u64)> = counts.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        Self::Categorical { values: ranked.into_iter().take(CATEGORY_BUCKETS).map(|(value, _)| value.to_owned()).collect() }
    }

    /// How many buckets there are, `missing` and `unknown` included.
    pub fn len(&self) -> usize {
        match self {
            Self::Numeric { edges } => edges.len() + 2,
            Self::Categorical { values } => values.len() + 3,
        }
    }

    /// There is always `missing`.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The buckets' names in metrics: a number, `missing` or `unknown`.
    pub fn labels(&self) -> Vec<String> {
        let special = match self {
            Self::Numeric { .. } => vec!["missing".to_owned()],
            Self::Categorical { .. } => vec!["missing".to_owned(), "unknown".to_owned()],
        };
        (0..self.len() - special.len()).map(|i| i.to_string()).chain(special).collect()
    }

    /// The bucket of each row of the feature's column.
    ///
    /// # Errors
    /// The column is missing or of another type.
    pub fn assign(&self, feature: &str, columns: &Columns, pipeline: &Pipeline) -> Result<Vec<usize>, Error> {
        match self {
            Self::Numeric { edges } => {
                let missing = edges.len() + 1;
                let bucket = |value: &f64| if value.is_nan() { missing } else { edges.partition_point(|edge| edge < value) };
                Ok(columns.numeric(feature)?.iter().map(bucket).collect())
            }
            Self::Categorical { values } => {
                let places: HashMap<&str, usize> = values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
                let (other, missing, unknown) = (values.len(), values.len() + 1, values.len() + 2);
                let bucket = |value: &Option<String>| match value.as_deref() {
                    None | Some("") => missing,
                    Some(text) => match places.get(text) {
                        Some(place) => *place,
                        None if pipeline.knows(feature, text) == Some(true) => other,
                        None if text == NOT_AVAILABLE => missing,
                        None => unknown,
                    },
                };
                Ok(columns.text(feature)?.iter().map(bucket).collect())
            }
        }
    }
}

/// The bucket of a predicted probability.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the buckets first")]
pub fn prediction_bucket(probability: f64) -> usize {
    let last = PREDICTION_BUCKETS - 1;
    ((probability.clamp(0.0, 1.0) * PREDICTION_BUCKETS as f64) as usize).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CategoricalEncoding, Column, FeatureSpec, MissingNumber};

    #[test]
    fn every_train_row_is_counted_once_and_strangers_fall_into_unknown() {
        let specs = [
            FeatureSpec { name: "temp".into(), kind: FeatureType::Numeric { clip: None, log1p: false, standardize: true, missing: MissingNumber::Median } },
            FeatureSpec { name: "dest".into(), kind: FeatureType::Categorical { encoding: CategoricalEncoding::OneHot, minimum_count: 1 } },
        ];
        let numbers = (0..100).map(|i| if i == 50 { f64::NAN } else { f64::from(i) }).collect();
        let texts = (0..100).map(|i| (i != 7).then(|| format!("d{:02}", i % 30))).collect();
        let train = Columns::new([("temp".into(), Column::Numeric(numbers)), ("dest".into(), Column::Text(texts))]).unwrap();
        let pipeline = Pipeline::fit(&specs, &train).unwrap();
        let baselines = Baseline::of_features(&pipeline, &train).unwrap();
        for baseline in &baselines {
            assert_eq!(baseline.counts.iter().sum::<u64>(), 100);
            assert_eq!(baseline.counts.len(), baseline.buckets.labels().len());
        }
        assert_eq!(baselines[0].counts.last(), Some(&1), "one missing number");
        assert_eq!(baselines[1].buckets.labels()[19..], ["19", "20", "missing", "unknown"]);
        let strange = Columns::new([("dest".into(), Column::Text(["mars", "", "d29", "NA"].map(|text| Some(text.into())).into()))]).unwrap();
        assert_eq!(baselines[1].buckets.assign("dest", &strange, &pipeline).unwrap(), [22, 21, 20, 21]);
    }

    #[test]
    fn constant_columns_have_one_edge() {
        assert_eq!(Buckets::of_numbers(&[3.0; 50]), Buckets::Numeric { edges: vec![3.0] });
    }

    #[test]
    fn probabilities_have_ten_buckets() {
        assert_eq!([0.0, 0.05, 0.1, 0.99, 1.0, f64::NAN].map(prediction_bucket), [0, 0, 1, 9, 9, 0]);
    }
}
