//! What is known of each prediction that counts and has an outcome. It must not know databases, nor what is compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::column::Column;
use crate::record::{Flags, Record};
use crate::report::arms::{self, parts};
use crate::report::input::{Metric, Test};
use crate::settings::Task;
use crate::tally::{Losses, bucket};

/// Columns at most: the first that are met.
pub const COLUMNS: usize = 16;

/// One prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Who asked.
    pub unit: u64,
    /// What it adds to the metric's sum, in whole 2^-32ths as everything that is counted.
    pub metric: f64,
    /// The variant's place in the test.
    pub variant: u8,
    /// The unit's bucket.
    pub bucket: u8,
}

/// Predictions with their inputs.
#[derive(Debug)]
pub struct Rows {
    variants: BTreeMap<String, u8>,
    metric: Metric,
    task: Task,
    /// In the order in which they came.
    pub rows: Vec<Row>,
    /// Their inputs, by name.
    pub columns: BTreeMap<String, Column>,
    /// Whether there are more columns.
    pub more_columns: bool,
    /// When the oldest and the newest were made.
    pub made: Option<(i64, i64)>,
}

impl Rows {
    /// None yet.
    pub fn of(test: &Test, task: Task) -> Self {
        let variants = (0..).zip(&test.spec.variants).map(|(place, variant)| (arms::name(test, &variant.name), place)).collect();
        let metric = test.spec.primary.metric.outcome;
        Self { variants, metric, task, rows: Vec::new(), columns: BTreeMap::new(), more_columns: false, made: None }
    }

    /// Takes a record whose window has closed, if it is of this test, counts, and its outcome came in time.
    pub fn take(&mut self, record: &Record) {
        let Some((prediction, outcome)) = record.prediction.as_ref().zip(record.outcome) else { return };
        let Some((variant, unit)) = self.variants.get(&prediction.arm.variant).zip(prediction.unit) else { return };
        if !record.flags.counts() || record.flags.has(Flags::OUTCOME_LATE) {
            return;
        }
        let mut losses = Losses::default();
        losses.add(prediction, outcome.value, self.task);
        let row = self.rows.len();
        self.rows.push(Row { unit, metric: parts(self.metric, &losses).0, variant: *variant, bucket: bucket(unit) });
        let (oldest, newest) = self.made.unwrap_or((record.time, record.time));
        self.made = Some((oldest.min(record.time), newest.max(record.time)));
        for (name, value) in serde_json::from_str::<Map<String, Value>>(&prediction.features).unwrap_or_default() {
            if self.columns.len() < COLUMNS || self.columns.contains_key(&name) {
                self.columns.entry(name).or_default().set(row, &value);
            } else {
                self.more_columns = true;
            }
        }
    }

    /// All have come: columns are as long as there are predictions.
    #[must_use]
    pub fn complete(mut self) -> Self {
        let rows = self.rows.len();
        self.columns.values_mut().for_each(|column| column.fill(rows));
        self
    }
}
