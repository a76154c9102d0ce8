//! What the evaluator counted of a test's variants, in the judge's words. Pure.

use plimsoll_crds::ab_test::OutcomeMetric;
use plimsoll_stats::Bucket;
use plimsoll_stats::experiment::Arm;
use serde::Deserialize;

/// The answer of `GET /v1/quality`, as far as a test needs it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Predictions made until then have been counted, in milliseconds since 1970.
    #[serde(rename = "countedUntilUnixMs")]
    pub counted_until: i64,
    /// What was counted, by revision and variant.
    pub arms: Vec<Counted>,
}

/// One variant on one revision.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Who answered.
    #[serde(default)]
    pub revision: String,
    /// The variant's name in routes; empty outside of tests.
    #[serde(default)]
    pub variant: Option<String>,
    /// Users who were assigned.
    pub units: u64,
    /// Users with an outcome that counts.
    pub labelled_units: u64,
    /// Sums by hash of the user.
    #[serde(default)]
    pub buckets: Vec<Sums>,
    /// Who called outside of tests; evaluators of earlier releases do not say.
    #[serde(default)]
    pub users: Option<Users>,
}

/// Users with an outcome outside of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Users {
    /// About so many.
    pub labelled: u64,
    /// Predictions of theirs that have one.
    pub calls: u64,
    /// The first of these predictions, in milliseconds since 1970.
    #[serde(rename = "sinceUnixMs")]
    pub since: i64,
}

/// Sums over the predictions of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    count: u64,
    log_loss: f64,
    squared: f64,
    absolute: f64,
    wrong: u64,
}

impl Quality {
    /// The arms of these variants, in their order; one that nobody met has nothing. A variant that was answered by two revisions, because
    /// the test was paused meanwhile, is one arm.
    pub fn arms(&self, variants: &[String], metric: OutcomeMetric) -> Vec<Arm> {
        variants.iter().map(|variant| self.arm(variant, metric)).collect()
    }

    /// How many revisions answered a variant's users.
    pub fn revisions(&self, variant: &str) -> usize {
        let answered = self.arms.iter().filter(|counted| counted.variant.as_deref() == Some(variant) && counted.units > 0);
        answered.map(|counted| &counted.revision).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// What a revision answered outside of tests.
    pub fn outside(&self, revision: &str) -> Option<&Counted> {
        self.arms.iter().find(|counted| counted.revision == revision && counted.variant.as_ref().is_none_or(String::is_empty))
    }

    fn arm(&self, variant: &str, metric: OutcomeMetric) -> Arm {
        let mut whole = Arm::default();
        for counted in self.arms.iter().filter(|counted| counted.variant.as_deref() == Some(variant)) {
            whole.units = whole.units.saturating_add(counted.units);
            whole.labelled_units = whole.labelled_units.saturating_add(counted.labelled_units);
            whole.buckets.resize(whole.buckets.len().max(counted.buckets.len()), Bucket::default());
            for (bucket, more) in whole.buckets.iter_mut().zip(counted.buckets(metric)) {
                bucket.calls = bucket.calls.saturating_add(more.calls);
                bucket.sum += more.sum;
            }
        }
        whole
    }
}

impl Counted {
    /// A metric's sums.
    pub fn buckets(&self, metric: OutcomeMetric) -> impl Iterator<Item = Bucket> {
        self.buckets.iter().map(move |sums| Bucket { sum: sums.of(metric), calls: sums.count })
    }
}

impl Sums {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53 become numbers")]
    fn of(&self, metric: OutcomeMetric) -> f64 {
        match metric {
            OutcomeMetric::LogLoss => self.log_loss,
            OutcomeMetric::Brier | OutcomeMetric::MeanSquaredError => self.squared,
            OutcomeMetric::MeanAbsoluteError => self.absolute,
            OutcomeMetric::Accuracy => self.count.saturating_sub(self.wrong) as f64,
        }
    }
}

/// A metric as people call it.
pub fn spoken(metric: OutcomeMetric) -> &'static str {
    match metric {
        OutcomeMetric::LogLoss => "log loss",
        OutcomeMetric::Brier => "Brier score",
        OutcomeMetric::Accuracy => "accuracy",
        OutcomeMetric::MeanAbsoluteError => "mean absolute error",
        OutcomeMetric::MeanSquaredError => "mean squared error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_the_sum_of_its_revisions_and_others_do_not_matter() {
        let arm = |variant: &str, units: u64, count: u64| {
            serde_json::json!({"revision": "r", "variant": variant, "units": units, "labelledUnits": units - 1, "predictions": 9,
                "buckets": [{"count": count, "logLoss": 0.5, "squared": 0.25, "absolute": 1.5, "wrong": 1}, {"count": 1, "logLoss": 2, "squared": 0, "absolute": 0, "wrong": 0}]})
        };
        let nobody =
            serde_json::json!({"revision": "r", "variant": "", "units": 0, "labelledUnits": 0, "users": {"labelled": 3, "calls": 9, "sinceUnixMs": 5}});
        let answer = serde_json::json!({"countedUntilUnixMs": 7, "counts": {}, "arms": [arm("t.a", 10, 4), arm("t.b", 3, 2), arm("t.a", 5, 6), nobody]});
        let quality: Quality = serde_json::from_value(answer).unwrap();
        let names = ["t.a", "t.b", "t.c"].map(str::to_owned);
        let arms = quality.arms(&names, OutcomeMetric::Accuracy);
        assert_eq!((arms[0].units, arms[0].labelled_units, arms[1].units, arms[2].units), (15, 13, 3, 0));
        assert_eq!(arms[0].buckets[0], Bucket { sum: 8.0, calls: 10 });
        assert_eq!(quality.arms(&names, OutcomeMetric::LogLoss)[0].buckets, [Bucket { sum: 1.0, calls: 10 }, Bucket { sum: 4.0, calls: 2 }]);
        assert!(arms[2].buckets.is_empty());
        let outside = quality.outside("r").and_then(|counted| counted.users);
        assert_eq!((outside, quality.outside("other")), (Some(Users { labelled: 3, calls: 9, since: 5 }), None));
    }
}
