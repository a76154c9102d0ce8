//! Sums over predictions whose window has closed. Pure, and the same in any order: a sum of fractions is kept as a whole number of
//! 2^-32ths, which neither rounds nor depends on who came first. So what is counted one by one equals what a query over all records finds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{Outcome, Prediction, hash};
use crate::settings::Task;

/// Probabilities are kept this far from 0 and 1 in the logarithm, as in training.
pub const EPSILON: f64 = 1e-15;
/// Parts of one in a sum.
pub const PARTS: f64 = 4_294_967_296.0;
/// Bins of the calibration error, as in training.
pub const CALIBRATION_BINS: usize = 15;
/// Steps of the log-odds in one unit, by which probabilities are ranked for the AUC.
const ODDS: f64 = 32.0;
/// Buckets of units, by hash: their spread is the error of every estimate.
pub const BUCKETS: usize = 64;

/// An exact sum of numbers, each rounded to 2^-32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sum(i128);

impl Sum {
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "saturates")]
    fn add(&mut self, value: f64) {
        self.0 = self.0.saturating_add((value * PARTS + 0.5).floor() as i128);
    }

    fn merge(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// The sum.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the nearest number")]
    pub fn value(self) -> f64 {
        self.0 as f64 / PARTS
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        sum.0.to_string()
    }
}

impl TryFrom<String> for Sum {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Sums of losses: of all predictions with an outcome, or of those of one bucket of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Losses {
    /// Predictions with an outcome.
    pub count: u64,
    /// −ln of the probability that was given to what came true; 0 for a regression.
    pub log_loss: Sum,
    /// Squared errors: Brier scores of a classification.
    pub squared: Sum,
    /// Absolute errors.
    pub absolute: Sum,
    /// Answers that were not what came true; 0 for a regression.
    pub wrong: u64,
}

/// Answers by what came true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confusion {
    /// Called positive, and are.
    pub true_positives: u64,
    /// Called positive, and are not.
    pub false_positives: u64,
    /// Called negative, and are positive.
    pub false_negatives: u64,
    /// Called negative, and are.
    pub true_negatives: u64,
}

/// Predictions of nearly one probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bin {
    /// With an outcome.
    pub count: u64,
    /// Of them, positive.
    pub positives: u64,
    /// Sum of the probabilities.
    pub expected: Sum,
}

/// Everything that is counted of one arm, or of one span of its predictions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Predictions whose window has closed and that nothing speaks against.
    pub mature: u64,
    /// Of them, without an outcome.
    pub missing: u64,
    /// Predictions whose window has closed, left out because of a contradiction.
    pub contradicted: u64,
    /// Losses of those with an outcome.
    pub losses: Losses,
    /// Right and wrong answers of a classification.
    pub confusion: Confusion,
    /// Sum of the outcomes: of a classification, how many were positive.
    pub truth: Sum,
    /// Sum of the squared outcomes.
    pub truth_squared: Sum,
    /// By log-odds.
    pub ranks: BTreeMap<i16, Bin>,
    /// By probability, in bins of equal width.
    pub calibration: BTreeMap<u8, Bin>,
}

/// Sums of one bucket of units: losses, and what the base rate of the same predictions follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Losses of those with an outcome.
    #[serde(flatten)]
    pub losses: Losses,
    /// Sum of the outcomes.
    #[serde(default)]
    pub truth: Sum,
    /// Sum of the squared outcomes.
    #[serde(default)]
    pub truth_squared: Sum,
}

/// Sums by bucket of units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByBucket(pub BTreeMap<u8, Bucket>);

/// A probability within the range where it has a logarithm.
fn within(probability: f64) -> f64 {
    probability.clamp(EPSILON, 1.0 - EPSILON)
}

impl Losses {
    /// One prediction and what came true.
    pub fn add(&mut self, prediction: &Prediction, truth: f64, task: Task) {
        let error = prediction.value - truth;
        self.count += 1;
        self.squared.add(error * error);
        self.absolute.add(error.abs());
        if task == Task::BinaryClassification {
            let p = within(prediction.value);
            self.log_loss.add(if truth > 0.5 { -p.ln() } else { -(1.0 - p).ln() });
            self.wrong += u64::from(prediction.positive != (truth > 0.5));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.log_loss.merge(other.log_loss);
        self.squared.merge(other.squared);
        self.absolute.merge(other.absolute);
        self.wrong += other.wrong;
    }
}

impl Bin {
    fn add(&mut self, probability: f64, positive: bool) {
        self.count += 1;
        self.positives += u64::from(positive);
        self.expected.add(probability);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.positives += other.positives;
        self.expected.merge(other.expected);
    }
}

impl Tally {
    /// A prediction whose window has closed, with what is known by then.
    pub fn add(&mut self, prediction: &Prediction, outcome: Option<Outcome>, task: Task) {
        self.mature += 1;
        let Some(Outcome { value: truth, .. }) = outcome else {
            self.missing += 1;
            return;
        };
        self.losses.add(prediction, truth, task);
        self.truth.add(truth);
        self.truth_squared.add(truth * truth);
        if task == Task::BinaryClassification {
            let positive = truth > 0.5;
            let cell = match (prediction.positive, positive) {
                (true, true) => &mut self.confusion.true_positives,
                (true, false) => &mut self.confusion.false_positives,
                (false, true) => &mut self.confusion.false_negatives,
                (false, false) => &mut self.confusion.true_negatives,
            };
            *cell += 1;
            self.ranks.entry(rank(prediction.value)).or_default().add(prediction.value, positive);
            self.calibration.entry(calibration_bin(prediction.value)).or_default().add(prediction.value, positive);
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.mature += other.mature;
        self.missing += other.missing;
        self.contradicted += other.contradicted;
        self.losses.merge(&other.losses);
        self.confusion.true_positives += other.confusion.true_positives;
        self.confusion.false_positives += other.confusion.false_positives;
        self.confusion.false_negatives += other.confusion.false_negatives;
        self.confusion.true_negatives += other.confusion.true_negatives;
        self.truth.merge(other.truth);
        self.truth_squared.merge(other.truth_squared);
        for (place, bin) in &other.ranks {
            self.ranks.entry(*place).or_default().merge(bin);
        }
        for (place, bin) in &other.calibration {
            self.calibration.entry(*place).or_default().merge(bin);
        }
    }
}

impl ByBucket {
    /// One prediction and what came true, by the hash of its unit. Nobody's calls are told apart by when they were made, in milliseconds: so
    /// all rows of one call stay together, which are no more independent than those of one unit.
    pub fn add(&mut self, prediction: &Prediction, time: i64, truth: f64, task: Task) {
        let place = bucket(prediction.unit.unwrap_or_else(|| hash(&time.to_le_bytes())));
        let sums = self.0.entry(place).or_default();
        sums.losses.add(prediction, truth, task);
        sums.truth.add(truth);
        sums.truth_squared.add(truth * truth);
    }

    /// The sums of every bucket at its place, also of those that nothing fell into.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "below 64")]
    pub fn all(&self) -> [Bucket; BUCKETS] {
        std::array::from_fn(|place| self.0.get(&(place as u8)).copied().unwrap_or_default())
    }
}

/// The bucket of a unit.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "below 64")]
pub fn bucket(unit: u64) -> u8 {
    (unit % BUCKETS as u64) as u8
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "at most 35 times 32")]
fn rank(probability: f64) -> i16 {
    let p = within(probability);
    ((p / (1.0 - p)).ln() * ODDS).round() as i16
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability")]
fn calibration_bin(probability: f64) -> u8 {
    ((probability * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Arm;
    use proptest::prelude::*;

    fn prediction(value: f64) -> Prediction {
        Prediction { arm: Arm::default().into(), unit: None, value, positive: value >= 0.5, weight: 1.0, features: String::new() }
    }

    fn tally(rows: &[(f64, Option<bool>)]) -> Tally {
        let mut tally = Tally::default();
        for (value, truth) in rows {
            tally.add(&prediction(*value), truth.map(|truth| Outcome { value: f64::from(u8::from(truth)), at: 0 }), Task::BinaryClassification);
        }
        tally
    }

    proptest! {
        #[test]
        fn the_order_and_the_parts_make_no_difference(rows in proptest::collection::vec((0.0..=1.0_f64, proptest::option::of(any::<bool>())), 0..60), cut in 0_usize..60) {
            let mut backwards = rows.clone();
            backwards.reverse();
            let cut = cut.min(rows.len());
            let mut merged = tally(&rows[..cut]);
            merged.merge(&tally(&rows[cut..]));
            prop_assert_eq!(&tally(&rows), &tally(&backwards));
            prop_assert_eq!(&tally(&rows), &merged);
            let kept: Tally = serde_json::from_str(&serde_json::to_string(&merged).unwrap()).unwrap();
            prop_assert_eq!(kept, merged);
        }
    }

    #[test]
    fn a_bucket_has_one_unit_or_one_call_whole_and_what_its_base_rate_needs() {
        let (mut buckets, regression) = (ByBucket::default(), Task::Regression);
        let of = |unit| Prediction { unit, ..prediction(0.25) };
        for (unit, time, truth) in [(Some(65), 5, 2.0), (Some(1), 900, 3.0), (None, 7, 1.0), (None, 7, 4.0)] {
            buckets.add(&of(unit), time, truth, regression);
        }
        let filled: Vec<_> = buckets.all().into_iter().enumerate().filter(|(_, bucket)| bucket.losses.count > 0).collect();
        let sums: Vec<_> = filled.iter().map(|(_, bucket)| (bucket.losses.count, bucket.truth.value(), bucket.truth_squared.value())).collect();
        assert_eq!((sums, filled[0].0), (vec![(2, 5.0, 13.0), (2, 5.0, 17.0)], 1), "units by their hash, nobody's rows of one millisecond together");
        let mut calls = ByBucket::default();
        (0..1_000).for_each(|time| calls.add(&of(None), time, 1.0, regression));
        assert!(calls.all().iter().all(|bucket| (3..40).contains(&bucket.losses.count)), "nobody's calls fall evenly");
        // What was kept before buckets knew outcomes is read, and has none.
        let kept: ByBucket = serde_json::from_str(r#"{"3": {"count": 2, "logLoss": "4294967296", "squared": "0", "absolute": "0", "wrong": 1}}"#).unwrap();
        assert_eq!((kept.0[&3].losses.count, kept.0[&3].losses.log_loss.value(), kept.0[&3].truth), (2, 1.0, Sum::default()));
        assert_eq!(serde_json::from_str::<ByBucket>(&serde_json::to_string(&buckets).unwrap()).unwrap(), buckets);
    }

    #[test]
    fn extremes_are_numbers() {
        let sure = tally(&[(1.0, Some(false)), (0.0, Some(true))]);
        assert!((sure.losses.log_loss.value() / 2.0 - 34.539).abs() < 0.01, "{:?}", sure.losses.log_loss.value());
        assert_eq!((sure.losses.squared.value(), sure.losses.wrong, sure.calibration.len()), (2.0, 2, 2));
        let mut far = Losses::default();
        far.add(&prediction(1e30), -1e30, Task::Regression);
        far.add(&prediction(1e30), -1e30, Task::Regression);
        assert!(far.squared.value() > 1e28 && far.log_loss == Sum::default(), "it saturates: {}", far.squared.value());
    }
}
