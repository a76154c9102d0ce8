//! The author's query, in a DuckDB that can read the staged files and nothing else.

use std::path::Path;

use duckdb::types::ValueRef;
use duckdb::{Connection, Row};
use plimsoll_crds::training_job::DataFormat;
use plimsoll_features::{Column, Columns, FeatureType};

use crate::Error;
use crate::csv::{has_one_spelling, identifier, quoted, reader};
use crate::job::Job;
use crate::query_error::explained;
use crate::rows::Rows;
use crate::stage::Staged;

/// How many bad keys are shown.
const EXAMPLES_SHOWN: usize = 3;

/// The field that errors of the query are about.
const QUERY: &str = "data.query";

/// A locked database over staged files.
pub struct Database {
    connection: Connection,
}

impl Database {
    /// Makes a view for every source and then closes every way out. What does not fit into memory goes to `spill`.
    ///
    /// # Errors
    /// A file is not what its format says: the error names file, line and column.
    pub fn open(staged: &[Staged], folder: &Path, spill: &Path) -> Result<Self, Error> {
        let opening = |error| explained("DuckDB", "", error);
        let connection = Connection::open_in_memory().map_err(opening)?;
        // One thread: the same order of additions, the same sums.
        let closed = format!(
            "SET threads=1; SET temp_directory={}; SET allowed_directories=[{}]; SET enable_external_access=false;",
            quoted(&spill.display().to_string()),
            quoted(&folder.display().to_string())
        );
        let zoned = format!("{closed} SET autoinstall_known_extensions=false; SET TimeZone='UTC';");
        connection.execute_batch(&zoned).or_else(|_| connection.execute_batch(&closed)).map_err(opening)?;
        for source in staged {
            let (path, refused) = (source.path.display().to_string(), |error| explained(&format!("source {:?}", source.name), "", error));
            let reader = match source.format {
                DataFormat::Csv => reader(&connection, &path).map_err(refused)?,
                DataFormat::Parquet => format!("read_parquet({})", quoted(&path)),
            };
            let view = format!("CREATE VIEW {} AS SELECT * FROM {reader}", identifier(&source.name));
            connection.execute_batch(&view).map_err(refused)?;
        }
        connection.execute_batch("SET lock_configuration=true").map_err(opening)?;
        Ok(Self { connection })
    }

    /// The examples of a job, sorted by their key.
    ///
    /// # Errors
    /// The query fails, lacks a column that the spec names, or repeats a key.
    pub fn examples(&self, job: &Job) -> Result<Rows, Error> {
        let data = &job.spec.data;
        // Leading lines stay, so that the lines of errors are the author's.
        let query = data.query.trim_end().trim_end_matches(';');
        let query_failed = |error| explained(QUERY, query, error);
        let available = self.columns(query)?;
        let wanted = wanted(job);
        let selected = wanted.iter().map(|column| selected(column, &available)).collect::<Result<Vec<_>, _>>()?;
        self.refuse_repeated_keys(query, &data.row_key)?;
        let order: Vec<String> = data.row_key.iter().map(|name| identifier(name)).collect();
        let sql = format!("SELECT {} FROM (\n{query}\n) ORDER BY {}", selected.join(", "), order.join(", "));
        let mut statement = self.connection.prepare(&sql).map_err(query_failed)?;
        let mut found = statement.query([]).map_err(query_failed)?;
        let mut collected: Vec<Collected> = wanted.iter().map(|(_, _, cast)| cast.empty()).collect();
        while let Some(row) = found.next().map_err(query_failed)? {
            for (place, column) in collected.iter_mut().enumerate() {
                column.push(row, place).map_err(query_failed)?;
            }
        }
        assemble(job, &wanted, collected)
    }

    /// What the query returns: names and types.
    fn columns(&self, query: &str) -> Result<Vec<(String, String)>, Error> {
        let query_failed = |error| explained(QUERY, query, error);
        let mut statement = self.connection.prepare(&format!("DESCRIBE (\n{query}\n)")).map_err(query_failed)?;
        let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(query_failed)?;
        columns.collect::<Result<_, _>>().map_err(query_failed)
    }

    fn refuse_repeated_keys(&self, query: &str, keys: &[String]) -> Result<(), Error> {
        let keys: Vec<String> = keys.iter().map(|name| identifier(name)).collect();
        let list = keys.join(", ");
        let query_failed = |error| explained(QUERY, query, error);
        let sql =
            format!("SELECT concat_ws(', ', {list}), count(*) FROM (\n{query}\n) GROUP BY {list} HAVING count(*) > 1 ORDER BY {list} LIMIT {EXAMPLES_SHOWN}");
        let mut statement = self.connection.prepare(&sql).map_err(query_failed)?;
        let repeated = statement.query_map([], |row| Ok(format!("({}) {} times", row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).map_err(query_failed)?;
        let examples: Vec<String> = repeated.collect::<Result<_, _>>().map_err(query_failed)?;
        if examples.is_empty() {
            return Ok(());
        }
        Err(Error::Data(format!("rowKey ({list}) must be unique, but there is {}: add a column or aggregate in the query", examples.join("; "))))
    }
}

/// How a column is read.
#[derive(Clone, Copy, PartialEq)]
enum Cast {
    Number,
    Text,
    Time,
}

enum Collected {
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
}

impl Cast {
    fn expression(self, name: &str) -> String {
        let name = identifier(name);
        match self {
            Self::Number => format!("CAST({name} AS DOUBLE)"),
            Self::Text => format!("CAST({name} AS VARCHAR)"),
            Self::Time => format!("CAST(epoch_ms(CAST({name} AS TIMESTAMP)) AS DOUBLE)"),
        }
    }

    fn empty(self) -> Collected {
        if self == Self::Text { Collected::Texts(Vec::new()) } else { Collected::Numbers(Vec::new()) }
    }
}

impl Collected {
    fn push(&mut self, row: &Row<'_>, place: usize) -> duckdb::Result<()> {
        match (self, row.get_ref(place)?) {
            (Self::Numbers(numbers), ValueRef::Double(number)) => numbers.push(number),
            (Self::Numbers(numbers), _) => numbers.push(f64::NAN),
            (Self::Texts(texts), ValueRef::Text(bytes)) => texts.push(Some(String::from_utf8_lossy(bytes).into_owned())),
            (Self::Texts(texts), _) => texts.push(None),
        }
        Ok(())
    }
}

/// A column that is needed: its name, what for, and how it is read.
type Wanted = (String, &'static str, Cast);

/// A needed column as SQL. A text feature of a type that can be spelt in several ways is refused: `1.0` of a training row would be `1`
/// of a caller, and nobody would notice.
fn selected((name, role, cast): &Wanted, available: &[(String, String)]) -> Result<String, Error> {
    let Some((_, kind)) = available.iter().find(|(found, _)| found == name) else {
        let names: Vec<&str> = available.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::Data(format!("the query returns no column {name:?} ({role}); it returns: {}", names.join(", "))));
    };
    if *role == "feature" && *cast == Cast::Text && !has_one_spelling(kind) {
        return Err(Error::Data(format!(
            "feature {name:?} is Categorical, but the query returns {kind}, which can be written in several ways: say which, for example with CAST({} AS VARCHAR), and send the same texts when it serves",
            identifier(name)
        )));
    }
    Ok(cast.expression(name))
}

/// Every column that is needed.
fn wanted(job: &Job) -> Vec<Wanted> {
    let data = &job.spec.data;
    let mut wanted = vec![(data.time_column.clone(), "timeColumn", Cast::Time), (job.label().0.to_owned(), "label", Cast::Text)];
    for spec in job.features() {
        let cast = if matches!(spec.kind, FeatureType::Numeric { .. }) { Cast::Number } else { Cast::Text };
        wanted.push((spec.name, "feature", cast));
    }
    wanted.extend(job.spec.evaluation.slices.iter().map(|name| (name.clone(), "slice", Cast::Text)));
    wanted.extend(data.row_key.iter().map(|name| (name.clone(), "rowKey", Cast::Text)));
    wanted
}

fn assemble(job: &Job, wanted: &[Wanted], collected: Vec<Collected>) -> Result<Rows, Error> {
    let (mut times, mut labels, mut features, mut slices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((name, role, _), column) in wanted.iter().zip(collected) {
        match (*role, column) {
            ("timeColumn", Collected::Numbers(numbers)) => times = numbers,
            ("label", Collected::Texts(texts)) => labels = texts,
            ("feature", Collected::Numbers(numbers)) => features.push((name.clone(), Column::Numeric(numbers))),
            ("feature", Collected::Texts(texts)) => features.push((name.clone(), Column::Text(texts))),
            ("slice", Collected::Texts(texts)) => slices.push((name.clone(), texts)),
            _ => {}
        }
    }
    if times.is_empty() {
        return Err(Error::Data("the query returns no rows".to_owned()));
    }
    if let Some(row) = times.iter().position(|time| time.is_nan()) {
        return Err(Error::Data(format!("timeColumn {:?} is missing in row {row} (rows sorted by rowKey)", job.spec.data.time_column)));
    }
    if let Some(row) = labels.iter().position(Option::is_none) {
        return Err(Error::Data(format!("label {:?} is missing in row {row} (rows sorted by rowKey): filter such rows in the query", job.label().0)));
    }
    let positive = job.label().1;
    let positives = labels.iter().map(|label| label.as_deref() == Some(positive)).collect();
    Ok(Rows { times, labels: labels.into_iter().flatten().collect(), positives, features: Columns::new(features)?, slices })
}
