//! Calls as they come, over gRPC or as JSON, and what they mean. A call with one bad record is refused whole, with the record's place.

use plimsoll_evaluator_api::v1;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;
use crate::pair::key;
use crate::record::{Arm, Entry, Prediction, Said, unit};
use crate::settings::Task;
use crate::state::Fates;
use crate::writer::CALL;

/// A call of REST with predictions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictions<'a> {
    #[serde(borrow)]
    predictions: Vec<JsonPrediction<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonPrediction<'a> {
    id: String,
    time_unix_ms: i64,
    revision: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    unit: String,
    value: f64,
    #[serde(default)]
    positive: bool,
    #[serde(default)]
    weight: f64,
    #[serde(borrow, default)]
    features: Option<&'a RawValue>,
    #[serde(default)]
    paired_with: String,
}

/// A call of REST with outcomes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    outcomes: Vec<JsonOutcome>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonOutcome {
    id: String,
    value: JsonValue,
}

/// 1 or true for the positive label.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "value must be a number, true or false")]
enum JsonValue {
    Truth(bool),
    Number(f64),
}

/// Whoever makes a call into entries.
pub trait Call {
    /// The name of the list, for places in errors.
    const LIST: &'static str;
    /// The entries, unchecked.
    fn entries(self) -> Vec<Entry>;
}

/// The entries of a call, checked.
///
/// # Errors
/// The call is empty or too large, or a record cannot be taken.
pub fn entries<C: Call>(call: C, task: Task, now: i64) -> Result<Vec<Entry>, Error> {
    let entries = call.entries();
    if entries.is_empty() || entries.len() > CALL {
        return Err(Error::invalid(C::LIST, format!("has {} records; a call has 1 to {CALL}", entries.len())));
    }
    for (place, entry) in entries.iter().enumerate() {
        entry.check(&format_args!("{}[{place}]", C::LIST), task, now)?;
    }
    Ok(entries)
}

impl Call for Predictions<'_> {
    const LIST: &'static str = "predictions";

    fn entries(self) -> Vec<Entry> {
        let entry = |json: JsonPrediction<'_>| v1::Prediction {
            id: json.id,
            time_unix_ms: json.time_unix_ms,
            revision: json.revision,
            variant: json.variant,
            unit: json.unit,
            value: json.value,
            positive: json.positive,
            weight: json.weight,
            features: json.features.map(|raw| raw.get().to_owned()).unwrap_or_default(),
            paired_with: json.paired_with,
        };
        v1::RecordPredictionsRequest { predictions: self.predictions.into_iter().map(entry).collect() }.entries()
    }
}

impl Call for Outcomes {
    const LIST: &'static str = "outcomes";

    fn entries(self) -> Vec<Entry> {
        let value = |value: &JsonValue| match value {
            JsonValue::Truth(truth) => f64::from(u8::from(*truth)),
            JsonValue::Number(number) => *number,
        };
        self.outcomes.into_iter().map(|outcome| Entry { said: Said::CameTrue(value(&outcome.value)), id: outcome.id }).collect()
    }
}

impl Call for v1::RecordPredictionsRequest {
    const LIST: &'static str = "predictions";

    fn entries(self) -> Vec<Entry> {
        let (mut arm, mut control) = (std::sync::Arc::new(Arm::default()), std::sync::Arc::<str>::from(""));
        let entry = |sent: v1::Prediction| {
            // Records of one call come from one server: nearly always the same arm as before.
            if arm.revision != sent.revision || arm.variant != sent.variant {
                arm = std::sync::Arc::new(Arm { revision: sent.revision, variant: sent.variant });
            }
            let prediction = Prediction {
                arm: std::sync::Arc::clone(&arm),
                unit: unit(&sent.unit),
                value: sent.value,
                positive: sent.positive,
                weight: if sent.weight == 0.0 { 1.0 } else { sent.weight },
                features: sent.features,
            };
            if sent.paired_with.is_empty() {
                return Entry { id: sent.id, said: Said::Predicted(sent.time_unix_ms, prediction) };
            }
            if *control != *sent.paired_with {
                control = sent.paired_with.into();
            }
            Entry { id: key(&sent.id), said: Said::Shadowed(sent.time_unix_ms, prediction, std::sync::Arc::clone(&control)) }
        };
        self.predictions.into_iter().map(entry).collect()
    }
}

impl Call for v1::ReportOutcomesRequest {
    const LIST: &'static str = "outcomes";

    fn entries(self) -> Vec<Entry> {
        self.outcomes.into_iter().map(|outcome| Entry { id: outcome.id, said: Said::CameTrue(outcome.value) }).collect()
    }
}

impl From<Fates> for v1::Receipt {
    fn from(fates: Fates) -> Self {
        Self { stored: fates.stored, duplicate: fates.duplicate, contradictory: fates.contradictory, late: fates.late, early: fates.early }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn refused(json: &str, task: Task) -> String {
        let outcomes = serde_json::from_str::<Outcomes>(json).map(|call| entries(call, task, NOW));
        match outcomes {
            Ok(Ok(entries)) => panic!("{entries:?} taken"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn bad_outcomes_are_named_with_their_place() {
        let (binary, number) = (Task::BinaryClassification, Task::Regression);
        let long = format!(r#"{{"outcomes": [{{"id": "{}", "value": 1}}]}}"#, "x".repeat(257));
        let table = [
            (r#"{"outcomes": []}"#, binary, "outcomes: has 0 records"),
            (
                r#"{"outcomes": [{"id": "a/0", "value": 1}, {"id": "a/1", "value": 2}]}"#,
                binary,
                "outcomes[1].value: 2 is not an outcome of a classification: 1 for",
            ),
            (r#"{"outcomes": [{"id": "", "value": 1}]}"#, binary, "outcomes[0].id: must have 1 to 256 bytes"),
            (r#"{"outcomes": [{"id": "a\u0000", "value": 1}]}"#, binary, "outcomes[0].id: must have"),
            (&long, binary, "it has 257 bytes"),
            (r#"{"outcomes": [{"id": "a", "value": "late"}]}"#, binary, "value must be a number, true or false at line 1"),
            (r#"{"outcomes": [{"id": "a"}]}"#, binary, "missing field `value`"),
            (r#"{"outcomes": [{"id": "a", "value": 1, "time": 3}]}"#, binary, "unknown field `time`"),
            (r#"{"outcomes": [{"id": "a", "value": 1e999}]}"#, number, "number out of range"),
            (r#"{"outcomes": [{"id": "a", "value": -2e9}]}"#, number, "outcomes[0].value: -2000000000 is no number up to 1e9: give it in a larger unit"),
        ];
        for (json, task, expected) in table {
            let error = refused(json, task);
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn bad_predictions_are_named_with_their_place() {
        let good = v1::Prediction { id: "a/0".into(), time_unix_ms: NOW, revision: "r1".into(), value: 0.5, ..v1::Prediction::default() };
        let with = |change: fn(&mut v1::Prediction)| {
            let mut bad = good.clone();
            change(&mut bad);
            let call = v1::RecordPredictionsRequest { predictions: vec![good.clone(), bad] };
            entries(call, Task::BinaryClassification, NOW).map_or_else(|error| error.to_string(), |entries| format!("{entries:?} taken"))
        };
        type Change = fn(&mut v1::Prediction);
        let table: [(Change, &str); 12] = [
            (|bad| bad.paired_with = "t.control".into(), "predictions[1].variant: must say which variant answered, another one than pairedWith"),
            (|bad| (bad.variant, bad.paired_with) = ("t".into(), "x".repeat(200)), "predictions[1].pairedWith: must have at most 128 bytes"),
            (|bad| (bad.id, bad.variant, bad.paired_with) = (String::new(), "t".into(), "c".into()), "predictions[1].id: must have 1 to 256 bytes"),
            (|bad| bad.value = 1.1, "predictions[1].value: 1.1 is not a probability: 0 to 1"),
            (|bad| bad.value = f64::NAN, "predictions[1].value: NaN is not a probability"),
            (|bad| bad.revision.clear(), "predictions[1].revision: must say"),
            (|bad| bad.variant = "x".repeat(200), "predictions[1].variant: must have at most 128 bytes"),
            (|bad| bad.time_unix_ms = NOW + 3_600_000, "predictions[1].timeUnixMs: 1800003600000 is no time up to now (1800000000000)"),
            (|bad| bad.time_unix_ms = 0, "predictions[1].timeUnixMs: 0 is no time"),
            (|bad| bad.weight = 0.5, "predictions[1].weight: 0.5 is no number of predictions: 1 or more"),
            (|bad| bad.features = "[1]".into(), "predictions[1].features: must be a JSON object"),
            (|bad| bad.features = "{\"a\":".into(), "predictions[1].features: must be a JSON object: EOF"),
        ];
        for (change, expected) in table {
            let error = with(change);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn both_ways_of_saying_it_mean_the_same() {
        let json = format!(
            r#"{{"predictions": [{{"id": "a/0", "timeUnixMs": {NOW}, "revision": "r1", "variant": "v", "unit": "N1", "value": 0.25, "features": {{"hour": 7}}}}]}}"#
        );
        let rest = entries(serde_json::from_str::<Predictions<'_>>(&json).unwrap(), Task::BinaryClassification, NOW).unwrap();
        let sent = v1::Prediction {
            id: "a/0".into(),
            time_unix_ms: NOW,
            revision: "r1".into(),
            variant: "v".into(),
            unit: "N1".into(),
            value: 0.25,
            positive: false,
            weight: 1.0,
            features: r#"{"hour": 7}"#.into(),
            paired_with: String::new(),
        };
        let grpc = entries(v1::RecordPredictionsRequest { predictions: vec![sent] }, Task::BinaryClassification, NOW).unwrap();
        assert_eq!(rest, grpc);
        let truths = serde_json::from_str::<Outcomes>(r#"{"outcomes": [{"id": "a/0", "value": true}, {"id": "a/1", "value": 0}]}"#).unwrap().entries();
        assert_eq!(truths.iter().map(|entry| entry.said.clone()).collect::<Vec<_>>(), [Said::CameTrue(1.0), Said::CameTrue(0.0)]);
    }
}
