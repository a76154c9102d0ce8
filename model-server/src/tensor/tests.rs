use plimsoll_features::{CategoricalEncoding, MissingNumber};
use serde_json::json;

use super::*;

fn specs() -> Vec<FeatureSpec> {
    let numeric = FeatureType::Numeric { clip: None, log1p: false, standardize: true, missing: MissingNumber::Median };
    let text = FeatureType::Categorical { encoding: CategoricalEncoding::OneHot, minimum_count: 1 };
    vec![FeatureSpec { name: "hour".into(), kind: numeric }, FeatureSpec { name: "dest".into(), kind: text }]
}

fn input(name: &str, datatype: &str, shape: &[i64], values: Values) -> Input {
    Input { name: name.into(), datatype: datatype.into(), shape: shape.to_vec(), values }
}

fn hour(values: &[f64]) -> Input {
    input("hour", "FP64", &[i64::try_from(values.len()).unwrap()], Values::Typed(InferTensorContents { fp64_contents: values.to_vec(), ..Default::default() }))
}

fn dest(texts: &[&str]) -> Input {
    input("dest", "BYTES", &[i64::try_from(texts.len()).unwrap(), 1], Values::Raw(raw_of_texts(texts.iter().copied())))
}

#[test]
fn every_way_to_send_the_same_rows_is_the_same() {
    let expected = columns(vec![hour(&[1.0, 2.0]), dest(&["a", ""])], &specs()).unwrap();
    let raw = |datatype: &str, bytes: Vec<u8>| input("hour", datatype, &[2], Values::Raw(bytes.into()));
    let others = [
        raw("FP32", [1.0_f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        raw("INT64", [1_i64, 2].iter().flat_map(|v| v.to_le_bytes()).collect()),
        raw("UINT8", vec![1, 2]),
        input("hour", "INT32", &[2, 1], Values::Typed(InferTensorContents { int_contents: vec![1, 2], ..Default::default() })),
        input("hour", "FP64", &[2], Values::Json(vec![json!(1), json!(2.0)])),
    ];
    for other in others {
        let text = input("dest", "BYTES", &[2], Values::Json(vec![json!("a"), json!(null)]));
        assert_eq!(columns(vec![text, other.clone()], &specs()).unwrap(), expected, "{other:?}");
    }
}

#[test]
fn what_only_the_next_version_needs_is_left_out() {
    let extra = input("snow", "FP64", &[1], Values::Raw(Bytes::new()));
    assert_eq!(columns(vec![hour(&[1.0]), extra, dest(&["a"])], &specs()), columns(vec![hour(&[1.0]), dest(&["a"])], &specs()));
}

#[test]
fn what_is_wrong_is_named() {
    let typed = |contents| Values::Typed(contents);
    let table: Vec<(&str, Vec<Input>, &str, &str)> = vec![
        ("misspelt", vec![hour(&[1.0]), input("dset", "BYTES", &[1], typed(InferTensorContents::default()))], "schema", "\"dset\""),
        ("missing", vec![hour(&[1.0])], "schema", "\"dest\" is missing"),
        ("twice", vec![hour(&[1.0]), hour(&[1.0])], "schema", "twice"),
        ("rank", vec![input("hour", "FP64", &[1, 2], Values::Raw(vec![0; 16].into())), dest(&["a"])], "shape", "[1, 2]"),
        ("negative", vec![input("hour", "FP64", &[-1], Values::Raw(vec![0; 8].into())), dest(&["a"])], "shape", "[-1]"),
        ("huge", vec![input("hour", "FP64", &[i64::MAX], Values::Raw(Bytes::new())), dest(&["a"])], "shape", "hour"),
        ("count", vec![input("hour", "FP64", &[2], Values::Raw(vec![0; 8].into())), dest(&["a", "b"])], "shape", "16 bytes, but 8 bytes"),
        ("cut", vec![input("hour", "FP64", &[1], Values::Raw(vec![0; 9].into())), dest(&["a"])], "shape", "8 bytes, but 9 bytes"),
        ("too short by a part", vec![input("hour", "FP64", &[2], Values::Raw(vec![0; 11].into())), dest(&["a", "b"])], "shape", "16 bytes, but 11 bytes"),
        (
            "too few",
            vec![input("hour", "INT32", &[2], Values::Typed(InferTensorContents { int_contents: vec![1], ..Default::default() })), dest(&["a", "b"])],
            "shape",
            "1 values",
        ),
        ("type", vec![input("hour", "BYTES", &[1], Values::Raw(vec![0; 8].into())), dest(&["a"])], "datatype", "FP64"),
        ("half", vec![input("hour", "FP16", &[1], Values::Raw(vec![0; 2].into())), dest(&["a"])], "datatype", "FP16"),
        ("text type", vec![hour(&[1.0]), input("dest", "FP64", &[1], Values::Raw(vec![0; 8].into()))], "datatype", "BYTES"),
        ("text length", vec![hour(&[1.0]), input("dest", "BYTES", &[1], Values::Raw(vec![9, 0, 0, 0, 1].into()))], "value", "length"),
        ("not UTF-8", vec![hour(&[1.0]), input("dest", "BYTES", &[1], Values::Raw(vec![1, 0, 0, 0, 255].into()))], "value", "UTF-8"),
        ("rows differ", vec![hour(&[1.0, 2.0]), dest(&["a"])], "shape", "rows"),
        ("infinite", vec![hour(&[f64::INFINITY]), dest(&["a"])], "value", "infinite"),
        (
            "out of bounds, typed",
            vec![input("hour", "INT8", &[1], Values::Typed(InferTensorContents { int_contents: vec![300], ..Default::default() })), dest(&["a"])],
            "value",
            "300 is no INT8",
        ),
        ("out of bounds, JSON", vec![input("hour", "UINT64", &[1], Values::Json(vec![json!(-1)])), dest(&["a"])], "value", "-1 is no UINT64"),
        ("no whole number", vec![input("hour", "INT32", &[1], Values::Json(vec![json!(1.5)])), dest(&["a"])], "value", "1.5 is no INT32"),
        ("no number", vec![input("hour", "FP64", &[1], Values::Json(vec![json!("x")])), dest(&["a"])], "value", "\"x\""),
    ];
    for (what, inputs, reason, named) in table {
        let error = columns(inputs, &specs()).expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {error}");
        assert!(error.to_string().contains(named), "{what}: {error}");
    }
}
