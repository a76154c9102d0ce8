//! What is chosen on validation rows after training: temperature and threshold.

use plimsoll_artifact::Calibration;
use plimsoll_crds::training_job::{self as spec, Metric, Threshold};

use crate::metrics::{Confusion, Scored, groups, measure};

/// Where the answer is positive when nothing else is asked for.
const EVEN: f64 = 0.5;
/// The temperature is searched between e^-3 and e^3.
const LOG_TEMPERATURE: f64 = 3.0;
/// Steps of the golden-section search: to 1e-9.
const STEPS: u32 = 50;

/// Fits the calibration on validation logits.
pub fn calibration(kind: spec::Calibration, logits: &[f64], positives: &[bool]) -> Calibration {
    match kind {
        spec::Calibration::None => Calibration::None,
        spec::Calibration::Temperature => {
            let loss = |log_temperature: f64| {
                let candidate = Calibration::Temperature { temperature: log_temperature.exp() };
                let probabilities: Vec<f64> = logits.iter().map(|logit| candidate.probability(*logit)).collect();
                measure(Metric::LogLoss, Scored { probabilities: &probabilities, positives, threshold: EVEN })
            };
            Calibration::Temperature { temperature: minimize(loss, -LOG_TEMPERATURE, LOG_TEMPERATURE).exp() }
        }
    }
}

/// Golden-section search; the log loss has one valley in the log temperature.
fn minimize(loss: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    for _ in 0..STEPS {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if loss(left) < loss(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high)
}

/// The threshold that is best on validation rows; the largest of equals.
pub fn threshold(wanted: Option<&Threshold>, probabilities: &[f64], positives: &[bool]) -> f64 {
    let Some(wanted) = wanted else { return EVEN };
    let score = |confusion: &Confusion| match wanted.maximize {
        spec::ThresholdMetric::F1 => confusion.f1(),
        spec::ThresholdMetric::Accuracy => confusion.accuracy(),
    };
    let groups = groups(Scored { probabilities, positives, threshold: EVEN });
    let total = groups.iter().fold((0.0, 0.0), |sum, group| (sum.0 + group.1, sum.1 + group.2));
    let mut confusion = Confusion { false_negatives: total.1, true_negatives: total.0 - total.1, ..Confusion::default() };
    let mut best = (f64::NEG_INFINITY, EVEN);
    for (probability, rows, hits) in groups {
        confusion.true_positives += hits;
        confusion.false_positives += rows - hits;
        confusion.false_negatives -= hits;
        confusion.true_negatives -= rows - hits;
        if score(&confusion) > best.0 {
            best = (score(&confusion), probability);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_crds::training_job::ThresholdMetric;

    #[test]
    fn an_overconfident_network_is_cooled() {
        // Logits of +-4 (98 %) that are right in three of four cases: the temperature is 4 / ln 3.
        let logits: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 4.0 } else { -4.0 }).collect();
        let positives: Vec<bool> = (0..400).map(|i| (i % 2 == 0) == (i % 8 < 6)).collect();
        let Calibration::Temperature { temperature } = calibration(spec::Calibration::Temperature, &logits, &positives) else { panic!() };
        assert!((temperature - 4.0 / 3.0_f64.ln()).abs() < 1e-3, "{temperature}");
    }

    #[test]
    fn the_threshold_is_where_the_measure_is_largest() {
        let (p, y) = ([0.9, 0.8, 0.3, 0.2, 0.1], [true, true, true, false, false]);
        let f1 = Threshold { maximize: ThresholdMetric::F1 };
        assert_eq!(threshold(Some(&f1), &p, &y), 0.3);
        assert_eq!(threshold(None, &p, &y), 0.5);
    }
}
