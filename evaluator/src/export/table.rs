//! Records as a table that a TrainingJob can read: one row for each prediction, inputs in a struct.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Map, Value};

use crate::record::{Flags, Prediction, Record};

/// What kind of values an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Truths.
    Truth,
    /// Texts, and whatever differs from row to row.
    Text,
}

/// The inputs that records have, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs(BTreeMap<String, Kind>);

fn object(prediction: &Prediction) -> Map<String, Value> {
    serde_json::from_str(&prediction.features).unwrap_or_default()
}

impl Inputs {
    /// Learns what this record has.
    pub fn learn(&mut self, record: &Record) {
        for (name, value) in record.prediction.as_ref().map(object).unwrap_or_default() {
            let kind = match value {
                Value::Null => continue,
                Value::Number(_) => Kind::Number,
                Value::Bool(_) => Kind::Truth,
                _ => Kind::Text,
            };
            let known = self.0.entry(name).or_insert(kind);
            if *known != kind {
                *known = Kind::Text;
            }
        }
    }

    fn fields(&self) -> Fields {
        let field = |(name, kind): (&String, &Kind)| {
            let kind = match kind {
                Kind::Number => DataType::Float64,
                Kind::Truth => DataType::Boolean,
                Kind::Text => DataType::Utf8,
            };
            Field::new(name, kind, true)
        };
        self.0.iter().map(field).collect()
    }

    fn columns(&self, rows: &[Map<String, Value>]) -> Vec<ArrayRef> {
        let column = |(name, kind): (&String, &Kind)| -> ArrayRef {
            let values = rows.iter().map(|row| row.get(name).filter(|value| !value.is_null()));
            match kind {
                Kind::Number => Arc::new(values.map(|value| value.and_then(Value::as_f64)).collect::<arrow_array::Float64Array>()),
                Kind::Truth => Arc::new(values.map(|value| value.and_then(Value::as_bool)).collect::<arrow_array::BooleanArray>()),
                Kind::Text => Arc::new(values.map(|value| value.map(text)).collect::<arrow_array::StringArray>()),
            }
        };
        self.0.iter().map(column).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The columns of every file. Without kept inputs there is no `features`.
pub fn schema(inputs: &Inputs) -> Arc<Schema> {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("prediction_id", DataType::Utf8, false),
        Field::new("time", time(), false),
        Field::new("revision", DataType::Utf8, false),
        Field::new("variant", DataType::Utf8, true),
        Field::new("unit", DataType::Utf8, true),
        Field::new("prediction", DataType::Float64, false),
        Field::new("answered_positive", DataType::Boolean, false),
        Field::new("weight", DataType::Float64, false),
        Field::new("outcome", DataType::Float64, true),
        Field::new("outcome_time", time(), true),
        Field::new("counts", DataType::Boolean, false),
    ];
    if !inputs.0.is_empty() {
        fields.push(Field::new("features", DataType::Struct(inputs.fields()), false));
    }
    Arc::new(Schema::new(fields))
}

/// The rows of a table; outcomes without a prediction are left out. `outcome` is what was said first; `counts` says whether the online metrics
/// have the row: its outcome came in time, and nothing contradicts it.
///
/// # Errors
/// Never for records that this program made.
pub fn batch(inputs: &Inputs, records: &[(String, Record)]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<(&String, &Record, &Prediction)> = records.iter().filter_map(|(id, record)| Some((id, record, record.prediction.as_ref()?))).collect();
    let (mut ids, mut revisions, mut variants, mut units) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let times = || TimestampMillisecondBuilder::new().with_timezone("UTC");
    let (mut made, mut reported) = (times(), times());
    let (mut values, mut weights, mut outcomes) = (Float64Builder::new(), Float64Builder::new(), Float64Builder::new());
    let (mut positives, mut counts) = (BooleanBuilder::new(), BooleanBuilder::new());
    for (id, record, prediction) in &rows {
        ids.append_value(id);
        made.append_value(record.time);
        revisions.append_value(&prediction.arm.revision);
        variants.append_option(Some(&prediction.arm.variant).filter(|variant| !variant.is_empty()));
        units.append_option(prediction.unit.map(|unit| format!("{unit:016x}")));
        values.append_value(prediction.value);
        positives.append_value(prediction.positive);
        weights.append_value(prediction.weight);
        outcomes.append_option(record.outcome.map(|outcome| outcome.value));
        reported.append_option(record.outcome.map(|outcome| outcome.at));
        counts.append_value(record.flags.counts() && record.outcome.is_some() && !record.flags.has(Flags::OUTCOME_LATE));
    }
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(made.finish()),
        Arc::new(revisions.finish()),
        Arc::new(variants.finish()),
        Arc::new(units.finish()),
        Arc::new(values.finish()),
        Arc::new(positives.finish()),
        Arc::new(weights.finish()),
        Arc::new(outcomes.finish()),
        Arc::new(reported.finish()),
        Arc::new(counts.finish()),
    ];
    if !inputs.0.is_empty() {
        let objects: Vec<Map<String, Value>> = rows.iter().map(|(_, _, prediction)| object(prediction)).collect();
        columns.push(Arc::new(StructArray::try_new(inputs.fields(), inputs.columns(&objects), None)?));
    }
    RecordBatch::try_new(schema(inputs), columns)
}
