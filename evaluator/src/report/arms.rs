//! What was counted of a variant, over all revisions that answered for it. It must not know what is concluded.

use std::collections::BTreeMap;

use plimsoll_stats::Bucket;
use serde::Serialize;

use super::input::{Metric, Test};
use crate::quality::real;
use crate::state::State;
use crate::tally::{BUCKETS, Losses};

/// Characters of the test's UID in the name of an arm.
const UID: usize = 8;

/// What was counted of a variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// The revisions that answered.
    pub revisions: Vec<String>,
    /// Users that called.
    pub units: u64,
    /// Users with a prediction that counts and has an outcome.
    pub labelled_units: u64,
    /// Predictions that came, whatever their window.
    pub predictions: u64,
    /// Predictions whose window has closed and that nothing speaks against.
    pub mature: u64,
    /// Of them, with an outcome.
    pub with_outcome: u64,
    /// Predictions whose window has closed, left out because of a contradiction.
    pub contradicted: u64,
    /// The metric over all of them.
    pub mean: Option<f64>,
    /// Spans of predictions, oldest first, as far as they are kept.
    pub history: Vec<Span>,
    /// The metric's sums by bucket of users.
    #[serde(skip)]
    pub buckets: Vec<Bucket>,
}

/// Predictions of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// When it begins.
    pub start_unix_ms: i64,
    /// Predictions whose window has closed.
    pub predictions: u64,
    /// Predictions that count and have an outcome, from the test's begin to this span's end.
    pub with_outcome_so_far: u64,
    /// The metric over those.
    pub mean_so_far: Option<f64>,
}

/// What an arm of this variant is called.
pub fn name(test: &Test, variant: &str) -> String {
    let uid: String = test.metadata.uid.chars().take(UID).collect();
    format!("{}.{uid}.{variant}", test.metadata.name)
}

/// Sum and number of what a metric is the mean of.
pub fn parts(metric: Metric, losses: &Losses) -> (f64, u64) {
    let sum = match metric {
        Metric::LogLoss => losses.log_loss.value(),
        Metric::Brier | Metric::MeanSquaredError => losses.squared.value(),
        Metric::MeanAbsoluteError => losses.absolute.value(),
        Metric::Accuracy => real(losses.count.saturating_sub(losses.wrong)),
    };
    (sum, losses.count)
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / real(count))
}

/// What is known of the variant that has this name in the test.
pub fn counted(test: &Test, variant: &str, state: &State) -> Counted {
    let name = name(test, variant);
    let metric = test.spec.primary.metric.outcome;
    let mut of = Counted { buckets: vec![Bucket::default(); BUCKETS], ..Counted::default() };
    let (mut total, mut spans) = ((0.0, 0), BTreeMap::<i64, (u64, f64, u64)>::new());
    for (place, (arm, counts)) in state.arms.iter().enumerate().filter(|(_, (arm, _))| arm.variant == name) {
        of.revisions.push(arm.revision.clone());
        of.units += counts.units;
        of.labelled_units += counts.labelled_units;
        of.predictions += counts.predictions;
        of.mature += counts.total.mature;
        of.contradicted += counts.total.contradicted;
        let (sum, count) = parts(metric, &counts.total.losses);
        total = (total.0 + sum, total.1 + count);
        for (bucket, sums) in of.buckets.iter_mut().zip(counts.buckets.all()) {
            let (sum, calls) = parts(metric, &sums.losses);
            *bucket = Bucket { sum: bucket.sum + sum, calls: bucket.calls + calls };
        }
        for ((_, start), tally) in state.cells.range((place, i64::MIN)..=(place, i64::MAX)) {
            let (sum, count) = parts(metric, &tally.losses);
            let span = spans.entry(*start).or_default();
            *span = (span.0 + tally.mature + tally.contradicted, span.1 + sum, span.2 + count);
        }
    }
    of.with_outcome = total.1;
    of.mean = mean(total.0, total.1);
    of.history = history(total, &spans);
    of
}

/// Running means. What was counted before the history that is kept is in the total alone: they begin with it.
fn history(total: (f64, u64), spans: &BTreeMap<i64, (u64, f64, u64)>) -> Vec<Span> {
    let kept = spans.values().fold((0.0, 0), |kept, span| (kept.0 + span.1, kept.1 + span.2));
    let mut so_far = (total.0 - kept.0, total.1.saturating_sub(kept.1));
    let span = |(start, (predictions, sum, count)): (&i64, &(u64, f64, u64))| {
        so_far = (so_far.0 + sum, so_far.1 + count);
        Span { start_unix_ms: *start, predictions: *predictions, with_outcome_so_far: so_far.1, mean_so_far: mean(so_far.0, so_far.1) }
    };
    spans.iter().map(span).collect()
}
