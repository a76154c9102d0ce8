//! Tensors of the protocol as columns: one named tensor for each raw feature.

use bytes::Bytes;
use plimsoll_features::{Column, Columns, FeatureSpec, FeatureType};
use plimsoll_model_server_api::inference::InferTensorContents;

use crate::Error;

mod numbers;

use numbers::numbers;

/// The contents of one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Little-endian numbers, or length-prefixed texts, one after another.
    Raw(Bytes),
    /// Typed fields.
    Typed(InferTensorContents),
    /// Elements of a JSON list.
    Json(Vec<serde_json::Value>),
}

/// One input as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The feature.
    pub name: String,
    /// The protocol's datatype.
    pub datatype: String,
    /// [rows] or [rows, 1].
    pub shape: Vec<i64>,
    /// The values.
    pub values: Values,
}

/// The most rows in one request.
const MAXIMUM_ROWS: usize = 1 << 20;

/// Turns inputs into columns that fit the model.
///
/// # Errors
/// Names the input and says what is wrong with it and what was expected.
pub fn columns(inputs: Vec<Input>, specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let mut columns: Vec<(String, Column)> = Vec::with_capacity(inputs.len());
    let mut unknown = Vec::new();
    for input in inputs {
        // An input that this model does not take may be one that the next version needs: callers send it before the rollout.
        let Some(spec) = specs.iter().find(|spec| spec.name == input.name) else {
            unknown.push(format!("{:?}", input.name));
            continue;
        };
        if columns.iter().any(|(name, _)| *name == input.name) {
            return Err(Error::Schema(format!("input {:?} is there twice", input.name)));
        }
        let rows = rows(&input)?;
        let column = match spec.kind {
            FeatureType::Numeric { .. } => Column::Numeric(numbers(&input, rows)?),
            FeatureType::Categorical { .. } => Column::Text(texts(&input, rows)?),
        };
        columns.push((input.name, column));
    }
    if let Some(spec) = specs.iter().find(|spec| !columns.iter().any(|(name, _)| *name == spec.name)) {
        let missing = if matches!(spec.kind, FeatureType::Numeric { .. }) { "NaN" } else { "an empty text" };
        let strangers =
            if unknown.is_empty() { String::new() } else { format!(" (not among the model's inputs: {}; it takes {})", unknown.join(", "), list(specs)) };
        return Err(Error::Schema(format!("input {:?} is missing; send {missing} where you do not know its value{strangers}", spec.name)));
    }
    let columns = Columns::new(columns).map_err(|error| Error::Shape(error.to_string()))?;
    columns.check(specs).map_err(|error| Error::Value(error.to_string()))?;
    Ok(columns)
}

fn list(specs: &[FeatureSpec]) -> String {
    specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn rows(input: &Input) -> Result<usize, Error> {
    match input.shape.as_slice() {
        [rows] | [rows, 1] => usize::try_from(*rows).ok().filter(|rows| *rows <= MAXIMUM_ROWS),
        _ => None,
    }
    .ok_or_else(|| {
        Error::Shape(format!("input {:?} has shape {:?}, but must be [rows] or [rows, 1] with at most {MAXIMUM_ROWS} rows", input.name, input.shape))
    })
}

fn texts(input: &Input, rows: usize) -> Result<Vec<Option<String>>, Error> {
    let values = match (&input.values, input.datatype.as_str()) {
        (Values::Raw(bytes), "BYTES") => {
            raw_texts(bytes).ok_or_else(|| Error::Value(format!("input {:?}: each text needs its length before it (4 bytes, little-endian)", input.name)))?
        }
        (Values::Typed(contents), "BYTES") => contents.bytes_contents.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect(),
        (Values::Json(values), "BYTES") => {
            let text =
                |value: &serde_json::Value| value.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes())).or_else(|| value.is_null().then(Bytes::new));
            values
                .iter()
                .map(|value| text(value).ok_or_else(|| Error::Value(format!("input {:?}: {value} is no text", input.name))))
                .collect::<Result<_, _>>()?
        }
        (_, other) => return Err(Error::Datatype(format!("input {:?} has datatype {other:?}, but must be BYTES", input.name))),
    };
    let text = |bytes: Bytes| match String::from_utf8(bytes.to_vec()) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(_) => Err(Error::Value(format!("input {:?} holds a text that is not UTF-8", input.name))),
    };
    counted(input, rows, values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?)
}

fn counted<T>(input: &Input, rows: usize, values: Vec<T>) -> Result<Vec<T>, Error> {
    if values.len() == rows {
        return Ok(values);
    }
    Err(Error::Shape(format!("input {:?} has shape {:?}, but {} values", input.name, input.shape, values.len())))
}

fn raw_texts(bytes: &Bytes) -> Option<Vec<Bytes>> {
    let mut texts = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let length = rest.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)?;
        let end = usize::try_from(length).ok()?.checked_add(4).filter(|end| *end <= rest.len())?;
        texts.push(rest.slice(4..end));
        rest = rest.slice(end..);
    }
    Some(texts)
}

/// Texts as raw contents.
pub fn raw_of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Bytes {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests;
