//! One step of the evaluator: windows close, records are taken, old ones are forgotten; all of it or nothing. Time is passed in.

use std::collections::{HashMap, HashSet};

use crate::Error;
use crate::closing::Closing;
use crate::export::DAY;
use crate::join::{came_true, predicted};
use crate::pair::{KEPT, id_of, shadowed};
use crate::record::{Arm, Entry, Prediction, Record, Said};
use crate::settings::Settings;
use crate::state::{Fates, State};
use crate::store::{Change, Dirty, Handed, Listed, Met, Query, Reader, Store};

/// Predictions that one step counts, or a few more: who was away catches up in pieces, and takes records between them.
const PIECE: u32 = 50_000;
/// Windows close at most this often, in milliseconds.
const EVERY: i64 = 1_000;
/// Records that one step forgets at most.
const FORGET: u32 = 20_000;

/// Records and counts in one database.
pub struct Ledger {
    store: Box<dyn Store>,
    settings: Settings,
    state: State,
    /// The last step failed: what is in memory may not be what is on disk.
    stale: bool,
}

/// What a step came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What became of each call's records.
    pub receipts: Vec<Fates>,
    /// Whether more can be done at once.
    pub behind: bool,
}

/// A record in memory, with its key if it is in the database.
struct Slot {
    key: Option<i64>,
    before: Option<Record>,
    record: Option<Record>,
}

impl Ledger {
    /// Opens the database.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn open(mut store: Box<dyn Store>, settings: Settings) -> Result<Self, Error> {
        let state = loaded(&mut *store, settings)?;
        Ok(Self { store, settings, state, stale: false })
    }

    /// What has been counted, as the last step left it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What has been counted and is on disk: after a step that failed, it is read anew.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn committed(&mut self) -> Result<&State, Error> {
        self.refresh()?;
        Ok(&self.state)
    }

    fn refresh(&mut self) -> Result<(), Error> {
        if self.stale {
            self.state = loaded(&mut *self.store, self.settings)?;
            self.stale = false;
        }
        Ok(())
    }

    /// Answers a query.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn query(&mut self, query: &Query) -> Result<Vec<(String, Record)>, Error> {
        self.refresh()?;
        // A connection may have been lost, and with it the lock that keeps others away.
        self.store.query(query, &self.state.known()).inspect_err(|_| self.stale = true)
    }

    /// Keeps what was handed over for a report. When it returns, it is on disk.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn keep(&mut self, handed: &Handed) -> Result<(), Error> {
        self.all_or_nothing(|ledger| ledger.store.keep(handed))
    }

    /// What was handed over under this name.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn handed(&mut self, name: &str) -> Result<Option<Handed>, Error> {
        self.refresh()?;
        self.store.handed(name).inspect_err(|_| self.stale = true)
    }

    /// Every report, by name.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn reports(&mut self) -> Result<Vec<Listed>, Error> {
        self.refresh()?;
        self.store.reports().inspect_err(|_| self.stale = true)
    }

    /// Another connection, for reading.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        self.store.reader(self.state.known())
    }

    /// Days before `until` have been exported.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn exported(&mut self, until: i64) -> Result<(), Error> {
        self.all_or_nothing(|ledger| {
            ledger.state.exported = ledger.state.exported.max(until);
            ledger.store.save(&ledger.state, &Dirty::default())
        })
    }

    /// Takes the records of some calls. When it returns, all of them are on disk; when it fails, none is.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn step(&mut self, now: i64, calls: &[Vec<Entry>]) -> Result<Step, Error> {
        self.all_or_nothing(|ledger| ledger.work(now, calls))
    }

    fn all_or_nothing<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.refresh()?;
        // Until it has ended well.
        self.stale = true;
        let done = self.store.begin().and_then(|()| work(self)).and_then(|done| self.store.end().map(|()| done));
        if done.is_err() {
            self.store.undo();
        } else {
            self.stale = false;
        }
        done
    }

    fn work(&mut self, now: i64, calls: &[Vec<Entry>]) -> Result<Step, Error> {
        let mut dirty = Dirty::default();
        let horizon = self.state.closed.max(now.saturating_sub(self.settings.window));
        let behind = self.close_windows(horizon, &mut dirty)?;
        let receipts = self.take(now, horizon, calls, &mut dirty)?;
        let forgot = self.forget(now, &mut dirty)?;
        self.store.save(&self.state, &dirty)?;
        Ok(Step { receipts, behind: behind || forgot })
    }

    /// Counts predictions whose window has closed. Whether there are more.
    fn close_windows(&mut self, horizon: i64, dirty: &mut Dirty) -> Result<bool, Error> {
        let Self { store, settings, state, .. } = self;
        if state.closed == 0 {
            // A new database: nothing can have been counted before.
            state.closed = horizon;
            state.exported = horizon.div_euclid(DAY) * DAY;
        }
        let after = state.closed;
        if horizon - after < EVERY {
            return Ok(false);
        }
        let until = store.nth((after, horizon), PIECE)?.unwrap_or(horizon);
        let (arms, mut closing) = (state.known(), Closing::new(state, dirty, *settings));
        store.between((after, until), &arms, &mut |place, record| closing.count(place, record))?;
        if closing.met_shadows() {
            let shadows = store.shadows((after, until), &arms)?;
            let answered = store.find(&shadows.iter().filter_map(|(key, _)| id_of(key)).collect::<Vec<_>>(), &arms)?;
            for (key, shadow) in &shadows {
                closing.count_pair(shadow, id_of(key).and_then(|id| answered.get(id)).map(|(_, record)| record));
            }
        }
        let (assigned, labelled) = closing.units();
        state.met(&store.assigned(&assigned)?, |counted| &mut counted.units);
        state.met(&store.labelled(&labelled)?, |counted| &mut counted.labelled_units);
        state.closed = until;
        Ok(until < horizon)
    }

    /// Joins what is said with what is there.
    fn take(&mut self, now: i64, horizon: i64, calls: &[Vec<Entry>], dirty: &mut Dirty) -> Result<Vec<Fates>, Error> {
        let ids: Vec<&str> = calls.iter().flatten().map(|entry| entry.id.as_str()).collect::<HashSet<_>>().into_iter().collect();
        if ids.is_empty() {
            return Ok(vec![Fates::default(); calls.len()]);
        }
        let mut found = self.store.find(&ids, &self.state.known())?;
        let mut slots: HashMap<&str, Slot> = HashMap::with_capacity(ids.len());
        for id in ids {
            let (key, record) = found.remove(id).map_or((None, None), |(key, record)| (Some(key), Some(record)));
            slots.insert(id, Slot { key, before: record.clone(), record });
        }
        let mut receipts = Vec::with_capacity(calls.len());
        let mut assigned = HashSet::new();
        for call in calls {
            let mut receipt = Fates::default();
            for entry in call {
                let Some(slot) = slots.get_mut(entry.id.as_str()) else { continue };
                let (fate, record) = match &entry.said {
                    Said::Predicted(time, prediction) => {
                        let new = slot.record.as_ref().is_none_or(|record| record.prediction.is_none());
                        if new {
                            self.assign(prediction, *time <= horizon, &mut assigned, dirty);
                        }
                        let (fate, record) = predicted(slot.record.take(), *time, prediction.clone(), horizon);
                        self.state.counts.predictions.add(fate);
                        (fate, record)
                    }
                    Said::Shadowed(time, prediction, control) => {
                        self.pair(prediction, control, dirty);
                        let (fate, record) = shadowed(slot.record.take(), *time, prediction.clone(), horizon);
                        self.state.counts.predictions.add(fate);
                        (fate, record)
                    }
                    Said::CameTrue(value) => {
                        let (fate, record) = came_true(slot.record.take(), *value, now, horizon);
                        self.state.counts.outcomes.add(fate);
                        (fate, record)
                    }
                };
                receipt.add(fate);
                slot.record = Some(record);
            }
            receipts.push(receipt);
        }
        self.state.met(&self.store.assigned(&assigned.into_iter().collect::<Vec<_>>())?, |counted| &mut counted.units);
        let places: HashMap<&Arm, usize> = self.state.arms.iter().enumerate().map(|(place, (arm, _))| (&**arm, place)).collect();
        let changes: Vec<Change<'_>> = slots.iter().filter_map(|(id, slot)| change(id, slot, &places)).collect();
        self.store.write(&changes)?;
        Ok(receipts)
    }

    /// A prediction that was not known: its arm, and its unit if it is late. Units of the others are counted when their window closes: model
    /// servers hand over one after another, and until all have, a variant may seem to lack users.
    fn assign(&mut self, prediction: &Prediction, late: bool, assigned: &mut HashSet<Met>, dirty: &mut Dirty) {
        let arm = self.state.arm(&prediction.arm);
        dirty.arms.insert(arm);
        if let Some((_, counted)) = self.state.arms.get_mut(arm) {
            counted.predictions += 1;
        }
        if let (Some(unit), true, false) = (prediction.unit, late, prediction.arm.variant.is_empty()) {
            assigned.insert(Met { arm, unit });
        }
    }

    /// A shadow: its arm knows for which variant the caller's answer counts. It is counted with that one, when its window closes.
    fn pair(&mut self, prediction: &Prediction, control: &str, dirty: &mut Dirty) {
        let arm = self.state.arm(&prediction.arm);
        if let Some((_, counted)) = self.state.arms.get_mut(arm).filter(|(_, counted)| counted.paired_with.is_empty()) {
            control.clone_into(&mut counted.paired_with);
            dirty.arms.insert(arm);
        }
    }

    /// Deletes what is older than the retention and has been counted, also with a shadow. Whether there may be more.
    fn forget(&mut self, now: i64, dirty: &mut Dirty) -> Result<bool, Error> {
        let counted = self.state.closed.saturating_sub(KEPT).min(if self.settings.export { self.state.exported - 1 } else { i64::MAX });
        let until = now.saturating_sub(self.settings.retention).min(counted);
        let forgotten = self.store.forget(until, FORGET)?;
        self.state.counts.forgotten += forgotten;
        let old = until.saturating_sub(self.settings.period);
        dirty.gone = self.state.cells.keys().copied().filter(|(_, start)| *start < old).collect();
        self.state.cells.retain(|(_, start), _| *start >= old);
        Ok(forgotten == u64::from(FORGET))
    }
}

/// What the database has counted, for the same task.
fn loaded(store: &mut dyn Store, settings: Settings) -> Result<State, Error> {
    let (state, task) = (store.load()?, settings.task.name());
    if !state.task.is_empty() && state.task != task {
        return Err(Error::Foreign(format!("it was counted for the task {}, and this evaluator was started for {task}", state.task)));
    }
    Ok(State { task: task.to_owned(), ..state })
}

/// What has to be written of a slot.
fn change<'a>(id: &'a str, slot: &'a Slot, places: &HashMap<&Arm, usize>) -> Option<Change<'a>> {
    let record = slot.record.as_ref()?;
    let place = record.prediction.as_ref().and_then(|prediction| places.get(&*prediction.arm).copied());
    match (slot.key, &slot.before) {
        (Some(_), Some(before)) if before == record => None,
        (Some(key), Some(before)) if before.prediction.is_none() && record.prediction.is_some() => Some(Change::Complete(key, place, record)),
        (Some(key), _) => Some(Change::Settle(key, record)),
        (None, _) => Some(Change::Insert(id, place, record)),
    }
}
