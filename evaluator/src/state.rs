//! What the evaluator has counted. It is kept in the database beside the records, and changes with them or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::join::Fate;
use crate::record::Arm;
use crate::store::Met;
use crate::tally::{ByBucket, Tally};
use crate::users::Users;

/// How often each fate befell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fates {
    /// New, and in time.
    pub stored: u64,
    /// Said before.
    pub duplicate: u64,
    /// Something else was said before.
    pub contradictory: u64,
    /// The window had closed.
    pub late: u64,
    /// An outcome before its prediction.
    pub early: u64,
}

impl Fates {
    /// Counts one.
    pub fn add(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Stored => &mut self.stored,
            Fate::Duplicate => &mut self.duplicate,
            Fate::Contradictory => &mut self.contradictory,
            Fate::Late => &mut self.late,
            Fate::Early => &mut self.early,
        };
        *count += 1;
    }

    /// Each with the name of its label.
    pub fn named(&self) -> [(&'static str, u64); 5] {
        [("stored", self.stored), ("duplicate", self.duplicate), ("contradictory", self.contradictory), ("late", self.late), ("early", self.early)]
    }
}

/// What was counted of all arms together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Of predictions.
    pub predictions: Fates,
    /// Of outcomes.
    pub outcomes: Fates,
    /// Outcomes whose prediction did not come within the window.
    pub unknown: u64,
    /// Answers that nobody got, and that have no answer beside them that somebody did.
    #[serde(default)]
    pub unpaired: u64,
    /// Records whose retention has ended.
    pub forgotten: u64,
}

/// What was counted of one arm since its first prediction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmState {
    /// Predictions that came, whatever their window.
    pub predictions: u64,
    /// Units that were assigned to it, once the window of a call of theirs has closed; counted for variants of an ABTest.
    pub units: u64,
    /// Of them, units with a prediction that counts and whose outcome is known.
    pub labelled_units: u64,
    /// Units with an outcome outside of tests; nobody in what was counted before they were.
    #[serde(default)]
    pub users: Users,
    /// Everything whose window has closed.
    pub total: Tally,
    /// What has an outcome, by bucket of units.
    pub buckets: ByBucket,
    /// Of a paired ABTest's treatment: the variant for which the answer counts that the caller got.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub paired_with: String,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Predictions made until then, in milliseconds, have been counted.
    pub closed: i64,
    /// The task for which it is counted; empty in a new database.
    pub task: String,
    /// Days before that, in milliseconds, have been exported, if they are.
    pub exported: i64,
    /// Of all arms.
    pub counts: Counts,
    /// Arms in the order in which they came: the database knows them by their place.
    pub arms: Vec<(Arc<Arm>, ArmState)>,
    /// The history: by arm and beginning of the span.
    pub cells: BTreeMap<(usize, i64), Tally>,
}

impl State {
    /// The arms by their place.
    pub fn known(&self) -> Vec<Arc<Arm>> {
        self.arms.iter().map(|(arm, _)| Arc::clone(arm)).collect()
    }

    /// One more unit for each of these arms.
    pub fn met(&mut self, units: &[Met], count: impl Fn(&mut ArmState) -> &mut u64) {
        for met in units {
            if let Some((_, counted)) = self.arms.get_mut(met.arm) {
                *count(counted) += 1;
            }
        }
    }

    /// The place of an arm; a new one is added.
    pub fn arm(&mut self, arm: &Arc<Arm>) -> usize {
        self.arms.iter().rposition(|(known, _)| known == arm).unwrap_or_else(|| {
            self.arms.push((Arc::clone(arm), ArmState::default()));
            self.arms.len() - 1
        })
    }
}
