//! Where records are kept: SQLite on a volume, or a PostgreSQL server. Both do the same with the same tables; what is decided is decided above.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::Error;
use crate::record::{Arm, Flags, Record};
use crate::state::State;

mod postgresql;
mod reports;
mod sqlite;

pub use postgresql::Postgresql;
pub use reports::{Handed, Listed};
pub use sqlite::Sqlite;

/// The tables' version. A database of another one is not touched.
pub const SCHEMA: i64 = 1;

/// What is written of one record.
#[derive(Debug)]
pub enum Change<'a> {
    /// A new one.
    Insert(&'a str, Place, &'a Record),
    /// The prediction of an outcome that came before it.
    Complete(i64, Place, &'a Record),
    /// An outcome, or what is unusual.
    Settle(i64, &'a Record),
}

/// The place of the prediction's arm among the arms of the state.
pub type Place = Option<usize>;

/// A unit that an arm has met, and whether an outcome of it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Met {
    /// The arm.
    pub arm: usize,
    /// The unit's hash.
    pub unit: u64,
}

/// What has to be saved of the state.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Arms.
    pub arms: BTreeSet<usize>,
    /// Cells of the history.
    pub cells: BTreeSet<(usize, i64)>,
    /// Cells that are forgotten.
    pub gone: Vec<(usize, i64)>,
}

/// What a query asks for.
#[derive(Clone, Debug)]
pub enum Query {
    /// The record of one id.
    Id(String),
    /// The newest records that are unusual in this way, at most so many.
    Unusual(Flags, u32),
}

/// A second connection, for reading beside the writer.
pub trait Reader: Send {
    /// The records after this one (time, key) and before `end`, by time and key, at most so many. Inputs come with them.
    ///
    /// # Errors
    /// The database cannot be used.
    fn page(&mut self, after: (i64, i64), end: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error>;
    /// The records with an outcome of the arms at these places, before this one (time, key) and from this time on: the newest first, at most
    /// so many. Inputs come with them.
    ///
    /// # Errors
    /// The database cannot be used.
    fn newest(&mut self, arms: &[usize], before: (i64, i64), from: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error>;
}

/// A walk over the records of a span, a page at a time.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    after: (i64, i64),
    end: i64,
}

impl Page {
    /// Of the span from (inclusive) to (exclusive).
    pub fn of((from, end): (i64, i64)) -> Self {
        Self { after: (from - 1, i64::MAX), end }
    }

    /// The next records; `None` at the end.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn next(&mut self, reader: &mut dyn Reader, most: u32) -> Result<Option<Vec<(String, Record)>>, Error> {
        let records = reader.page(self.after, self.end, most)?;
        let Some((key, _, last)) = records.last() else { return Ok(None) };
        self.after = (last.time, *key);
        Ok(Some(records.into_iter().map(|(_, id, record)| (id, record)).collect()))
    }
}

/// A database with one user: the thread of `writer`. Between `begin` and `end` all or nothing is written.
pub trait Store: Send {
    /// What has been counted. After a connection was lost, only this makes another.
    ///
    /// # Errors
    /// The database cannot be used.
    fn load(&mut self) -> Result<State, Error>;
    /// Begins a transaction.
    ///
    /// # Errors
    /// The database cannot be used.
    fn begin(&mut self) -> Result<(), Error>;
    /// Ends it: everything since `begin` is on disk.
    ///
    /// # Errors
    /// The database cannot be used.
    fn end(&mut self) -> Result<(), Error>;
    /// Nothing since `begin` happened. Where the connection is lost, only `load` helps.
    fn undo(&mut self);
    /// The records of these ids, each with its key. Predictions come without their inputs.
    ///
    /// # Errors
    /// The database cannot be used.
    fn find(&mut self, ids: &[&str], arms: &[Arc<Arm>]) -> Result<HashMap<String, (i64, Record)>, Error>;
    /// Writes changes.
    ///
    /// # Errors
    /// The database cannot be used.
    fn write(&mut self, changes: &[Change<'_>]) -> Result<(), Error>;
    /// The time of the n-th record in (after, until], the span; `None` where there are fewer.
    ///
    /// # Errors
    /// The database cannot be used.
    fn nth(&mut self, span: (i64, i64), n: u32) -> Result<Option<i64>, Error>;
    /// Shows every record with a time in (after, until], the span, without its inputs.
    ///
    /// # Errors
    /// The database cannot be used.
    fn between(&mut self, span: (i64, i64), arms: &[Arc<Arm>], each: &mut dyn FnMut(Place, &Record)) -> Result<(), Error>;
    /// The answers that nobody got, each with its key, of the same span.
    ///
    /// # Errors
    /// The database cannot be used.
    fn shadows(&mut self, span: (i64, i64), arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error>;
    /// Notes units that were assigned; gives those that are new.
    ///
    /// # Errors
    /// The database cannot be used.
    fn assigned(&mut self, units: &[Met]) -> Result<Vec<Met>, Error>;
    /// Notes units of which an outcome is known; gives those of which none was.
    ///
    /// # Errors
    /// The database cannot be used.
    fn labelled(&mut self, units: &[Met]) -> Result<Vec<Met>, Error>;
    /// Saves what changed of the state.
    ///
    /// # Errors
    /// The database cannot be used.
    fn save(&mut self, state: &State, dirty: &Dirty) -> Result<(), Error>;
    /// Deletes at most so many records with a time up to `until`; says how many.
    ///
    /// # Errors
    /// The database cannot be used.
    fn forget(&mut self, until: i64, most: u32) -> Result<u64, Error>;
    /// Another connection, which reads what has been committed.
    ///
    /// # Errors
    /// The database cannot be used.
    fn reader(&self, arms: Vec<Arc<Arm>>) -> Result<Box<dyn Reader>, Error>;
    /// Answers a query.
    ///
    /// # Errors
    /// The database cannot be used.
    fn query(&mut self, query: &Query, arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error>;
    /// Keeps what was handed over for a report, in place of what had its name. Of too many, the oldest is forgotten.
    ///
    /// # Errors
    /// The database cannot be used.
    fn keep(&mut self, handed: &Handed) -> Result<(), Error>;
    /// What was handed over under this name.
    ///
    /// # Errors
    /// The database cannot be used.
    fn handed(&mut self, name: &str) -> Result<Option<Handed>, Error>;
    /// Every report, by name.
    ///
    /// # Errors
    /// The database cannot be used.
    fn reports(&mut self) -> Result<Vec<Listed>, Error>;
}

fn understood<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Foreign(format!("{what}: {error}")))
}

fn written<T: serde::Serialize>(what: &T) -> Result<String, Error> {
    serde_json::to_string(what).map_err(|error| Error::Foreign(error.to_string()))
}
