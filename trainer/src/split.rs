//! Which examples are for training, for validation and for the test.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use plimsoll_crds::DurationText;
use plimsoll_crds::training_job::{ByTime, Data, Split};

use crate::Error;
use crate::rows::Rows;

/// Examples by what they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Everything is fitted on these.
    pub train: Rows,
    /// Early stopping, calibration and threshold.
    pub validation: Rows,
    /// Metrics.
    pub test: Rows,
}

/// Bounds in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    train_from: f64,
    validation_from: f64,
    validation_to: f64,
    test_from: f64,
    test_to: f64,
}

/// Divides examples by time. `label` is the label's column, for people.
///
/// # Errors
/// A part would be empty, the train rows have one class, or a label has more than two values.
pub fn split(data: &Data, label: &str, rows: &Rows) -> Result<Parts, Error> {
    let Split::ByTime(by_time) = &data.split;
    let bounds = bounds(data, by_time)?;
    let within =
        |from: f64, to: f64| -> Vec<usize> { rows.times.iter().enumerate().filter(|(_, time)| **time >= from && **time < to).map(|(row, _)| row).collect() };
    let parts = Parts {
        train: rows.select(&within(bounds.train_from, bounds.validation_from)),
        validation: rows.select(&within(bounds.validation_from, bounds.validation_to)),
        test: rows.select(&within(bounds.test_from, bounds.test_to)),
    };
    for (name, part) in [("train", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
        check(name, label, part)?;
    }
    Ok(parts)
}

fn check(name: &str, label: &str, part: &Rows) -> Result<(), Error> {
    if part.is_empty() {
        return Err(Error::Data(format!("there are no {name} rows: look at data.window, data.split and timeColumn")));
    }
    let mut values: Vec<&str> = part.labels.iter().map(String::as_str).collect();
    values.sort_unstable();
    values.dedup();
    match values.as_slice() {
        [_, _] if part.positives.contains(&true) => Ok(()),
        [_, _] => Err(Error::Data(format!(
            "label {label:?}: no {name} row has the value that task.binaryClassification.positive names; the values are {}",
            values.join(" and ")
        ))),
        [only] => {
            Err(Error::Data(format!("label {label:?}: every {name} row has {only:?}, and a model needs both classes: look at data.query and data.window")))
        }
        several => Err(Error::Data(format!(
            "label {label:?} has {} values among the {name} rows, but must have two: {}",
            several.len(),
            several.iter().take(5).copied().collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn bounds(data: &Data, by_time: &ByTime) -> Result<Bounds, Error> {
    let (from, to) = (instant(&data.window.from, "data.window.from")?, instant(&data.window.to, "data.window.to")?);
    let validation = span(&by_time.validation, "data.split.byTime.validation")?;
    let (test_from, test_to) = match (&by_time.test, &by_time.test_from) {
        (Some(test), None) => (to - span(test, "data.split.byTime.test")?, to),
        (None, Some(start)) => {
            let start = instant(start, "data.split.byTime.testFrom")?;
            let end = by_time.test_to.as_ref().map(|end| instant(end, "data.split.byTime.testTo")).transpose()?.unwrap_or(to);
            (start, end)
        }
        _ => return Err(Error::Spec("data.split.byTime: give either test or testFrom".to_owned())),
    };
    let validation_to = to.min(test_from);
    let bounds = Bounds { train_from: from, validation_from: validation_to - validation, validation_to, test_from, test_to };
    if bounds.validation_from <= from {
        return Err(Error::Spec("data.split leaves no time for train rows: widen data.window or shorten validation and test".to_owned()));
    }
    if test_to <= test_from {
        return Err(Error::Spec("data.split.byTime: the test ends before it begins; set testTo after testFrom".to_owned()));
    }
    Ok(bounds)
}

/// A date or a time, in milliseconds since 1970.
#[expect(clippy::as_conversions, reason = "milliseconds of this age are below 2^53")]
fn instant(text: &str, field: &str) -> Result<f64, Error> {
    let timestamp = text.parse::<Timestamp>().or_else(|_| text.parse::<Date>()?.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()));
    timestamp.map(|timestamp| timestamp.as_millisecond() as f64).map_err(|error| Error::Spec(format!("{field}: {text:?} is no date or time: {error}")))
}

#[expect(clippy::as_conversions, reason = "milliseconds of ten years are below 2^53")]
fn span(text: &DurationText, field: &str) -> Result<f64, Error> {
    let duration = text.to_std().filter(|duration| !duration.is_zero());
    duration.map(|duration| duration.as_millis() as f64).ok_or_else(|| Error::Spec(format!("{field}: {:?} is no duration; write 14d or 6h", text.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_features::Columns;
    use serde_json::json;

    fn data(split: serde_json::Value) -> Data {
        serde_json::from_value(json!({
            "sources": [], "query": "", "rowKey": ["k"], "timeColumn": "t",
            "window": {"from": "2013-01-01", "to": "2013-01-11"}, "split": {"byTime": split}
        }))
        .unwrap()
    }

    /// One row an hour for 20 days, labels in turn.
    fn rows() -> Rows {
        let start = instant("2013-01-01", "").unwrap();
        let count = 480;
        Rows {
            times: (0..count).map(|hour| start + f64::from(hour) * 3_600_000.0).collect(),
            labels: (0..count).map(|hour| (hour % 2).to_string()).collect(),
            positives: (0..count).map(|hour| hour % 2 == 1).collect(),
            features: Columns::default(),
            slices: vec![],
        }
    }

    #[test]
    fn rows_go_where_the_spec_says() {
        let table = [
            (json!({"validation": "2d", "test": "3d"}), (120, 48, 72)),
            (json!({"validation": "2d", "testFrom": "2013-01-10"}), (168, 48, 24)),
            (json!({"validation": "1d", "testFrom": "2013-01-11", "testTo": "2013-01-15T12:00:00Z"}), (216, 24, 108)),
        ];
        for (split_spec, expected) in table {
            let parts = split(&data(split_spec.clone()), "late", &rows()).unwrap();
            assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), expected, "{split_spec}");
        }
    }

    #[test]
    fn impossible_splits_are_named() {
        let table = [
            (json!({"validation": "9d", "test": "3d"}), "train"),
            (json!({"validation": "x", "test": "3d"}), "validation"),
            (json!({"validation": "1d", "testFrom": "2013-01-11"}), "testTo"),
            (json!({"validation": "1d", "testFrom": "2014-01-11", "testTo": "2014-02-01"}), "test rows"),
            (json!({"validation": "1d", "testFrom": "soon"}), "testFrom"),
        ];
        for (split_spec, named) in table {
            let error = split(&data(split_spec.clone()), "late", &rows()).unwrap_err().to_string();
            assert!(error.contains(named), "{split_spec}: {error}");
        }
    }

    #[test]
    fn one_class_is_bad_data() {
        let mut rows = rows();
        rows.labels.fill("0".to_owned());
        rows.positives.fill(false);
        let error = split(&data(json!({"validation": "2d", "test": "3d"})), "late", &rows).unwrap_err();
        assert_eq!((error.reason(), error.exit_code()), ("BadData", 65));
        assert!(error.to_string().contains("both classes"));
    }
}
