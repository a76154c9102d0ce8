//! How good a model was: metrics that follow from a tally. `None` where one is not defined, never a number that looks like one.

use serde::Serialize;

use crate::settings::Task;
use crate::tally::Tally;

/// Metrics over predictions whose window has closed and whose outcome came in time. Definitions are scikit-learn's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// The share of predictions with an outcome, among those whose window has closed.
    pub label_completeness: Option<f64>,
    /// The share of positive outcomes (classification), or the mean outcome (regression).
    pub base_rate: Option<f64>,
    /// Mean of −ln of the probability given to what came true.
    pub log_loss: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: Option<f64>,
    /// The share of right answers.
    pub accuracy: Option<f64>,
    /// Of the answers "positive", the share that were right.
    pub precision: Option<f64>,
    /// Of the positives, the share that were called so.
    pub recall: Option<f64>,
    /// The chance that a positive scores above a negative one. Probabilities whose log-odds differ by less than 1/32 count as equal.
    pub auc: Option<f64>,
    /// Mean distance between probability and share of positives, over 15 bins of equal width.
    pub expected_calibration_error: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// 1 − loss / loss of always saying the base rate of the same predictions: above 0 the model tells more than that. By log loss
    /// (classification) or squared error (regression).
    pub skill: Option<f64>,
}

/// A count as a number.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53 become numbers")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| real(part) / real(whole))
}

impl Quality {
    /// The metrics of a tally.
    pub fn of(tally: &Tally, task: Task) -> Self {
        let (losses, count) = (&tally.losses, tally.losses.count);
        let mean = |sum: crate::tally::Sum| (count > 0).then(|| sum.value() / real(count));
        let common = Self {
            label_completeness: share(tally.mature.saturating_sub(tally.missing), tally.mature),
            base_rate: mean(tally.truth),
            mae: mean(losses.absolute),
            rmse: mean(losses.squared).map(f64::sqrt),
            ..Self::default()
        };
        match task {
            Task::Regression => {
                let spread = mean(tally.truth_squared).zip(common.base_rate).map(|(squares, mean)| squares - mean * mean);
                Self { skill: skill(mean(losses.squared), spread), ..common }
            }
            Task::BinaryClassification => {
                let cells = &tally.confusion;
                Self {
                    log_loss: mean(losses.log_loss),
                    brier: mean(losses.squared),
                    accuracy: share(count.saturating_sub(losses.wrong), count),
                    precision: share(cells.true_positives, cells.true_positives + cells.false_positives),
                    recall: share(cells.true_positives, cells.true_positives + cells.false_negatives),
                    auc: auc(tally),
                    expected_calibration_error: calibration_error(tally),
                    skill: skill(mean(losses.log_loss), common.base_rate.map(entropy)),
                    ..common
                }
            }
        }
    }
}

/// What always saying the base rate would lose.
fn entropy(rate: f64) -> f64 {
    if rate <= 0.0 || rate >= 1.0 { 0.0 } else { -(rate * rate.ln() + (1.0 - rate) * (1.0 - rate).ln()) }
}

fn skill(loss: Option<f64>, of_base_rate: Option<f64>) -> Option<f64> {
    loss.zip(of_base_rate).filter(|(_, base)| *base > 0.0).map(|(loss, base)| 1.0 - loss / base)
}

fn auc(tally: &Tally) -> Option<f64> {
    let (mut wins, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for bin in tally.ranks.values() {
        let (hits, misses) = (real(bin.positives), real(bin.count - bin.positives));
        wins += hits * (negatives + misses / 2.0);
        positives += hits;
        negatives += misses;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

fn calibration_error(tally: &Tally) -> Option<f64> {
    let gaps: f64 = tally.calibration.values().map(|bin| (bin.expected.value() - real(bin.positives)).abs()).sum();
    (tally.losses.count > 0).then(|| gaps / real(tally.losses.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Arm, Outcome, Prediction};

    fn tally(rows: &[(f64, f64)], task: Task) -> Tally {
        let mut tally = Tally::default();
        for (value, truth) in rows {
            let prediction =
                Prediction { arm: Arm::default().into(), unit: None, value: *value, positive: *value >= 0.5, weight: 1.0, features: String::new() };
            tally.add(&prediction, Some(Outcome { value: *truth, at: 0 }), task);
        }
        tally
    }

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?} for {expected}");
    }

    #[test]
    fn a_classification_by_hand() {
        let rows = [(0.9, 1.0), (0.1, 0.0), (0.4, 1.0), (0.35, 0.0), (0.8, 0.0), (0.65, 1.0), (0.2, 0.0), (0.55, 1.0)];
        let quality = Quality::of(&tally(&rows, Task::BinaryClassification), Task::BinaryClassification);
        let log_loss = -(0.9_f64.ln() + 0.9_f64.ln() + 0.4_f64.ln() + 0.65_f64.ln() + 0.2_f64.ln() + 0.65_f64.ln() + 0.8_f64.ln() + 0.55_f64.ln()) / 8.0;
        close(quality.log_loss, log_loss);
        close(quality.brier, (0.01 + 0.01 + 0.36 + 0.1225 + 0.64 + 0.1225 + 0.04 + 0.2025) / 8.0);
        close(quality.accuracy, 0.75);
        close(quality.precision, 0.75);
        close(quality.recall, 0.75);
        close(quality.auc, 13.0 / 16.0);
        close(quality.skill, 1.0 - log_loss / 2.0_f64.ln());
        close(quality.base_rate, 0.5);
    }

    #[test]
    fn a_regression_has_errors_and_skill() {
        let quality = Quality::of(&tally(&[(1.0, 2.0), (5.0, 4.0), (6.0, 9.0)], Task::Regression), Task::Regression);
        close(quality.mae, 5.0 / 3.0);
        close(quality.rmse, (11.0_f64 / 3.0).sqrt());
        close(quality.skill, 1.0 - 11.0 / 26.0);
        assert_eq!((quality.auc, quality.log_loss), (None, None));
    }

    #[test]
    fn nothing_is_said_without_outcomes() {
        assert_eq!(Quality::of(&Tally::default(), Task::BinaryClassification), Quality::default());
        let one_class = Quality::of(&tally(&[(0.3, 0.0), (0.2, 0.0)], Task::BinaryClassification), Task::BinaryClassification);
        assert_eq!((one_class.auc, one_class.skill, one_class.recall, one_class.precision), (None, None, None, None));
        assert_eq!(one_class.base_rate, Some(0.0));
    }

    #[test]
    fn calibration_is_a_matter_of_shares() {
        let rows: Vec<_> = (0..10).map(|row| (0.3, f64::from(u8::from(row < 5)))).collect();
        close(Quality::of(&tally(&rows, Task::BinaryClassification), Task::BinaryClassification).expected_calibration_error, 0.2);
    }
}
