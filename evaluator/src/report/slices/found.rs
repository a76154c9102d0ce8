//! What the slices of a test show, as a part of the report. It must not know how it was found.

use serde::Serialize;

use super::parts::Kind;

/// How the metric differs between variants for parts of the traffic. It decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slices {
    /// Predictions that are in the slices: they count, have an outcome, and their record is still kept.
    pub predictions: u64,
    /// Predictions that count and have an outcome, over the whole test.
    pub of_predictions: u64,
    /// When the oldest of them was made, in milliseconds.
    pub from_unix_ms: Option<i64>,
    /// When the newest was.
    pub until_unix_ms: Option<i64>,
    /// Whether only the newest were read: there are more than one page reads, in records or in time.
    pub newest_only: bool,
    /// Whether the log keeps more columns than are shown.
    pub more_columns: bool,
    /// The chance that an interval, read once, misses its difference.
    pub alpha: f64,
    /// Comparisons over all slices and treatments, among which what is marked was chosen.
    pub comparisons: usize,
    /// Of the marked ones, so many are chance on average, at most.
    pub false_discovery_rate: f64,
    /// All of the predictions together.
    pub whole: Option<Slice>,
    /// By name.
    pub columns: Vec<Column>,
}

/// The slices of one column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// The input.
    pub name: String,
    /// Each prediction is in one of them.
    pub slices: Vec<Slice>,
}

/// One part of the traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// The value, or the numbers.
    pub name: String,
    /// What it is made of.
    pub kind: Kind,
    /// The control first.
    pub variants: Vec<Counted>,
    /// Treatments that can be compared: there are enough users of them and of the control.
    pub treatments: Vec<Difference>,
}

/// What was counted of a variant in a slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// The variant.
    pub variant: String,
    /// Users with an outcome.
    pub units: u64,
    /// Their predictions with an outcome.
    pub predictions: u64,
    /// The metric over those.
    pub mean: Option<f64>,
}

/// A treatment against the control in a slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The treatment.
    pub variant: String,
    /// Treatment minus control.
    pub estimate: f64,
    /// The standard error of that, from buckets of users.
    pub standard_error: f64,
    /// The interval's lower end, for who reads this one only, once.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// The chance of a difference at least as large without one.
    pub p_value: f64,
    /// The smallest false discovery rate at which it is marked; absent for the whole, which is no slice.
    pub adjusted_p_value: Option<f64>,
    /// Whether it is more than chance, as far as the false discovery rate says.
    pub marked: bool,
    /// Whether the treatment is better here.
    pub better: bool,
    /// Whether that is the other way round than over the whole.
    pub unlike_whole: bool,
}
