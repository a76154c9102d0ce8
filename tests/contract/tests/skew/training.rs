//! The trainer's side: a file, the author's query, rows.

use std::fmt::Write;
use std::path::Path;

use plimsoll_features::{Column, FeatureSpec};
use plimsoll_trainer::Error;
use plimsoll_trainer::job::{Job, Places};
use plimsoll_trainer::rows::Rows;
use plimsoll_trainer::sql::Database;
use plimsoll_trainer::stage::stage;
use serde_json::{Value, json};

use crate::rows::Row;

/// The formats of sources.
pub const FORMATS: [&str; 2] = ["csv", "parquet"];

pub fn job(path: &Path, features: &Value, query: &str) -> Job {
    let format = if path.extension().is_some_and(|end| end == "csv") { "Csv" } else { "Parquet" };
    let job = json!({
        "name": "t", "namespace": "n", "uid": "u",
        "spec": {
            "model": "m",
            "data": {
                "sources": [{"name": "rows", "uri": path, "format": format}],
                "query": query, "rowKey": ["id"], "timeColumn": "at", "window": {"from": "2013-01-01", "to": "2013-03-02"},
                "split": {"byTime": {"validation": "10d", "test": "10d"}}
            },
            "task": {"binaryClassification": {"label": "late", "positive": "1"}},
            "features": features,
            "architecture": {"linear": {}},
            "optimization": {"optimizer": {"adamW": {"learningRate": 0.02}}, "batchSize": 64, "epochs": 1, "seed": 3},
            "evaluation": {},
            "output": {"uri": "/nowhere"}
        }
    });
    serde_json::from_value(job).unwrap()
}

/// Every transform that there is, over the same five columns.
fn features() -> Value {
    json!([
        {"name": "plain", "type": "Numeric", "scale": "None"},
        {"name": "scaled", "type": "Numeric", "missing": "Median"},
        {"name": "clipped", "type": "Numeric", "clip": {"minimum": 0.0, "maximum": 1.0}, "scale": "None"},
        {"name": "logged", "type": "Numeric", "log1p": true},
        {"name": "whole", "type": "Numeric"},
        {"name": "exact", "type": "Numeric", "scale": "None"},
        {"name": "flag", "type": "Numeric", "scale": "None"},
        {"name": "single", "type": "Numeric", "scale": "None"},
        {"name": "text", "type": "Categorical", "encoding": {"oneHot": {}}, "minimumCount": 1},
        {"name": "often", "type": "Categorical", "minimumCount": 2}
    ])
}

/// The features as the pipeline takes them.
pub fn specs() -> Vec<FeatureSpec> {
    job(Path::new("rows.csv"), &features(), "").features()
}

/// Writes the rows, and reads them as a run does.
pub fn examples(rows: &[Row], format: &str) -> Result<Rows, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("source.{format}"));
    if format == "csv" {
        std::fs::write(&path, csv(rows)).unwrap()
    } else {
        parquet(rows, &path)
    }
    let query = "SELECT id, \"at\", late, real AS plain, real AS scaled, real AS clipped, real AS logged, whole, whole AS exact, flag, CAST(single AS FLOAT) AS single, text, text AS often FROM rows";
    read(&job(&path, &features(), query))
}

/// What a run reads.
pub fn read(job: &Job) -> Result<Rows, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let staged = runtime.block_on(stage(&job.spec.data, &Places::default(), scratch.path()))?;
    Database::open(&staged, scratch.path(), &scratch.path().join("spill"))?.examples(job)
}

/// What a categorical feature holds when these lines are the column of a CSV file.
pub fn texts(cells: &str) -> Result<Vec<Option<String>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.csv");
    let lines = cells.lines().enumerate().fold("id,at,late,text\n".to_owned(), |mut text, (id, cell)| {
        writeln!(text, "{id},2013-01-01T00:00:00Z,1,{cell}").unwrap();
        text
    });
    std::fs::write(&path, lines).unwrap();
    let features = json!([{"name": "text", "type": "Categorical", "minimumCount": 1}]);
    let rows = read(&job(&path, &features, "SELECT * FROM rows")).map_err(|error| error.to_string())?;
    match rows.features.get("text").unwrap() {
        Column::Text(texts) => Ok(texts.clone()),
        Column::Numeric(_) => unreachable!("the feature is categorical"),
    }
}

/// Texts are quoted, as RFC 4180 says, and missing values are empty or NA in turn.
fn csv(rows: &[Row]) -> String {
    let mut text = "id,at,late,real,whole,flag,single,text\n".to_owned();
    for (id, row) in rows.iter().enumerate() {
        let missing = if id % 2 == 0 { "" } else { "NA" };
        let or_missing = |cell: Option<String>| cell.unwrap_or_else(|| missing.to_owned());
        // {:?} writes the shortest text that reads back as the same number.
        let real = or_missing(row.real.map(|real| format!("{real:?}")));
        let (whole, flag) = (or_missing(row.whole.map(|whole| whole.to_string())), or_missing(row.flag.map(|flag| flag.to_string())));
        let single = or_missing(row.single.map(|single| format!("{single:?}")));
        let cell = or_missing(row.text.as_ref().map(|text| format!("\"{}\"", text.replace('"', "\"\""))));
        writeln!(text, "{id},2013-01-01T00:00:00Z,{},{real},{whole},{flag},{single},{cell}", id % 2).unwrap();
    }
    text
}

fn parquet(rows: &[Row], path: &Path) {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    connection
        .execute_batch("CREATE TABLE rows (id INTEGER, \"at\" TIMESTAMP, late INTEGER, real DOUBLE, whole BIGINT, flag BOOLEAN, single FLOAT, text VARCHAR)")
        .unwrap();
    let mut insert = connection.prepare("INSERT INTO rows VALUES (?, TIMESTAMP '2013-01-01', ?, ?, ?, ?, ?, ?)").unwrap();
    for (id, row) in rows.iter().enumerate() {
        let id = i64::try_from(id).unwrap();
        insert.execute(duckdb::params![id, id % 2, row.real, row.whole, row.flag, row.single, row.text]).unwrap();
    }
    connection.execute_batch(&format!("COPY rows TO '{}' (FORMAT parquet)", path.display())).unwrap();
}
