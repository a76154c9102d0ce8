//! Examples: features with their time, label and slices.

use plimsoll_features::Columns;

/// Examples, in the order of their key.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// When, in milliseconds since 1970.
    pub times: Vec<f64>,
    /// The label, as text.
    pub labels: Vec<String>,
    /// Whether the label is the positive value.
    pub positives: Vec<bool>,
    /// What the model sees.
    pub features: Columns,
    /// Columns by which metrics are also reported.
    pub slices: Vec<(String, Vec<Option<String>>)>,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The rows with these indices.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().filter_map(|row| values.get(*row).cloned()).collect()
        }
        Self {
            times: pick(&self.times, rows),
            labels: pick(&self.labels, rows),
            positives: pick(&self.positives, rows),
            features: self.features.select(rows),
            slices: self.slices.iter().map(|(name, values)| (name.clone(), pick(values, rows))).collect(),
        }
    }

    /// The share of positive rows.
    #[expect(clippy::as_conversions, reason = "counts below 2^53")]
    pub fn base_rate(&self) -> f64 {
        self.positives.iter().filter(|positive| **positive).count() as f64 / self.len().max(1) as f64
    }
}
