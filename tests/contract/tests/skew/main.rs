//! The same hostile rows through trainer and server give bit-identical features.
//!
//! One side is a CSV or Parquet file, DuckDB, the author's query and the trainer's rows; the other is gRPC messages with typed or raw
//! tensors and REST bodies with JSON or binary ones, as the server's handlers read them. Between the sides there is only the fitted
//! pipeline, by way of its file. What one side refuses, the other refuses too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod log;
mod rows;
mod serving;
mod training;

use plimsoll_features::{Encoded, Pipeline};

use rows::{Row, hostile, refused};
use serving::WAYS;
use training::{FORMATS, examples, specs};

fn bits(encoded: &Encoded) -> Vec<Vec<u32>> {
    encoded.values.chunks(encoded.width).map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Fitted on every second row, so that each way also meets strangers, and read back from its file as the server reads it.
fn fitted(rows: &[Row], format: &str) -> (Pipeline, Vec<Vec<u32>>) {
    let columns = examples(rows, format).unwrap().features;
    let train = columns.select(&(0..rows.len()).step_by(2).collect::<Vec<_>>());
    let pipeline = Pipeline::fit(&specs(), &train).unwrap();
    let expected = bits(&pipeline.encode(&columns).unwrap());
    (serde_json::from_slice(&serde_json::to_vec(&pipeline).unwrap()).unwrap(), expected)
}

#[test]
fn the_same_hostile_rows_through_trainer_and_server_give_bit_identical_features() {
    let rows = hostile();
    for format in FORMATS {
        let (pipeline, expected) = fitted(&rows, format);
        for (way, send) in WAYS {
            for (row, expected) in rows.iter().zip(&expected) {
                let columns = send(std::slice::from_ref(row), &specs()).unwrap_or_else(|error| panic!("{format}, {way}, {row:?}: {error}"));
                assert_eq!(&bits(&pipeline.encode(&columns).unwrap())[0], expected, "{format}, {way}, {row:?}");
            }
        }
    }
}

#[test]
fn many_rows_in_one_call_are_the_same_as_one_by_one() {
    let rows = hostile();
    for format in FORMATS {
        let (pipeline, expected) = fitted(&rows, format);
        for (way, send) in WAYS {
            let columns = send(&rows, &specs()).unwrap();
            assert_eq!(bits(&pipeline.encode(&columns).unwrap()), expected, "{format}, {way}");
        }
    }
}

/// A row with an infinite number, or with one that is infinite as f32: both sides name the column.
#[test]
fn what_the_trainer_refuses_the_server_refuses_too() {
    let (pipeline, _) = fitted(&hostile(), "csv");
    for row in refused() {
        for format in FORMATS {
            let columns = examples(&[hostile(), vec![row.clone()]].concat(), format).unwrap().features;
            let error = Pipeline::fit(&specs(), &columns).and_then(|pipeline| pipeline.encode(&columns)).unwrap_err().to_string();
            assert!(error.contains("\"plain\"") || error.contains("\"scaled\"") || error.contains("\"single\""), "{format}, {row:?}: {error}");
        }
        for (way, send) in WAYS {
            let error = send(std::slice::from_ref(&row), &specs())
                .map_err(|error| error.to_string())
                .and_then(|columns| pipeline.encode(&columns).map_err(|error| error.to_string()));
            let error = error.expect_err(way);
            // JSON cannot say infinity; its texts for large numbers are refused before anybody knows the column.
            assert!(error.contains("infinite") || error.contains("out of range"), "{way}, {row:?}: {error}");
        }
    }
}

/// Spellings that DuckDB would take for numbers, and types that can be spelt in several ways.
#[test]
fn texts_that_look_like_something_else_stay_texts_or_are_refused() {
    let cases = [
        ("identifiers keep their zeros", "007\n08\n12\n", Ok(["007", "08", "12"])),
        ("whole numbers are written in one way", "7\n-8\n0\n", Ok(["7", "-8", "0"])),
        ("a negative zero is no whole number", "-0\n1\n2\n", Ok(["-0", "1", "2"])),
        ("spaces are part of a text", " 7\n8 \n9\n", Ok([" 7", "8 ", "9"])),
        ("signs are part of a text", "+7\n8\n9\n", Ok(["+7", "8", "9"])),
        ("fractions", "1.50\n2.0\n3\n", Err("DOUBLE")),
        ("truths", "T\nF\ntrue\n", Err("BOOLEAN")),
        ("days", "2013-01-01\n2013-01-02\n2013-01-03\n", Err("DATE")),
    ];
    for (what, cells, expected) in cases {
        match (training::texts(cells), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected.map(|text| Some(text.to_owned())), "{what}"),
            (Err(error), Err(kind)) => assert!(error.contains("\"text\" is Categorical") && error.contains(kind), "{what}: {error}"),
            (found, _) => panic!("{what}: {found:?}"),
        }
    }
}
