//! Numbers of a tensor, read as its datatype says, however they were sent.
//!
//! **Invariant:** the same numbers of the same datatype are the same f64 from typed fields, raw bytes and JSON.

use bytes::Bytes;
use plimsoll_model_server_api::inference::InferTensorContents;
use serde_json::Value;

use super::{Input, Values, counted};
use crate::Error;

/// The numbers of an input with this many rows; NaN is a missing one.
pub(super) fn numbers(input: &Input, rows: usize) -> Result<Vec<f64>, Error> {
    let Some(size) = size_of(&input.datatype) else { return Err(wrong_datatype(input)) };
    let expected = rows.saturating_mul(size);
    let values = match &input.values {
        Values::Raw(bytes) if bytes.len() != expected => {
            let found = bytes.len();
            return Err(Error::Shape(format!(
                "input {:?} has shape {:?} and datatype {}, which is {expected} bytes, but {found} bytes",
                input.name, input.shape, input.datatype
            )));
        }
        Values::Raw(bytes) => raw(&input.datatype, bytes).ok_or_else(|| wrong_datatype(input))?,
        Values::Typed(contents) => typed(input, contents)?.ok_or_else(|| wrong_datatype(input))?,
        Values::Json(values) => values.iter().map(|value| json(input, value)).collect::<Result<_, _>>()?,
    };
    counted(input, rows, values)
}

fn wrong_datatype(input: &Input) -> Error {
    Error::Datatype(format!(
        "input {:?} has datatype {:?}, but must be a number: FP64, FP32, INT8 to INT64, UINT8 to UINT64 or BOOL, filled in the field of its type",
        input.name, input.datatype
    ))
}

/// The bytes of one number; `None` when the datatype is no number that is taken.
fn size_of(datatype: &str) -> Option<usize> {
    Some(match datatype {
        "BOOL" | "INT8" | "UINT8" => 1,
        "INT16" | "UINT16" => 2,
        "INT32" | "UINT32" | "FP32" => 4,
        "INT64" | "UINT64" | "FP64" => 8,
        _ => return None,
    })
}

/// The smallest and the largest number of an integer datatype.
fn bounds(datatype: &str) -> Option<(i128, i128)> {
    Some(match datatype {
        "INT8" => (i8::MIN.into(), i8::MAX.into()),
        "INT16" => (i16::MIN.into(), i16::MAX.into()),
        "INT32" => (i32::MIN.into(), i32::MAX.into()),
        "INT64" => (i64::MIN.into(), i64::MAX.into()),
        "UINT8" => (0, u8::MAX.into()),
        "UINT16" => (0, u16::MAX.into()),
        "UINT32" => (0, u32::MAX.into()),
        "UINT64" => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// An integer of the input's datatype, or why it is none. The protocol's narrow integers travel in wide fields, and JSON has one kind of number.
fn integer(input: &Input, (low, high): (i128, i128), number: i128) -> Result<f64, Error> {
    if !(low..=high).contains(&number) {
        return Err(Error::Value(format!("input {:?}: {number} is no {}", input.name, input.datatype)));
    }
    #[expect(clippy::as_conversions, reason = "64-bit integers beyond 2^53 lose their last digits, as in every float model")]
    Ok(number as f64)
}

fn typed(input: &Input, contents: &InferTensorContents) -> Result<Option<Vec<f64>>, Error> {
    fn integers<T: Copy + Into<i128>>(input: &Input, values: &[T]) -> Result<Vec<f64>, Error> {
        let bounds = bounds(&input.datatype).unwrap_or_default();
        values.iter().map(|value| integer(input, bounds, (*value).into())).collect()
    }
    Ok(Some(match input.datatype.as_str() {
        "FP32" => contents.fp32_contents.iter().map(|value| f64::from(*value)).collect(),
        "FP64" => contents.fp64_contents.clone(),
        "INT8" | "INT16" | "INT32" => integers(input, &contents.int_contents)?,
        "UINT8" | "UINT16" | "UINT32" => integers(input, &contents.uint_contents)?,
        "INT64" => integers(input, &contents.int64_contents)?,
        "UINT64" => integers(input, &contents.uint64_contents)?,
        "BOOL" => contents.bool_contents.iter().map(|value| f64::from(u8::from(*value))).collect(),
        _ => return Ok(None),
    }))
}

fn json(input: &Input, value: &Value) -> Result<f64, Error> {
    let no_number = || Error::Value(format!("input {:?}: {value} is no {}", input.name, input.datatype));
    let float = match value {
        Value::Null => return Ok(f64::NAN),
        Value::Bool(value) => return Ok(f64::from(u8::from(*value))),
        other => other.as_f64().ok_or_else(no_number)?,
    };
    match (input.datatype.as_str(), bounds(&input.datatype)) {
        (_, Some(bounds)) => {
            #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "whole; what is too large saturates and is refused as out of bounds")]
            let whole = (float.fract() == 0.0).then_some(float as i128);
            let exact = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)).or(whole);
            integer(input, bounds, exact.ok_or_else(no_number)?)
        }
        // As if it had been sent in four bytes.
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the datatype says so")]
        ("FP32", None) => Ok(f64::from(float as f32)),
        ("BOOL", None) => Ok(f64::from(u8::from(float != 0.0))),
        _ => Ok(float),
    }
}

fn raw(datatype: &str, bytes: &Bytes) -> Option<Vec<f64>> {
    fn read<const N: usize>(bytes: &Bytes, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok().map(&number)).collect()
    }
    #[expect(clippy::as_conversions, reason = "64-bit integers beyond 2^53 lose their last digits, as in every float model")]
    Some(match datatype {
        "FP32" => read(bytes, |b| f64::from(f32::from_le_bytes(b))),
        "FP64" => read(bytes, f64::from_le_bytes),
        "INT8" => read(bytes, |b| f64::from(i8::from_le_bytes(b))),
        "INT16" => read(bytes, |b| f64::from(i16::from_le_bytes(b))),
        "INT32" => read(bytes, |b| f64::from(i32::from_le_bytes(b))),
        "INT64" => read(bytes, |b| i64::from_le_bytes(b) as f64),
        "UINT8" => read(bytes, |b| f64::from(u8::from_le_bytes(b))),
        "BOOL" => read(bytes, |b: [u8; 1]| f64::from(u8::from(b != [0]))),
        "UINT16" => read(bytes, |b| f64::from(u16::from_le_bytes(b))),
        "UINT32" => read(bytes, |b| f64::from(u32::from_le_bytes(b))),
        "UINT64" => read(bytes, |b| u64::from_le_bytes(b) as f64),
        _ => return None,
    })
}
