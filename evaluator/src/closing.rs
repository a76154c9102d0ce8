//! What is counted when windows close. It must not know where records are kept, nor which windows close.

use std::collections::HashSet;
use std::sync::Arc;

use crate::pair::{Pair, pair};
use crate::record::{Arm, Flags, Outcome, Prediction, Record};
use crate::settings::Settings;
use crate::state::State;
use crate::store::{Dirty, Met, Place};

/// Windows that close together.
pub struct Closing<'a> {
    state: &'a mut State,
    dirty: &'a mut Dirty,
    settings: Settings,
    /// Units that met a variant. Of a pair both variants have the same ones.
    assigned: HashSet<Met>,
    labelled: HashSet<Met>,
    shadows: bool,
}

impl<'a> Closing<'a> {
    /// Begins.
    pub fn new(state: &'a mut State, dirty: &'a mut Dirty, settings: Settings) -> Self {
        Self { state, dirty, settings, assigned: HashSet::new(), labelled: HashSet::new(), shadows: false }
    }

    /// Counts a record. A shadow is not counted by itself.
    pub fn count(&mut self, place: Place, record: &Record) {
        let Some((place, prediction)) = place.zip(record.prediction.as_ref()) else {
            self.state.counts.unknown += 1;
            return;
        };
        if record.flags.has(Flags::SHADOW) {
            self.shadows = true;
            return;
        }
        let outcome = record.outcome.filter(|_| !record.flags.has(Flags::OUTCOME_LATE));
        self.add(place, record.time, prediction, (record.flags, outcome));
    }

    /// Whether there were shadows.
    pub fn met_shadows(&self) -> bool {
        self.shadows
    }

    /// Counts a shadow and the answer that the caller got for their variants, or neither.
    pub fn count_pair(&mut self, shadow: &Record, answered: Option<&Record>) {
        let found = pair(shadow, answered);
        let control = found.and_then(|pair| self.beside(&pair));
        let Some((pair, control)) = found.zip(control) else {
            self.state.counts.unpaired += 1;
            return;
        };
        for (arm, prediction) in [(&control, pair.answered), (&pair.shadow.arm, pair.shadow)] {
            let place = self.state.arm(arm);
            if let Some((_, counted)) = self.state.arms.get_mut(place) {
                counted.predictions += 1;
            }
            self.add(place, pair.time, prediction, (pair.flags, pair.outcome));
        }
    }

    /// The arm for which the caller's answer counts.
    fn beside(&mut self, pair: &Pair<'_>) -> Option<Arc<Arm>> {
        let place = self.state.arm(&pair.shadow.arm);
        let (_, counted) = self.state.arms.get(place)?;
        let arm = Arm { revision: pair.answered.arm.revision.clone(), variant: counted.paired_with.clone() };
        (!arm.variant.is_empty()).then(|| arm.into())
    }

    fn add(&mut self, place: usize, time: i64, prediction: &Prediction, (flags, outcome): (Flags, Option<Outcome>)) {
        let cell = (place, time.div_euclid(self.settings.period) * self.settings.period);
        self.dirty.arms.insert(place);
        self.dirty.cells.insert(cell);
        let Some((arm, counted)) = self.state.arms.get_mut(place) else { return };
        if let (Some(unit), false) = (prediction.unit, arm.variant.is_empty()) {
            self.assigned.insert(Met { arm: place, unit });
        }
        for tally in [&mut counted.total, self.state.cells.entry(cell).or_default()] {
            if flags.counts() {
                tally.add(prediction, outcome, self.settings.task);
            } else if flags.has(Flags::CONTRADICTED) {
                tally.contradicted += 1;
            }
        }
        let Some(outcome) = outcome.filter(|_| flags.counts()) else { return };
        // Whoever meets a variant has a unit: what has none, by mistake, is in no bucket of a test.
        if prediction.unit.is_some() || arm.variant.is_empty() {
            counted.buckets.add(prediction, time, outcome.value, self.settings.task);
        }
        match prediction.unit {
            Some(unit) if arm.variant.is_empty() => counted.users.add(unit, time),
            Some(unit) => drop(self.labelled.insert(Met { arm: place, unit })),
            None => {}
        }
    }

    /// Units that met a variant, and units of which an outcome is known.
    pub fn units(self) -> (Vec<Met>, Vec<Met>) {
        (self.assigned.into_iter().collect(), self.labelled.into_iter().collect())
    }
}
