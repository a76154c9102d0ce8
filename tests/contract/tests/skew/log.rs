//! The trainer reads what the evaluator exports.

use std::sync::Arc;

use plimsoll_evaluator::export::{DAY, export};
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Arm, Entry, Prediction, Said};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::Sqlite;
use plimsoll_features::Column;
use serde_json::json;

use crate::training::{job, read};

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a time")]
fn number(time: i64) -> f64 {
    time as f64
}

/// Midnight of a day in 2013.
const T: i64 = 15_800 * DAY;
const HOUR: i64 = 3_600_000;

fn said(id: &str, features: &str) -> Entry {
    let arm = Arc::new(Arm { revision: "r1".into(), variant: String::new() });
    let prediction = Prediction { arm, unit: None, value: 0.5, positive: true, weight: 1.0, features: features.into() };
    Entry { id: id.into(), said: Said::Predicted(T + 5 * HOUR, prediction) }
}

#[test]
fn a_day_of_the_prediction_log_is_training_data() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("evaluator.db")).unwrap();
    let mut ledger = Ledger::open(Box::new(store), Settings::new(Task::BinaryClassification, HOUR, 9 * DAY)).unwrap();
    ledger.step(T, &[]).unwrap();
    let came_true = |id: &str, value| Entry { id: id.into(), said: Said::CameTrue(value) };
    let (ua, missing, without) = (said("a/0", r#"{"carrier":"UA","distance":719.5}"#), said("a/1", r#"{"carrier":null,"distance":null}"#), said("a/2", "{}"));
    ledger.step(T + 5 * HOUR, &[vec![ua, missing, without, came_true("a/0", 1.0), came_true("a/1", 0.0)]]).unwrap();
    ledger.step(T + 2 * DAY, &[]).unwrap();
    let path = folder.path().join("log.parquet");
    let rows = export(&mut *ledger.reader().unwrap(), T, |_, bytes| Ok(std::fs::write(&path, bytes)?)).unwrap();
    assert_eq!(rows, 3);
    let features = json!([{"name": "distance", "type": "Numeric"}, {"name": "carrier", "type": "Categorical", "minimumCount": 1}]);
    let query = "SELECT prediction_id AS id, time AS \"at\", CAST(outcome AS INTEGER) AS late, features.distance AS distance, features.carrier AS carrier FROM rows WHERE counts";
    let rows = read(&job(&path, &features, query)).unwrap();
    assert_eq!((rows.labels.as_slice(), rows.times.as_slice()), (["1".to_owned(), "0".to_owned()].as_slice(), [number(T + 5 * HOUR); 2].as_slice()));
    assert_eq!(*rows.features.get("carrier").unwrap(), Column::Text(vec![Some("UA".into()), None]));
    assert!(matches!(rows.features.get("distance").unwrap(), Column::Numeric(numbers) if numbers[0] == 719.5 && numbers[1].is_nan()));
}
