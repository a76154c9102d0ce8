//! Transforms: fitted on train rows, then the same for every row, in training and in serving.
//!
//! All arithmetic is f64 with one cast to f32 at the end, row by row, so a row's features do not depend on its batch.
#![expect(clippy::as_conversions, reason = "the casts to f32 and between index types are the point of this module")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CategoricalEncoding, Columns, Error, FeatureSpec, FeatureType, MissingNumber};

/// The index of a missing category.
pub const MISSING_CATEGORY: usize = 0;
/// The index of a category that the train rows do not have, or have too rarely.
pub const UNKNOWN_CATEGORY: usize = 1;
/// How CSV files write a missing text. The trainer never sees it there, so a caller who copies a cell must not be a stranger;
/// a model that learned it as a category (Namibia, from Parquet) keeps it.
pub(crate) const NOT_AVAILABLE: &str = "NA";

/// Fitted transforms, one for each feature, in the order of the spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pipeline {
    transforms: Vec<Transform>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transform {
    spec: FeatureSpec,
    fitted: Fitted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Fitted {
    Numeric {
        median: f64,
        mean: f64,
        deviation: f64,
    },
    /// Category to index, from 2 on; sorted by name.
    Categorical {
        indices: BTreeMap<String, usize>,
        dimension: usize,
    },
}

/// Where a feature's numbers lie in an encoded row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Numbers that the network takes as they are.
    Dense {
        /// How many.
        width: usize,
    },
    /// One number: the index of a learned vector.
    Embedding {
        /// How many vectors there are.
        cardinality: usize,
        /// The length of each.
        dimension: usize,
    },
}

impl Slot {
    /// How many numbers of the row it takes.
    pub fn width(&self) -> usize {
        match self {
            Self::Dense { width } => *width,
            Self::Embedding { .. } => 1,
        }
    }
}

/// The shape of an encoded row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The slots, in order.
    pub slots: Vec<Slot>,
}

impl Layout {
    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.slots.iter().map(Slot::width).sum()
    }
}

/// Rows of numbers, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// How many rows.
    pub rows: usize,
    /// Numbers in a row.
    pub width: usize,
    /// rows x width numbers.
    pub values: Vec<f32>,
}

impl Pipeline {
    /// Learns medians, scales and categories from these rows.
    ///
    /// # Errors
    /// A column is missing, of another type, without any value, or has values that are too large to be squared.
    pub fn fit(specs: &[FeatureSpec], train: &Columns) -> Result<Self, Error> {
        train.check(specs)?;
        let transforms = specs
            .iter()
            .map(|spec| {
                let fitted = match &spec.kind {
                    FeatureType::Numeric { clip, log1p, .. } => fit_numeric(&spec.name, train.numeric(&spec.name)?, *clip, *log1p)?,
                    FeatureType::Categorical { encoding, minimum_count } => fit_categorical(train.text(&spec.name)?, *encoding, *minimum_count),
                };
                Ok(Transform { spec: spec.clone(), fitted })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { transforms })
    }

    /// The features, in order.
    pub fn specs(&self) -> impl Iterator<Item = &FeatureSpec> {
        self.transforms.iter().map(|transform| &transform.spec)
    }

    /// Whether the train rows had this category often enough; `None` when the feature is not categorical.
    pub fn knows(&self, feature: &str, category: &str) -> Option<bool> {
        self.transforms.iter().find(|transform| transform.spec.name == feature).and_then(|transform| match &transform.fitted {
            Fitted::Categorical { indices, .. } => Some(indices.contains_key(category)),
            Fitted::Numeric { .. } => None,
        })
    }

    /// The shape of an encoded row.
    pub fn layout(&self) -> Layout {
        Layout { slots: self.transforms.iter().map(Transform::slot).collect() }
    }

    /// Turns raw columns into rows of numbers.
    ///
    /// # Errors
    /// A column is missing, of another type, or holds an infinite value.
    pub fn encode(&self, columns: &Columns) -> Result<Encoded, Error> {
        let specs: Vec<FeatureSpec> = self.specs().cloned().collect();
        columns.check(&specs)?;
        let width = self.layout().width();
        let rows = columns.rows();
        let mut values = vec![0.0_f32; rows.saturating_mul(width)];
        let mut offset = 0;
        for transform in &self.transforms {
            transform.encode(columns, &mut values, (offset, width))?;
            offset += transform.slot().width();
        }
        Ok(Encoded { rows, width, values })
    }
}

impl Transform {
    fn slot(&self) -> Slot {
        match (&self.spec.kind, &self.fitted) {
            (FeatureType::Categorical { encoding: CategoricalEncoding::OneHot, .. }, Fitted::Categorical { indices, .. }) => {
                Slot::Dense { width: indices.len() + 2 }
            }
            (_, Fitted::Categorical { indices, dimension }) => Slot::Embedding { cardinality: indices.len() + 2, dimension: *dimension },
            (FeatureType::Numeric { missing: MissingNumber::MedianAndIndicator, .. }, Fitted::Numeric { .. }) => Slot::Dense { width: 2 },
            (_, Fitted::Numeric { .. }) => Slot::Dense { width: 1 },
        }
    }

    /// Writes this feature's numbers into each row, at `place` = (offset, row width).
    fn encode(&self, columns: &Columns, values: &mut [f32], place: (usize, usize)) -> Result<(), Error> {
        let (offset, width) = place;
        let cells = values.chunks_exact_mut(width.max(1)).filter_map(|row| row.get_mut(offset..));
        match (&self.spec.kind, &self.fitted) {
            (FeatureType::Numeric { clip, log1p, standardize, missing }, Fitted::Numeric { median, mean, deviation }) => {
                for (row, (cell, raw)) in cells.zip(columns.numeric(&self.spec.name)?).enumerate() {
                    let value = if raw.is_nan() { *median } else { shape(*raw, *clip, *log1p) };
                    let scaled = if *standardize { (value - mean) / deviation } else { value };
                    let narrowed = scaled as f32;
                    if !narrowed.is_finite() {
                        return Err(Error::Infinite { name: self.spec.name.clone(), row });
                    }
                    write(cell, 0, narrowed);
                    if *missing == MissingNumber::MedianAndIndicator {
                        write(cell, 1, f32::from(u8::from(raw.is_nan())));
                    }
                }
            }
            (FeatureType::Categorical { encoding, .. }, Fitted::Categorical { indices, .. }) => {
                for (cell, raw) in cells.zip(columns.text(&self.spec.name)?) {
                    let index = category_index(indices, raw.as_deref());
                    match encoding {
                        CategoricalEncoding::OneHot => write(cell, index, 1.0),
                        CategoricalEncoding::Embedding { .. } => write(cell, 0, index as f32),
                    }
                }
            }
            // `fit` pairs them; a file that does not is refused by `ModelDirectory`'s digest before it gets here.
            _ => {}
        }
        Ok(())
    }
}

/// The index of a category: missing (also the empty text, and NA unless it is known), unknown, or its own.
fn category_index(indices: &BTreeMap<String, usize>, value: Option<&str>) -> usize {
    match value {
        None | Some("") => MISSING_CATEGORY,
        Some(text) => indices.get(text).copied().unwrap_or(if text == NOT_AVAILABLE { MISSING_CATEGORY } else { UNKNOWN_CATEGORY }),
    }
}

fn write(cell: &mut [f32], position: usize, value: f32) {
    if let Some(place) = cell.get_mut(position) {
        *place = value;
    }
}

fn shape(value: f64, clip: Option<(f64, f64)>, log1p: bool) -> f64 {
    let clipped = clip.map_or(value, |(low, high)| value.max(low).min(high));
    // One zero: -0 of a CSV file's integer column has no sign, -0.0 of a tensor has one, and `max` may keep either.
    let unsigned_zero = clipped + 0.0;
    if log1p { unsigned_zero.max(0.0).ln_1p() } else { unsigned_zero }
}

fn fit_numeric(name: &str, values: &[f64], clip: Option<(f64, f64)>, log1p: bool) -> Result<Fitted, Error> {
    let mut known: Vec<f64> = values.iter().filter(|value| !value.is_nan()).map(|value| shape(*value, clip, log1p)).collect();
    if known.is_empty() {
        return Err(Error::Empty { name: name.to_owned() });
    }
    known.sort_by(f64::total_cmp);
    let median = known.get(known.len() / 2).copied().unwrap_or_default();
    let count = known.len() as f64;
    let mean = known.iter().sum::<f64>() / count;
    let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    // A constant column carries nothing: it becomes 0 instead of a division by 0.
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    if !(mean.is_finite() && deviation.is_finite()) {
        return Err(Error::TooSpread { name: name.to_owned() });
    }
    Ok(Fitted::Numeric { median, mean, deviation })
}

fn fit_categorical(values: &[Option<String>], encoding: CategoricalEncoding, minimum_count: u64) -> Fitted {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for value in values.iter().flatten().filter(|value| !value.is_empty()) {
        *counts.entry(value).or_default() += 1;
    }
    let indices: BTreeMap<String, usize> =
        counts.into_iter().filter(|(_, count)| *count >= minimum_count).enumerate().map(|(position, (value, _))| (value.to_owned(), position + 2)).collect();
    let cardinality = indices.len() + 2;
    let dimension = match encoding {
        CategoricalEncoding::Embedding { dimension: Some(dimension) } => dimension,
        // fastai's rule of thumb: 1.6 n^0.56, at most 600.
        _ => ((1.6 * (cardinality as f64).powf(0.56)).round() as usize).clamp(1, 600),
    };
    Fitted::Categorical { indices, dimension }
}

#[cfg(test)]
mod tests;
