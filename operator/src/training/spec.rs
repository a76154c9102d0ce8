//! What the API server cannot check about a spec.
//!
//! A problem found here is a condition within a second; the trainer would find it too, after a pod was scheduled.

use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_crds::training_job::{ByTime, Data, Split, Task};
use plimsoll_crds::{DurationText, TrainingJobSpec};

/// The storage that a pod can reach.
const SCHEME: &str = "s3://";

/// What is wrong with the spec, and what to write instead.
pub fn problem(spec: &TrainingJobSpec) -> Option<String> {
    check(spec).err()
}

fn check(spec: &TrainingJobSpec) -> Result<(), String> {
    features(spec)?;
    places(spec)?;
    let Split::ByTime(by_time) = &spec.data.split;
    times(&spec.data, by_time)?;
    positive("run.activeDeadline", &spec.run.active_deadline)?;
    length("run.timeToLive", &spec.run.time_to_live).map(drop)
}

fn features(spec: &TrainingJobSpec) -> Result<(), String> {
    let Task::BinaryClassification(task) = &spec.task;
    if spec.features.iter().any(|feature| feature.name == task.label) {
        return Err(format!("features: {:?} is the label; a model that is given the answer learns nothing", task.label));
    }
    Ok(())
}

fn places(spec: &TrainingJobSpec) -> Result<(), String> {
    let sources = spec.data.sources.iter().map(|source| (format!("data.sources: {}", source.name), &source.uri));
    let wrong = sources.chain([("output.uri".to_owned(), &spec.output.uri)]).find(|(_, uri)| !uri.starts_with(SCHEME));
    wrong.map_or(Ok(()), |(field, uri)| {
        Err(format!("{field}: {uri:?} cannot be reached from a pod: write s3://bucket/path, or run `trainer run -f` where the files are"))
    })
}

fn times(data: &Data, by_time: &ByTime) -> Result<(), String> {
    let (from, to) = (instant("data.window.from", &data.window.from)?, instant("data.window.to", &data.window.to)?);
    ordered(("data.window.from", from), ("data.window.to", to))?;
    let validation = positive("data.split.byTime.validation", &by_time.validation)?;
    let test = by_time.test.as_ref().map(|test| positive("data.split.byTime.test", test)).transpose()?.unwrap_or_default();
    if from.saturating_add(validation.saturating_add(test)).is_ok_and(|end| end >= to) {
        return Err("data.split.byTime: validation and test leave nothing of data.window to train on".to_owned());
    }
    let Some(test_from) = &by_time.test_from else { return Ok(()) };
    let test_from = instant("data.split.byTime.testFrom", test_from)?;
    let test_to = by_time.test_to.as_ref().map_or(Ok(to), |test_to| instant("data.split.byTime.testTo", test_to))?;
    ordered(("data.split.byTime.testFrom", test_from), ("data.split.byTime.testTo (or data.window.to)", test_to))
}

fn ordered(first: (&str, Timestamp), second: (&str, Timestamp)) -> Result<(), String> {
    if first.1 < second.1 { Ok(()) } else { Err(format!("{} ({}) must lie before {} ({})", first.0, first.1, second.0, second.1)) }
}

/// A date is midnight UTC.
fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    let date = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>().ok().or_else(date).ok_or_else(|| format!("{field}: {text:?} is no day of the calendar; write 2013-01-31 or 2013-01-31T06:00:00Z"))
}

fn length(field: &str, text: &DurationText) -> Result<SignedDuration, String> {
    let length = text.to_std().and_then(|duration| SignedDuration::try_from(duration).ok());
    length.ok_or_else(|| format!("{field}: {:?} is no duration; write 30s, 5m, 2h or 1d", text.as_str()))
}

fn positive(field: &str, text: &DurationText) -> Result<SignedDuration, String> {
    let length = length(field, text)?;
    if length.is_zero() { Err(format!("{field}: must be longer than 0s")) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::training::tests::fixtures::job;

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let table = [
            ("/features/0/name", json!("y"), "features: \"y\" is the label"),
            ("/data/sources/0/uri", json!("file:///a.csv"), "data.sources: a"),
            ("/output/uri", json!("./out"), "output.uri"),
            ("/data/window", json!({"from": "2013-02-01", "to": "2013-01-01"}), "data.window.from"),
            ("/data/window", json!({"from": "2013-01-01", "to": "2013-01-01T00:00:00Z"}), "data.window.from"),
            ("/data/window/from", json!("2013-02-30"), "data.window.from: \"2013-02-30\" is no day"),
            ("/data/split/byTime", json!({"validation": "0s", "test": "1d"}), "validation: must be longer"),
            ("/data/split/byTime", json!({"validation": "1m1h", "test": "1d"}), "validation: \"1m1h\" is no duration"),
            ("/data/split/byTime", json!({"validation": "30d", "test": "1d"}), "leave nothing"),
            ("/data/split/byTime", json!({"validation": "1d", "testFrom": "2013-02-01"}), "data.split.byTime.testFrom"),
            ("/data/split/byTime", json!({"validation": "1d", "testFrom": "2013-03-01", "testTo": "2013-02-01"}), "data.split.byTime.testFrom"),
            ("/run/activeDeadline", json!("0s"), "run.activeDeadline: must be longer"),
            ("/run/timeToLive", json!("1x"), "run.timeToLive"),
        ];
        for (pointer, value, expected) in table {
            let mut spec = serde_json::to_value(job(json!({})).spec).unwrap();
            *spec.pointer_mut(pointer).unwrap() = value.clone();
            let problem = problem(&serde_json::from_value(spec).unwrap());
            assert!(problem.as_ref().is_some_and(|problem| problem.contains(expected)), "{pointer} = {value}: {problem:?}");
        }
    }

    #[test]
    fn a_good_spec_has_no_problem() {
        let mut spec = job(json!({})).spec;
        assert_eq!(problem(&spec), None);
        let Split::ByTime(by_time) = &mut spec.data.split;
        (by_time.test, by_time.test_from, by_time.test_to) = (None, Some("2013-02-01".into()), Some("2013-03-01T00:00:00Z".into()));
        assert_eq!(problem(&spec), None, "the test rows may lie after the window");
    }
}
