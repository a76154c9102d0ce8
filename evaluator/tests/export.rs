//! A day of records as Parquet, from both databases, read back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use common::{arm, came_true, file, postgresql, predicted};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_evaluator::export::{DAY, export};
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Entry, Said};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::{Postgresql, Sqlite, Store};

const HOUR: i64 = 3_600_000;
/// Midnight.
const T: i64 = 20_000 * DAY;

fn settings() -> Settings {
    Settings { export: true, ..Settings::new(Task::BinaryClassification, HOUR, 2 * HOUR) }
}

fn with_features(mut entry: Entry, features: &str) -> Entry {
    if let Said::Predicted(_, prediction) = &mut entry.said {
        (prediction.features, prediction.unit, prediction.weight) = (features.into(), Some(255), 10.0);
    }
    entry
}

fn settle(ledger: &mut Ledger, now: i64, calls: &[Vec<Entry>]) {
    ledger.step(now, calls).unwrap();
    while ledger.step(now, &[]).unwrap().behind {}
}

fn files(ledger: &Ledger, day: i64) -> BTreeMap<String, RecordBatch> {
    let mut files = BTreeMap::new();
    export(&mut *ledger.reader().unwrap(), day, |name, bytes| {
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))?.build()?;
        files.insert(name, batches.next().unwrap()?);
        Ok(())
    })
    .unwrap();
    files
}

fn story(store: Box<dyn Store>) {
    let mut ledger = Ledger::open(store, settings()).unwrap();
    settle(&mut ledger, T, &[]);
    let r1 = arm("r1");
    settle(
        &mut ledger,
        T + 10,
        &[vec![
            with_features(predicted("a/0", T + 1, &r1, 0.9), r#"{"carrier":"UA","distance":719,"code":7}"#),
            with_features(predicted("a/1", T + 2, &r1, 0.2), r#"{"carrier":null,"distance":null,"code":"x"}"#),
            predicted("a/2", T + 3, &r1, 0.3),
            came_true("a/0", 1.0),
            came_true("unknown", 1.0),
        ]],
    );
    settle(&mut ledger, T + 2 * HOUR, &[vec![came_true("a/1", 0.0)]]);
    settle(&mut ledger, T + DAY + 10, &[vec![predicted("tomorrow", T + DAY, &r1, 0.5)]]);
    settle(&mut ledger, T + 2 * DAY, &[]);
    assert_eq!(ledger.state().counts.forgotten, 0, "nothing is forgotten before it is exported");
    // The day in which the evaluator began is the first.
    assert_eq!(ledger.state().exported, T - DAY);
    assert!(files(&ledger, T - DAY).is_empty());
    let written = files(&ledger, T);
    assert_eq!(written.keys().collect::<Vec<_>>(), ["day=2024-10-04/part-0000.parquet"]);
    let table = written.values().next().unwrap();
    let texts = |column: &dyn Array| column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect::<Vec<_>>();
    let numbers = |column: &dyn Array| column.as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    assert_eq!(texts(&table["prediction_id"]), ["a/0", "a/1", "a/2"].map(|id| Some(id.to_owned())));
    assert_eq!(numbers(&table["prediction"]), [Some(0.9), Some(0.2), Some(0.3)]);
    assert_eq!(numbers(&table["outcome"]), [Some(1.0), Some(0.0), None]);
    assert_eq!(numbers(&table["weight"]), [Some(10.0), Some(10.0), Some(1.0)]);
    assert_eq!(texts(&table["unit"]), [Some("00000000000000ff".to_owned()), Some("00000000000000ff".to_owned()), None]);
    assert_eq!(table["counts"].as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)], "a late outcome does not count");
    let features = table["features"].as_struct();
    assert_eq!(texts(features.column_by_name("carrier").unwrap()), [Some("UA".to_owned()), None, None]);
    assert_eq!(numbers(features.column_by_name("distance").unwrap()), [Some(719.0), None, None]);
    assert_eq!(texts(features.column_by_name("code").unwrap()), [Some("7".to_owned()), Some("x".to_owned()), None], "kinds that differ are texts");
    assert_eq!(files(&ledger, T), written, "once more is the same");
    ledger.exported(T + DAY).unwrap();
    settle(&mut ledger, T + 2 * DAY + 10, &[]);
    assert_eq!(ledger.state().counts.forgotten, 4);
    assert_eq!(files(&ledger, T + DAY).len(), 1, "the next day is still there");
}

#[test]
fn a_day_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    story(Box::new(Sqlite::open(&file(&folder)).unwrap()));
    if let Some(server) = postgresql() {
        story(Box::new(Postgresql::open(&server.url(), "export").unwrap()));
    }
}
