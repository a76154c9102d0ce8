//! Measures of a binary classifier, as scikit-learn defines them.
#![expect(clippy::as_conversions, reason = "counts below 2^53 become numbers")]

use std::collections::BTreeMap;

use plimsoll_crds::training_job::Metric;

/// Bins of the calibration error.
pub const CALIBRATION_BINS: usize = 15;
/// Probabilities are kept this far from 0 and 1 in the logarithm.
const EPSILON: f64 = 1e-15;

/// Predictions with what came true.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The probability of the positive class.
    pub probabilities: &'a [f64],
    /// Whether it was positive.
    pub positives: &'a [bool],
    /// The probability from which on the answer is positive.
    pub threshold: f64,
}

/// One metric. NaN where it is not defined: an AUC of one class.
pub fn measure(metric: Metric, scored: Scored<'_>) -> f64 {
    let confusion = || Confusion::of(scored);
    match metric {
        Metric::Auc => auc(scored),
        Metric::LogLoss => mean(scored, |p, positive| {
            let p = p.clamp(EPSILON, 1.0 - EPSILON);
            if positive { -p.ln() } else { -(1.0 - p).ln() }
        }),
        Metric::Brier => mean(scored, |p, positive| (p - f64::from(u8::from(positive))).powi(2)),
        Metric::AveragePrecision => average_precision(scored),
        Metric::ExpectedCalibrationError => calibration_error(scored),
        Metric::Accuracy => confusion().accuracy(),
        Metric::Precision => confusion().precision(),
        Metric::Recall => confusion().recall(),
        Metric::F1 => confusion().f1(),
    }
}

/// Several metrics; those that are not defined are left out.
pub fn measure_all(metrics: &[Metric], scored: Scored<'_>) -> BTreeMap<Metric, f64> {
    metrics.iter().map(|metric| (*metric, measure(*metric, scored))).filter(|(_, value)| value.is_finite()).collect()
}

/// Right and wrong answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Confusion {
    /// Called positive, and are.
    pub true_positives: f64,
    /// Called positive, and are not.
    pub false_positives: f64,
    /// Called negative, and are positive.
    pub false_negatives: f64,
    /// Called negative, and are.
    pub true_negatives: f64,
}

impl Confusion {
    fn of(scored: Scored<'_>) -> Self {
        let mut confusion = Self::default();
        for (p, positive) in pairs(scored) {
            let cell = match (p >= scored.threshold, positive) {
                (true, true) => &mut confusion.true_positives,
                (true, false) => &mut confusion.false_positives,
                (false, true) => &mut confusion.false_negatives,
                (false, false) => &mut confusion.true_negatives,
            };
            *cell += 1.0;
        }
        confusion
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positives + self.true_negatives;
        right / (right + self.false_positives + self.false_negatives)
    }

    fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    fn recall(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        ratio(2.0 * self.true_positives, 2.0 * self.true_positives + self.false_positives + self.false_negatives)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn pairs(scored: Scored<'_>) -> impl Iterator<Item = (f64, bool)> {
    scored.probabilities.iter().copied().zip(scored.positives.iter().copied())
}

fn mean(scored: Scored<'_>, loss: impl Fn(f64, bool) -> f64) -> f64 {
    pairs(scored).map(|(p, positive)| loss(p, positive)).sum::<f64>() / scored.positives.len() as f64
}

/// Rows with falling probability, in groups of equal ones: (rows, positives) each.
pub fn groups(scored: Scored<'_>) -> Vec<(f64, f64, f64)> {
    let mut sorted: Vec<(f64, bool)> = pairs(scored).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut groups: Vec<(f64, f64, f64)> = Vec::new();
    for (p, positive) in sorted {
        let hit = f64::from(u8::from(positive));
        match groups.last_mut() {
            Some(last) if last.0 == p => {
                last.1 += 1.0;
                last.2 += hit;
            }
            _ => groups.push((p, 1.0, hit)),
        }
    }
    groups
}

/// The chance that a positive row scores above a negative one; equal scores count half.
fn auc(scored: Scored<'_>) -> f64 {
    let (mut wins, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for (_, rows, hits) in groups(scored) {
        let misses = rows - hits;
        wins += misses * (positives + hits / 2.0);
        positives += hits;
        negatives += misses;
    }
    wins / (positives * negatives)
}

fn average_precision(scored: Scored<'_>) -> f64 {
    let total = scored.positives.iter().filter(|positive| **positive).count() as f64;
    let (mut rows, mut hits, mut area) = (0.0, 0.0, 0.0);
    for (_, group_rows, group_hits) in groups(scored) {
        rows += group_rows;
        hits += group_hits;
        area += group_hits / total * (hits / rows);
    }
    area
}

/// Bins of equal width: (rows, sum of probabilities, positives) each.
pub fn calibration_bins(scored: Scored<'_>) -> Vec<(f64, f64, f64)> {
    let mut bins = vec![(0.0, 0.0, 0.0); CALIBRATION_BINS];
    for (p, positive) in pairs(scored) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability")]
        let place = ((p * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1);
        if let Some(bin) = bins.get_mut(place) {
            bin.0 += 1.0;
            bin.1 += p;
            bin.2 += f64::from(u8::from(positive));
        }
    }
    bins
}

fn calibration_error(scored: Scored<'_>) -> f64 {
    calibration_bins(scored).iter().map(|(_, expected, found)| (expected - found).abs()).sum::<f64>() / scored.positives.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        // scikit-learn 1.x: roc_auc_score, log_loss, brier_score_loss, average_precision_score, accuracy, precision, recall, f1.
        let probabilities = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.05, 0.6];
        let positives = [false, false, true, true, true, true, false, false];
        let scored = Scored { probabilities: &probabilities, positives: &positives, threshold: 0.5 };
        let expected = [
            (Metric::Auc, 0.781_25),
            (Metric::LogLoss, 0.484_798_386_128_799),
            (Metric::Brier, 0.170_625),
            (Metric::AveragePrecision, 0.816_666_666_666_667),
            (Metric::Accuracy, 0.625),
            (Metric::Precision, 0.666_666_7),
            (Metric::Recall, 0.5),
            (Metric::F1, 0.571_428_6),
        ];
        for (metric, value) in expected {
            let found = measure(metric, scored);
            assert!((found - value).abs() < 1e-6, "{metric}: {found}");
        }
    }

    #[test]
    fn what_is_not_defined_is_left_out() {
        let scored = Scored { probabilities: &[0.5, 0.6], positives: &[true, true], threshold: 0.5 };
        let found = measure_all(&[Metric::Auc, Metric::Accuracy], scored);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&Metric::Accuracy]);
    }

    #[test]
    fn a_constant_prediction_has_an_auc_of_one_half() {
        let scored = Scored { probabilities: &[0.3; 4], positives: &[true, false, false, true], threshold: 0.5 };
        assert!((measure(Metric::Auc, scored) - 0.5).abs() < 1e-12);
        assert!((measure(Metric::ExpectedCalibrationError, scored) - 0.2).abs() < 1e-12);
    }
}
