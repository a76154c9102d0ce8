//! A PostgreSQL server. Each call is one statement over all of its records: what costs is the way there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, Config, NoTls, Row};

use self::read::PostgresqlReader;
use super::reports::{self, Handed, Listed};
use super::{Change, Dirty, Met, Place, Query, Reader, SCHEMA, Store, understood, written};
use crate::Error;
use crate::record::{Arm, Flags, Outcome, Prediction, Record};
use crate::state::{Counts, State};

mod read;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, time bigint NOT NULL, flags smallint NOT NULL, arm integer, unit bigint,
    value double precision, positive boolean, weight double precision, outcome double precision, outcome_at bigint, features text);
CREATE INDEX IF NOT EXISTS records_by_time ON records (time, key);
CREATE INDEX IF NOT EXISTS unusual_records ON records (time) WHERE flags > 0;
CREATE TABLE IF NOT EXISTS arms (arm integer PRIMARY KEY, revision text NOT NULL, variant text NOT NULL, state text NOT NULL, UNIQUE (revision, variant));
CREATE TABLE IF NOT EXISTS cells (arm integer NOT NULL, start bigint NOT NULL, tally text NOT NULL, PRIMARY KEY (arm, start));
CREATE TABLE IF NOT EXISTS units (arm integer NOT NULL, unit bigint NOT NULL, labelled boolean NOT NULL DEFAULT false, PRIMARY KEY (arm, unit));
";
/// The server gives up a session whose evaluator is gone, and its lock, within half a minute; a commit is on disk whatever the role's default.
const SESSION: &str = "
SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000;
SET idle_in_transaction_session_timeout = '60s'; SET synchronous_commit = on;
";
/// How long a server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long it may leave what was sent unacknowledged.
const SILENT_FOR: Duration = Duration::from_secs(15);
/// What `record` reads. Inputs are read by queries only.
const COLUMNS: &str = "key, time, flags, arm, unit, value, positive, weight, outcome, outcome_at";
/// A prediction's columns as arrays, in the order of `Columns`.
const ARRAYS: &str = "$1::bigint[], $2::smallint[], $3::integer[], $4::bigint[], $5::double precision[], $6::boolean[], $7::double precision[], \
                      $8::double precision[], $9::bigint[], $10::text[]";

/// A schema of a PostgreSQL database.
pub struct Postgresql {
    config: Config,
    schema: String,
    /// `None` when the connection was lost: the next `load` makes another, for another evaluator may have used the schema meanwhile.
    client: Option<Client>,
}

impl Postgresql {
    /// Connects. `url` is a connection string, `schema` where the tables are made.
    ///
    /// # Errors
    /// The server cannot be reached, another evaluator uses the schema, or its tables are of another version.
    pub fn open(url: &str, schema: &str) -> Result<Self, Error> {
        let mut config: Config = url.parse()?;
        // A server that is gone without a word is noticed in seconds, not in hours.
        config.connect_timeout(CONNECT_WITHIN).tcp_user_timeout(SILENT_FOR).keepalives_idle(SILENT_FOR);
        let store = Self { client: None, config, schema: schema.to_owned() };
        let client = store.connect()?;
        Ok(Self { client: Some(client), ..store })
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        self.client.as_mut().filter(|client| !client.is_closed()).ok_or(Error::Lost)
    }

    fn name(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }

    fn connect(&self) -> Result<Client, Error> {
        let mut client = self.config.connect(NoTls)?;
        client.batch_execute(SESSION)?;
        let encoding: String = client.query_one("SHOW server_encoding", &[])?.try_get(0)?;
        if encoding != "UTF8" {
            return Err(Error::Foreign(format!("the database is encoded in {encoding}; ids and inputs need UTF8")));
        }
        let name = self.name();
        // Held as long as the connection.
        let lock = client.query_one("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", &[&format!("plimsoll evaluator {}", self.schema)])?;
        if !lock.try_get::<_, bool>(0)? {
            return Err(Error::Taken(format!("schema {name}")));
        }
        client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {name}; SET search_path TO {name}"))?;
        client.batch_execute(TABLES)?;
        client.batch_execute(reports::IN_POSTGRESQL)?;
        client.execute("INSERT INTO meta VALUES ('schema', $1) ON CONFLICT DO NOTHING", &[&SCHEMA.to_string()])?;
        let version: String = client.query_one("SELECT value FROM meta WHERE name = 'schema'", &[])?.try_get(0)?;
        if version != SCHEMA.to_string() {
            return Err(Error::Foreign(format!("schema {name} has tables of version {version}, and this program knows version {SCHEMA}")));
        }
        Ok(client)
    }

    /// Runs a statement over units that returns those that it changed.
    fn changed(&mut self, statement: &str, units: &[Met]) -> Result<Vec<Met>, Error> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let arms: Vec<i32> = units.iter().map(|met| number(met.arm)).collect();
        let hashes: Vec<i64> = units.iter().map(|met| met.unit.cast_signed()).collect();
        let rows = self.client()?.query(statement, &[&arms, &hashes])?;
        rows.iter().map(|row| Ok(Met { arm: place(row.try_get(0)?), unit: row.try_get::<_, i64>(1)?.cast_unsigned() })).collect()
    }
}

fn number(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A record, its key and its arm's place, from `COLUMNS`.
fn record(row: &Row, arms: &[Arc<Arm>]) -> Result<(i64, Place, Record), postgres::Error> {
    let place: Place = row.try_get::<_, Option<i32>>(3)?.map(place);
    let prediction = match place.and_then(|place| arms.get(place)) {
        None => None,
        Some(arm) => Some(Prediction {
            arm: Arc::clone(arm),
            unit: row.try_get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
            value: row.try_get(5)?,
            positive: row.try_get(6)?,
            weight: row.try_get(7)?,
            features: String::new(),
        }),
    };
    let outcome = match row.try_get::<_, Option<f64>>(8)? {
        None => None,
        Some(value) => Some(Outcome { value, at: row.try_get(9)? }),
    };
    Ok((row.try_get(0)?, place, Record { time: row.try_get(1)?, prediction, outcome, flags: Flags::of_bits(row.try_get(2)?) }))
}

/// A record with its inputs and its id, from `COLUMNS, id, features`.
fn whole(row: &Row, arms: &[Arc<Arm>]) -> Result<(i64, String, Record), Error> {
    let (key, _, mut record) = record(row, arms)?;
    if let Some(prediction) = &mut record.prediction {
        prediction.features = row.try_get::<_, Option<String>>(11)?.unwrap_or_default();
    }
    Ok((key, row.try_get(10)?, record))
}

/// Records by column.
#[derive(Default)]
struct Columns<'a> {
    times: Vec<i64>,
    flags: Vec<i16>,
    arms: Vec<Option<i32>>,
    units: Vec<Option<i64>>,
    values: Vec<Option<f64>>,
    positives: Vec<Option<bool>>,
    weights: Vec<Option<f64>>,
    outcomes: Vec<Option<f64>>,
    outcomes_at: Vec<Option<i64>>,
    features: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, place: Place, record: &'a Record) {
        let prediction = record.prediction.as_ref();
        self.times.push(record.time);
        self.flags.push(record.flags.bits());
        self.arms.push(place.map(number));
        self.units.push(prediction.and_then(|prediction| prediction.unit).map(u64::cast_signed));
        self.values.push(prediction.map(|prediction| prediction.value));
        self.positives.push(prediction.map(|prediction| prediction.positive));
        self.weights.push(prediction.map(|prediction| prediction.weight));
        self.outcomes.push(record.outcome.map(|outcome| outcome.value));
        self.outcomes_at.push(record.outcome.map(|outcome| outcome.at));
        self.features.push(prediction.map(|prediction| prediction.features.as_str()).filter(|features| !features.is_empty()));
    }

    /// The parameters of `ARRAYS`, and one more.
    fn with<'b>(&'b self, last: &'b (dyn ToSql + Sync)) -> [&'b (dyn ToSql + Sync); 11] {
        [
            &self.times,
            &self.flags,
            &self.arms,
            &self.units,
            &self.values,
            &self.positives,
            &self.weights,
            &self.outcomes,
            &self.outcomes_at,
            &self.features,
            last,
        ]
    }
}

impl Store for Postgresql {
    fn load(&mut self) -> Result<State, Error> {
        if self.client().is_err() {
            // The old one first: it may hold the lock.
            self.client = None;
            self.client = Some(self.connect()?);
        }
        let client = self.client()?;
        let mut state = State::default();
        for row in client.query("SELECT name, value FROM meta", &[])? {
            let (name, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            match name.as_str() {
                "closed" => state.closed = understood("meta.closed", &value)?,
                "task" => state.task = value,
                "exported" => state.exported = understood("meta.exported", &value)?,
                "counts" => state.counts = understood::<Counts>("meta.counts", &value)?,
                _ => {}
            }
        }
        for row in client.query("SELECT revision, variant, state FROM arms ORDER BY arm", &[])? {
            let arm = Arm { revision: row.try_get(0)?, variant: row.try_get(1)? };
            state.arms.push((Arc::new(arm), understood("arms.state", &row.try_get::<_, String>(2)?)?));
        }
        for row in client.query("SELECT arm, start, tally FROM cells", &[])? {
            state.cells.insert((place(row.try_get(0)?), row.try_get(1)?), understood("cells.tally", &row.try_get::<_, String>(2)?)?);
        }
        Ok(state)
    }

    fn begin(&mut self) -> Result<(), Error> {
        Ok(self.client()?.batch_execute("BEGIN")?)
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(self.client()?.batch_execute("COMMIT")?)
    }

    fn undo(&mut self) {
        if let Some(client) = &mut self.client
            && let Err(error) = client.batch_execute("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction could not be rolled back; connecting anew");
            self.client = None;
        }
    }

    fn find(&mut self, ids: &[&str], arms: &[Arc<Arm>]) -> Result<HashMap<String, (i64, Record)>, Error> {
        let rows = self.client()?.query(&format!("SELECT {COLUMNS}, id FROM records WHERE id = ANY($1)"), &[&ids])?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let (key, _, record) = record(row, arms)?;
            found.insert(row.try_get(10)?, (key, record));
        }
        Ok(found)
    }

    fn write(&mut self, changes: &[Change<'_>]) -> Result<(), Error> {
        let (mut new, mut ids, mut completed, mut keys) = (Columns::default(), Vec::new(), Columns::default(), Vec::new());
        let (mut settled, mut flags, mut outcomes, mut outcomes_at) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Insert(id, place, record) => {
                    new.push(*place, record);
                    ids.push(*id);
                }
                Change::Complete(key, place, record) => {
                    completed.push(*place, record);
                    keys.push(*key);
                }
                Change::Settle(key, record) => {
                    settled.push(*key);
                    flags.push(record.flags.bits());
                    outcomes.push(record.outcome.map(|outcome| outcome.value));
                    outcomes_at.push(record.outcome.map(|outcome| outcome.at));
                }
            }
        }
        let client = self.client()?;
        if !ids.is_empty() {
            let insert = format!(
                "INSERT INTO records (time, flags, arm, unit, value, positive, weight, outcome, outcome_at, features, id) SELECT * FROM unnest({ARRAYS}, $11::text[])"
            );
            client.execute(&insert, &new.with(&ids))?;
        }
        if !keys.is_empty() {
            let complete = format!(
                "UPDATE records SET time = n.time, flags = n.flags, arm = n.arm, unit = n.unit, value = n.value, positive = n.positive, weight = n.weight, \
                 outcome = n.outcome, outcome_at = n.outcome_at, features = n.features FROM unnest({ARRAYS}, $11::bigint[]) \
                 AS n (time, flags, arm, unit, value, positive, weight, outcome, outcome_at, features, key) WHERE records.key = n.key"
            );
            client.execute(&complete, &completed.with(&keys))?;
        }
        if !settled.is_empty() {
            let settle = "UPDATE records SET flags = n.flags, outcome = n.outcome, outcome_at = n.outcome_at \
                          FROM unnest($1::bigint[], $2::smallint[], $3::double precision[], $4::bigint[]) AS n (key, flags, outcome, outcome_at) WHERE records.key = n.key";
            client.execute(settle, &[&settled, &flags, &outcomes, &outcomes_at])?;
        }
        Ok(())
    }

    fn nth(&mut self, span: (i64, i64), n: u32) -> Result<Option<i64>, Error> {
        let statement = "SELECT time FROM records WHERE time > $1 AND time <= $2 ORDER BY time LIMIT 1 OFFSET $3";
        let row = self.client()?.query_opt(statement, &[&span.0, &span.1, &i64::from(n)])?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    fn between(&mut self, span: (i64, i64), arms: &[Arc<Arm>], each: &mut dyn FnMut(Place, &Record)) -> Result<(), Error> {
        let statement = format!("SELECT {COLUMNS} FROM records WHERE time > $1 AND time <= $2");
        let mut rows = self.client()?.query_raw(&statement, [span.0, span.1])?;
        while let Some(row) = rows.next()? {
            let (_, place, record) = record(&row, arms)?;
            each(place, &record);
        }
        Ok(())
    }

    fn shadows(&mut self, span: (i64, i64), arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error> {
        let statement = format!("SELECT {COLUMNS}, id FROM records WHERE time > $1 AND time <= $2 AND flags < 0 ORDER BY time");
        let rows = self.client()?.query(&statement, &[&span.0, &span.1])?;
        rows.iter().map(|row| Ok((row.try_get(10)?, record(row, arms)?.2))).collect()
    }

    fn assigned(&mut self, units: &[Met]) -> Result<Vec<Met>, Error> {
        self.changed("INSERT INTO units (arm, unit) SELECT * FROM unnest($1::integer[], $2::bigint[]) ON CONFLICT DO NOTHING RETURNING arm, unit", units)
    }

    fn labelled(&mut self, units: &[Met]) -> Result<Vec<Met>, Error> {
        let statement = "UPDATE units SET labelled = true FROM unnest($1::integer[], $2::bigint[]) AS n (arm, unit) \
                         WHERE units.arm = n.arm AND units.unit = n.unit AND NOT labelled RETURNING units.arm, units.unit";
        self.changed(statement, units)
    }

    fn save(&mut self, state: &State, dirty: &Dirty) -> Result<(), Error> {
        let client = self.client()?;
        let meta =
            "INSERT INTO meta VALUES ('closed', $1), ('counts', $2), ('exported', $3), ('task', $4) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        client.execute(meta, &[&state.closed.to_string(), &written(&state.counts)?, &state.exported.to_string(), &state.task])?;
        for place in &dirty.arms {
            if let Some((arm, counted)) = state.arms.get(*place) {
                let statement =
                    "INSERT INTO arms (arm, revision, variant, state) VALUES ($1, $2, $3, $4) ON CONFLICT (arm) DO UPDATE SET state = excluded.state";
                client.execute(statement, &[&number(*place), &arm.revision, &arm.variant, &written(counted)?])?;
            }
        }
        for (place, start) in &dirty.cells {
            if let Some(tally) = state.cells.get(&(*place, *start)) {
                let statement = "INSERT INTO cells (arm, start, tally) VALUES ($1, $2, $3) ON CONFLICT (arm, start) DO UPDATE SET tally = excluded.tally";
                client.execute(statement, &[&number(*place), start, &written(tally)?])?;
            }
        }
        for (place, start) in &dirty.gone {
            client.execute("DELETE FROM cells WHERE arm = $1 AND start = $2", &[&number(*place), start])?;
        }
        Ok(())
    }

    fn forget(&mut self, until: i64, most: u32) -> Result<u64, Error> {
        let statement = "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE time <= $1 ORDER BY time LIMIT $2)";
        Ok(self.client()?.execute(statement, &[&until, &i64::from(most)])?)
    }

    fn reader(&self, arms: Vec<Arc<Arm>>) -> Result<Box<dyn Reader>, Error> {
        let mut client = self.config.connect(NoTls)?;
        client.batch_execute(&format!("SET search_path TO {}; SET default_transaction_read_only TO on", self.name()))?;
        Ok(Box::new(PostgresqlReader { client, arms }))
    }

    fn query(&mut self, query: &Query, arms: &[Arc<Arm>]) -> Result<Vec<(String, Record)>, Error> {
        let client = self.client()?;
        let rows = match query {
            Query::Id(id) => client.query(&format!("SELECT {COLUMNS}, id, features FROM records WHERE id = $1"), &[id])?,
            Query::Unusual(flags, most) => {
                let statement =
                    format!("SELECT {COLUMNS}, id, features FROM records WHERE flags > 0 AND flags & $1::smallint = $1 ORDER BY time DESC LIMIT $2");
                client.query(&statement, &[&flags.bits(), &i64::from(*most)])?
            }
        };
        rows.iter().map(|row| whole(row, arms).map(|(_, id, record)| (id, record))).collect()
    }

    fn keep(&mut self, handed: &Handed) -> Result<(), Error> {
        reports::keep_in_postgresql(self.client()?, handed)
    }

    fn handed(&mut self, name: &str) -> Result<Option<Handed>, Error> {
        reports::of_postgresql(self.client()?, name)
    }

    fn reports(&mut self) -> Result<Vec<Listed>, Error> {
        reports::all_of_postgresql(self.client()?)
    }
}
