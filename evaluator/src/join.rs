//! What a new prediction or outcome does to the record that is there. Pure: the same two give the same, whoever asks and how often.
//!
//! `closed` is the time up to which windows have closed: predictions made until then have been counted, so nothing about them changes any
//! more. Up to then the order in which things are said makes no difference to what will be counted.

use crate::record::{Flags, Outcome, Prediction, Record};

/// What became of something that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// New, and in time.
    Stored,
    /// Said before.
    Duplicate,
    /// Something else was said before.
    Contradictory,
    /// The window had closed.
    Late,
    /// An outcome whose prediction is not known yet.
    Early,
}

/// A model server says what was predicted.
pub fn predicted(known: Option<Record>, time: i64, prediction: Prediction, closed: i64) -> (Fate, Record) {
    let late = if time <= closed { Flags::PREDICTION_LATE } else { Flags::default() };
    let fate = if time <= closed { Fate::Late } else { Fate::Stored };
    match known {
        None => (fate, Record { time, prediction: Some(prediction), outcome: None, flags: late }),
        Some(record) => match &record.prediction {
            None => (fate, Record { time, prediction: Some(prediction), flags: record.flags.without(Flags::UNKNOWN).with(late), ..record }),
            // The same call once more, or an answer that was sent twice: what was stored first stays.
            Some(before) if before.arm == prediction.arm && alike(before.value, prediction.value) => (Fate::Duplicate, record),
            Some(_) => (Fate::Contradictory, contradicted(record, closed)),
        },
    }
}

/// A caller says what came true.
pub fn came_true(known: Option<Record>, value: f64, now: i64, closed: i64) -> (Fate, Record) {
    let outcome = Some(Outcome { value, at: now });
    match known {
        None => (Fate::Early, Record { time: now, prediction: None, outcome, flags: Flags::UNKNOWN }),
        Some(record) => match record.outcome {
            Some(before) if same(before.value, value) => (Fate::Duplicate, record),
            Some(_) => (Fate::Contradictory, contradicted(record, closed)),
            None if record.time <= closed => (Fate::Late, Record { outcome, flags: record.flags.with(Flags::OUTCOME_LATE), ..record }),
            None => (Fate::Stored, Record { outcome, ..record }),
        },
    }
}

/// Two truths are none: the record is left out, unless it has been counted already. An outcome that still waits for its prediction has not been.
fn contradicted(record: Record, closed: i64) -> Record {
    let counted = record.prediction.is_some() && record.time <= closed;
    let flag = if counted { Flags::CONTRADICTED_LATE } else { Flags::CONTRADICTED };
    Record { flags: record.flags.with(flag), ..record }
}

/// Whether two answers to one call are the same one: a forward pass in single precision differs in its last digits with the batch.
fn alike(a: f64, b: f64) -> bool {
    same(a, b) || (a - b).abs() <= 1e-5 * a.abs().max(b.abs())
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Arm;
    use proptest::prelude::*;

    fn prediction(value: f64) -> Prediction {
        Prediction {
            arm: Arm { revision: "r1".into(), variant: String::new() }.into(),
            unit: None,
            value,
            positive: value >= 0.5,
            weight: 1.0,
            features: String::new(),
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Word {
        Predicted(i64, f64),
        CameTrue(i64, f64),
    }
    use Word::{CameTrue, Predicted};

    fn tell(words: &[Word], closed: i64) -> (Vec<Fate>, Option<Record>) {
        let mut record = None;
        let fates = words.iter().map(|word| {
            let (fate, next) = match *word {
                Predicted(time, value) => predicted(record.take(), time, prediction(value), closed),
                CameTrue(now, value) => came_true(record.take(), value, now, closed),
            };
            record = Some(next);
            fate
        });
        (fates.collect(), record)
    }

    #[test]
    fn every_order_has_its_name() {
        use Fate::{Contradictory, Duplicate, Early, Late, Stored};
        let none = Flags::default();
        let table: [(&[Word], &[Fate], Flags); 12] = [
            (&[Predicted(10, 0.7)], &[Stored], none),
            (&[Predicted(10, 0.7), CameTrue(20, 1.0)], &[Stored, Stored], none),
            (&[CameTrue(5, 1.0), Predicted(10, 0.7)], &[Early, Stored], none),
            (&[CameTrue(5, 1.0)], &[Early], Flags::UNKNOWN),
            (&[Predicted(10, 0.7), Predicted(11, 0.7)], &[Stored, Duplicate], none),
            (&[Predicted(10, 0.7), Predicted(11, 0.2)], &[Stored, Contradictory], Flags::CONTRADICTED),
            (&[Predicted(10, 0.7), CameTrue(20, 1.0), CameTrue(21, 1.0)], &[Stored, Stored, Duplicate], none),
            (&[Predicted(10, 0.7), CameTrue(20, 1.0), CameTrue(21, 0.0), CameTrue(22, 1.0)], &[Stored, Stored, Contradictory, Duplicate], Flags::CONTRADICTED),
            (&[CameTrue(5, 1.0), CameTrue(6, 0.0), Predicted(10, 0.7)], &[Early, Contradictory, Stored], Flags::CONTRADICTED),
            (&[Predicted(3, 0.7)], &[Late], Flags::PREDICTION_LATE),
            // What was made at the very time up to which windows have closed has been counted.
            (&[Predicted(4, 0.7), CameTrue(9, 1.0)], &[Late, Late], Flags::PREDICTION_LATE.with(Flags::OUTCOME_LATE)),
            (
                &[Predicted(3, 0.7), CameTrue(9, 1.0), CameTrue(9, 0.0)],
                &[Late, Late, Contradictory],
                Flags::PREDICTION_LATE.with(Flags::OUTCOME_LATE).with(Flags::CONTRADICTED_LATE),
            ),
        ];
        for (words, fates, flags) in table {
            let (said, record) = tell(words, 4);
            assert_eq!((said.as_slice(), record.unwrap().flags), (fates, flags), "{words:?}");
        }
    }

    #[test]
    fn what_was_counted_does_not_change() {
        let (_, record) = tell(&[Predicted(10, 0.7), CameTrue(20, 1.0)], 4);
        let counted = record.unwrap();
        for (fate, after) in [came_true(Some(counted.clone()), 0.0, 99, 50), predicted(Some(counted.clone()), 10, prediction(0.1), 50)] {
            assert_eq!(fate, Fate::Contradictory);
            assert!(after.flags.counts() && after.outcome == counted.outcome && after.prediction == counted.prediction);
        }
    }

    proptest! {
        /// While the window is open, whatever is said in whatever order and however often: what will be counted is the same.
        #[test]
        fn order_and_repetition_make_no_difference(
            words in proptest::collection::vec(prop_oneof![(11_i64..14, 0_u8..2).prop_map(|(time, value)| Predicted(time, f64::from(value))),
                (11_i64..14, 0_u8..2).prop_map(|(now, value)| CameTrue(now, f64::from(value)))], 1..8),
            seed in any::<u64>(),
        ) {
            let mut shuffled = words.clone();
            shuffled.extend_from_slice(&words[..words.len() / 2]);
            let mut state = seed | 1;
            for place in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
            }
            let counted = |words: &[Word]| {
                let record = tell(words, 4).1.unwrap();
                (record.flags, record.flags.counts().then(|| (record.prediction.map(|prediction| prediction.value.to_bits()), record.outcome.map(|outcome| outcome.value.to_bits()))))
            };
            prop_assert_eq!(counted(&words), counted(&shuffled));
        }
    }
}
