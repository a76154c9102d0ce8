//! SQLite on a volume. One statement for each record costs microseconds here; the disk is asked once for a whole step.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Statement, params};

use super::reports::{self, Handed, Listed};
use super::{Change, Dirty, Met, Place, Query, Reader, SCHEMA, Store, understood, written};
use crate::Error;
use crate::record::{Arm, Flags, Outcome, Prediction, Record};
use crate::state::{Counts, State};

/// Write-ahead, and each commit on disk before it is acknowledged. The log is bounded, the cache is 64 MiB.
const SETUP: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 8000;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
PRAGMA busy_timeout = 10000;
";
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, flags INTEGER NOT NULL, arm INTEGER, unit INTEGER,
    value REAL, positive INTEGER, weight REAL, outcome REAL, outcome_at INTEGER, features TEXT);
CREATE INDEX IF NOT EXISTS records_by_time ON records (time);
CREATE INDEX IF NOT EXISTS unusual_records ON records (time) WHERE flags > 0;
CREATE TABLE IF NOT EXISTS arms (arm INTEGER PRIMARY KEY, revision TEXT NOT NULL, variant TEXT NOT NULL, state TEXT NOT NULL, UNIQUE (revision, variant));
CREATE TABLE IF NOT EXISTS cells (arm INTEGER NOT NULL, start INTEGER NOT NULL, tally TEXT NOT NULL, PRIMARY KEY (arm, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (arm INTEGER NOT NULL, unit INTEGER NOT NULL, labelled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (arm, unit)) WITHOUT ROWID;
";
/// What `record` reads. Inputs are read by queries only.
const COLUMNS: &str = "key, time, flags, arm, unit, value, positive, weight, outcome, outcome_at";

/// A database file.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Held as long as the database is used.
    _lock: File,
}

impl Sqlite {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be used, another evaluator uses it, or it is of another version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock_path = path.with_extension("lock");
        let disk = |source| Error::Disk { path: lock_path.display().to_string(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(disk)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Taken(path.display().to_string())),
            Err(TryLockError::Error(source)) => return Err(disk(source)),
        }
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(SETUP)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != 0 && version != SCHEMA {
            return Err(Error::Foreign(format!("{} has tables of version {version}, and this program knows version {SCHEMA}", path.display())));
        }
        connection.execute_batch(TABLES)?;
        connection.execute_batch(reports::IN_SQLITE)?;
        connection.pragma_update(None, "user_version", SCHEMA)?;
        Ok(Self { connection, path: path.to_owned(), _lock: lock })
    }

    fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.connection.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0)).optional()?)
    }

    /// Runs a statement for each unit; gives those for which it changed something.
    fn changed(&mut self, statement: &str, units: &[Met]) -> Result<Vec<Met>, Error> {
        let mut statement = self.connection.prepare_cached(statement)?;
        let mut new = Vec::new();
        for met in units {
            if statement.execute(params![met.arm, met.unit.cast_signed()])? > 0 {
                new.push(*met);
            }
        }
        Ok(new)
    }
}

/// A record, its key and its arm's place, from `COLUMNS`.
fn record(row: &Row<'_>, arms: &[Arc<Arm>]) -> rusqlite::Result<(i64, Place, Record)> {
    let place: Place = row.get(3)?;
    let prediction = match place.and_then(|place| arms.get(place)) {
        None => None,
        Some(arm) => Some(Prediction {
            arm: Arc::clone(arm),
            unit: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
            value: row.get(5)?,
            positive: row.get(6)?,
            weight: row.get(7)?,
            features: String::new(),
        }),
    };
    let outcome = match row.get::<_, Option<f64>>(8)? {
        None => None,
        Some(value) => Some(Outcome { value, at: row.get(9)? }),
    };
    Ok((row.get(0)?, place, Record { time: row.get(1)?, prediction, outcome, flags: Flags::of_bits(row.get(2)?) }))
}

/// A record with its inputs and its id, from `COLUMNS, id, features`.
fn whole(row: &Row<'_>, arms: &[Arc<Arm>]) -> rusqlite::Result<(i64, String, Record)> {
    let (key, _, mut record) = record(row, arms)?;
    if let Some(prediction) = &mut record.prediction {
        prediction.features = row.get::<_, Option<String>>(11)?.unwrap_or_default();
    }
    Ok((key, row.get(10)?, record))
}

/// A connection that only reads.
struct SqliteReader {
    connection: Connection,
    arms: Vec<Arc<Arm>>,
}

impl Reader for SqliteReader {
    fn page(&mut self, after: (i64, i64), end: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error> {
        let statement = format!("SELECT {COLUMNS}, id, features FROM records WHERE (time, key) > (?, ?) AND time < ? ORDER BY time, key LIMIT ?");
        let mut statement = self.connection.prepare_cached(&statement)?;
        let rows = statement.query_map(params![after.0, after.1, end, most], |row| whole(row, &self.arms))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn newest(&mut self, arms: &[usize], before: (i64, i64), from: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error> {
        let places = arms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let statement = format!(
            "SELECT {COLUMNS}, id, features FROM records WHERE (time, key) < (?, ?) AND time >= ? AND arm IN ({places}) AND outcome IS NOT NULL \
             ORDER BY time DESC, key DESC LIMIT ?"
        );
        let mut statement = self.connection.prepare_cached(&statement)?;
        let rows = statement.query_map(params![before.0, before.1, from, most], |row| whole(row, &self.arms))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Binds a prediction's columns from the parameter `from` on.
fn bind_prediction(statement: &mut Statement<'_>, from: usize, place: Place, record: &Record) -> rusqlite::Result<()> {
    let prediction = record.prediction.as_ref();
    statement.raw_bind_parameter(from, record.time)?;
    statement.raw_bind_parameter(from + 1, record.flags.bits())?;
    statement.raw_bind_parameter(from + 2, place)?;
    statement.raw_bind_parameter(from + 3, prediction.and_then(|prediction| prediction.unit).map(u64::cast_signed))?;
    statement.raw_bind_parameter(from + 4, prediction.map(|prediction| prediction.value))?;
    statement.raw_bind_parameter(from + 5, prediction.map(|prediction| prediction.positive))?;
    statement.raw_bind_parameter(from + 6, prediction.map(|prediction| prediction.weight))?;
    statement.raw_bind_parameter(from + 7, record.outcome.map(|outcome| outcome.value))?;
    statement.raw_bind_parameter(from + 8, record.outcome.map(|outcome| outcome.at))?;
    statement.raw_bind_parameter(from + 9, prediction.map(|prediction| prediction.features.as_str()).filter(|features| !features.is_empty()))
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<State, Error> {
        let closed = self.meta("closed")?.map_or(Ok(0), |text| understood("meta.closed", &text))?;
        let counts: Counts = self.meta("counts")?.map_or(Ok(Counts::default()), |text| understood("meta.counts", &text))?;
        let exported = self.meta("exported")?.map_or(Ok(0), |text| understood("meta.exported", &text))?;
        let task = self.meta("task")?.unwrap_or_default();
        let mut state = State { closed, counts, exported, task, ..State::default() };
        let mut arms = self.connection.prepare("SELECT revision, variant, state FROM arms ORDER BY arm")?;
        let mut rows = arms.query([])?;
        while let Some(row) = rows.next()? {
            let arm = Arm { revision: row.get(0)?, variant: row.get(1)? };
            state.arms.push((Arc::new(arm), understood("arms.state", &row.get::<_, String>(2)?)?));
        }
        let mut cells = self.connection.prepare("SELECT arm, start, tally FROM cells")?;
        let mut rows = cells.query([])?;
        while let Some(row) = rows.next()? {
            state.cells.insert((row.get(0)?, row.get(1)?), understood("cells.tally", &row.get::<_, String>(2)?)?);
        }
        Ok(state)
    }

    fn begin(&mut self) -> Result<(), Error> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn undo(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction could not be rolled back");
        }
    }

    fn find(&mut self, ids: &[&str], arms: &[Arc<Arm>]) -> Result<HashMap<String, (i64, Record)>, Error> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM records WHERE id = ?"))?;
        let mut found = HashMap::new();
        for id in ids {
            if let Some((key, _, record)) = statement.query_row([id], |row| record(row, arms)).optional()? {
                found.insert((*id).to_owned(), (key, record));
            }
        }
        Ok(found)
    }

    fn write(&mut self, changes: &[Change<'_>]) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO records (time, flags, arm, unit, value, positive, weight, outcome, outcome_at, features, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut complete = self.connection.prepare_cached(
            "UPDATE records SET time = ?, flags = ?, arm = ?, unit = ?, value = ?, positive = ?, weight = ?, outcome = ?, outcome_at = ?, features = ? WHERE key = ?",
        )?;
        let mut settle = self.connection.prepare_cached("UPDATE records SET flags = ?, outcome = ?, outcome_at = ? WHERE key = ?")?;
        for change in changes {
            match change {
                Change::Insert(id, place, record) => {
                    bind_prediction(&mut insert, 1, *place, record)?;
                    insert.raw_bind_parameter(11, id)?;
                    insert.raw_execute()?;
                }
                Change::Complete(key, place, record) => {
                    bind_prediction(&mut complete, 1, *place, record)?;
                    complete.raw_bind_parameter(11, key)?;
                    complete.raw_execute()?;
                }
                Change::Settle(key, record) => {
                    settle.execute(params![record.flags.bits(), record.outcome.map(|outcome| outcome.value), record.outcome.map(|outcome| outcome.at), key])?;
                }
            }
        }
        Ok(())
    }

    fn nth(&mut self, span: (i64, i64), n: u32) -> Result<Option<i64>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT time FROM records WHERE time > ? AND time <= ? ORDER BY time LIMIT 1 OFFSET ?")?;
        Ok(statement.query_row(params![span.0, span.1, n], |row| row.get(0)).optional()?)
    }

    fn between(&mut self, span: (i64, i64), arms: &[Arc<Arm>], each: &mut dyn FnMut(Place, &Record)) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM records WHERE time > ? AND time <= ?"))?;
        let mut rows = statement.query([span.0, span.1])?;
        while let Some(row) = rows.next()? {
            let (_, place, record) = record(row, arms)?;
            each(place, &record);
        }
        Ok(())
    }

    fn shadows(&mut self, span: (i64, i64), arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {COLUMNS}, id FROM records WHERE time > ? AND time <= ? AND flags < 0 ORDER BY time"))?;
        let rows = statement.query_map([span.0, span.1], |row| Ok((row.get(10)?, record(row, arms)?.2)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn assigned(&mut self, units: &[Met]) -> Result<Vec<Met>, Error> {
        self.changed("INSERT INTO units (arm, unit) VALUES (?, ?) ON CONFLICT DO NOTHING", units)
    }

    fn labelled(&mut self, units: &[Met]) -> Result<Vec<Met>, Error> {
        self.changed("UPDATE units SET labelled = 1 WHERE arm = ? AND unit = ? AND labelled = 0", units)
    }

    fn save(&mut self, state: &State, dirty: &Dirty) -> Result<(), Error> {
        let mut meta =
            self.connection.prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?;
        meta.execute(params!["closed", state.closed.to_string()])?;
        meta.execute(params!["counts", written(&state.counts)?])?;
        meta.execute(params!["exported", state.exported.to_string()])?;
        meta.execute(params!["task", state.task])?;
        let mut arms = self
            .connection
            .prepare_cached("INSERT INTO arms (arm, revision, variant, state) VALUES (?, ?, ?, ?) ON CONFLICT (arm) DO UPDATE SET state = excluded.state")?;
        for place in &dirty.arms {
            if let Some((arm, counted)) = state.arms.get(*place) {
                arms.execute(params![place, arm.revision, arm.variant, written(counted)?])?;
            }
        }
        let mut cells = self
            .connection
            .prepare_cached("INSERT INTO cells (arm, start, tally) VALUES (?, ?, ?) ON CONFLICT (arm, start) DO UPDATE SET tally = excluded.tally")?;
        for (place, start) in &dirty.cells {
            if let Some(tally) = state.cells.get(&(*place, *start)) {
                cells.execute(params![place, start, written(tally)?])?;
            }
        }
        let mut gone = self.connection.prepare_cached("DELETE FROM cells WHERE arm = ? AND start = ?")?;
        for (place, start) in &dirty.gone {
            gone.execute(params![place, start])?;
        }
        Ok(())
    }

    fn forget(&mut self, until: i64, most: u32) -> Result<u64, Error> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM records WHERE key IN (SELECT key FROM records WHERE time <= ? ORDER BY time LIMIT ?)")?;
        Ok(u64::try_from(statement.execute(params![until, most])?).unwrap_or(0))
    }

    fn reader(&self, arms: Vec<Arc<Arm>>) -> Result<Box<dyn Reader>, Error> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        Ok(Box::new(SqliteReader { connection, arms }))
    }

    fn query(&mut self, query: &Query, arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error> {
        let select = |rest| self.connection.prepare_cached(&format!("SELECT {COLUMNS}, id, features FROM records {rest}"));
        let read = |row: &Row<'_>| whole(row, arms).map(|(_, id, record)| (id, record));
        let rows: rusqlite::Result<Vec<_>> = match query {
            Query::Id(id) => select("WHERE id = ?")?.query_map([id], read)?.collect(),
            Query::Unusual(flags, most) => {
                select("WHERE flags > 0 AND flags & ?1 = ?1 ORDER BY time DESC LIMIT ?2")?.query_map(params![flags.bits(), most], read)?.collect()
            }
        };
        rows.map_err(Error::from)
    }

    fn keep(&mut self, handed: &Handed) -> Result<(), Error> {
        reports::keep_in_sqlite(&self.connection, handed)
    }

    fn handed(&mut self, name: &str) -> Result<Option<Handed>, Error> {
        reports::of_sqlite(&self.connection, name)
    }

    fn reports(&mut self) -> Result<Vec<Listed>, Error> {
        reports::all_of_sqlite(&self.connection)
    }
}
