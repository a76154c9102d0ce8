//! Two answers to one call, in a paired ABTest: the one that the caller got, and one that nobody got, a shadow. Pure.
//!
//! A shadow is a record of its own, under a key that no caller's id can be. Its window closes later than that of the answer that the caller
//! got, so that this one has been counted by then, whatever the servers' clocks say within [`DELAY`]. Then both count for the test with the
//! one outcome, or neither does: what becomes of a pair follows from its two records alone, in whatever order they came.

use crate::join::{Fate, predicted};
use crate::record::{Flags, Outcome, Prediction, Record};

/// How much later a shadow's window closes, in milliseconds: so much may the clocks of two model servers differ. Its record has that time.
pub const DELAY: i64 = 15_000;
/// How long after its window has closed a record may still be one of a pair, in milliseconds.
pub const KEPT: i64 = 2 * DELAY;
/// Before the id in a shadow's key. Ids have no control characters.
const MARK: char = '\u{1}';

/// The key of the shadow of this id.
pub fn key(id: &str) -> String {
    format!("{MARK}{id}")
}

/// The id of a shadow's key; `None` for other ids.
pub fn id_of(key: &str) -> Option<&str> {
    key.strip_prefix(MARK)
}

/// A model server says what was predicted, and that nobody got it.
pub fn shadowed(known: Option<Record>, time: i64, prediction: Prediction, closed: i64) -> (Fate, Record) {
    let (fate, record) = predicted(known, time.saturating_add(DELAY), prediction, closed);
    (fate, Record { flags: record.flags.with(Flags::SHADOW), ..record })
}

/// Both answers to one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'a> {
    /// When the shadow was made.
    pub time: i64,
    /// What the caller got.
    pub answered: &'a Prediction,
    /// What nobody got.
    pub shadow: &'a Prediction,
    /// What is unusual about either.
    pub flags: Flags,
    /// What came true in time.
    pub outcome: Option<Outcome>,
}

/// The pair of a shadow whose window has closed. `None` where there is no answer to the same unit's call, or one of both came late: then
/// neither counts for the test.
pub fn pair<'a>(shadow: &'a Record, answered: Option<&'a Record>) -> Option<Pair<'a>> {
    let answered = answered?;
    let (ours, theirs) = (shadow.prediction.as_ref()?, answered.prediction.as_ref()?);
    let late = [shadow, answered].into_iter().any(|record| record.flags.has(Flags::PREDICTION_LATE));
    let together = answered.time <= shadow.time && answered.time > shadow.time.saturating_sub(KEPT);
    if late || !together || ours.unit != theirs.unit {
        return None;
    }
    let contradicted = [shadow, answered].into_iter().any(|record| record.flags.has(Flags::CONTRADICTED));
    Some(Pair {
        time: shadow.time.saturating_sub(DELAY),
        answered: theirs,
        shadow: ours,
        flags: if contradicted { Flags::CONTRADICTED } else { Flags::default() },
        outcome: answered.outcome.filter(|_| !answered.flags.has(Flags::OUTCOME_LATE)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::came_true;
    use crate::record::Arm;

    fn prediction(unit: u64) -> Prediction {
        Prediction { arm: Arm::default().into(), unit: Some(unit), value: 0.5, positive: true, weight: 1.0, features: String::new() }
    }

    #[test]
    fn a_shadow_is_found_by_its_id_and_no_caller_can_name_it() {
        assert_eq!((id_of(&key("a/0")), id_of("a/0")), (Some("a/0"), None));
        assert!(crate::record::check_id(&key("a/0")).is_some());
    }

    #[test]
    fn a_pair_has_one_unit_one_outcome_and_both_answers_in_time() {
        let now = 1_000_000;
        let shadow = || shadowed(None, now, prediction(1), 0).1;
        let answered = |time, closed| predicted(None, time, prediction(1), closed).1;
        let told = |record, at, closed| came_true(Some(record), 1.0, at, closed).1;
        let outcome = |shadow: &Record, answered: Option<&Record>| pair(shadow, answered).map(|pair| (pair.flags.counts(), pair.outcome.is_some()));
        let contradicted = |record: Record| predicted(Some(record), now, Prediction { value: 0.9, ..prediction(1) }, 0).1;
        let known = told(answered(now, 0), now, 0);
        let table = [
            (shadow(), Some(answered(now, 0)), Some((true, false)), "nothing came true"),
            (shadow(), Some(known.clone()), Some((true, true)), "it did"),
            (shadow(), Some(told(answered(now, 0), now, now)), Some((true, false)), "too late"),
            (shadow(), Some(contradicted(known.clone())), Some((false, true)), "the answer is contradicted"),
            (contradicted(shadow()), Some(known.clone()), Some((false, true)), "the shadow is"),
            (shadow(), None, None, "no answer"),
            (shadow(), Some(came_true(None, 1.0, now, 0).1), None, "only an outcome"),
            (shadow(), Some(answered(now, now)), None, "an answer that came late"),
            (shadowed(None, now, prediction(1), now + DELAY).1, Some(known.clone()), None, "a shadow that came late"),
            (shadow(), Some(predicted(None, now, prediction(2), 0).1), None, "somebody else's call has the id"),
            (shadow(), Some(answered(now + DELAY, 0)), Some((true, false)), "clocks differ as far as they may"),
            (shadow(), Some(answered(now + DELAY + 1, 0)), None, "and further"),
            (shadow(), Some(answered(now - DELAY, 0)), None, "or in the other direction"),
            (shadow(), Some(answered(now - DELAY + 1, 0)), Some((true, false)), "as far as they may"),
        ];
        for (shadow, answered, expected, why) in table {
            assert_eq!(outcome(&shadow, answered.as_ref()), expected, "{why}");
        }
        assert_eq!(pair(&shadow(), Some(&known)).unwrap().time, now);
    }
}
