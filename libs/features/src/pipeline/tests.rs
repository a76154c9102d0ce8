use proptest::prelude::*;

use super::*;
use crate::Column;

fn specs() -> Vec<FeatureSpec> {
    vec![
        FeatureSpec {
            name: "hour".into(),
            kind: FeatureType::Numeric { clip: Some((0.0, 23.0)), log1p: false, standardize: true, missing: MissingNumber::MedianAndIndicator },
        },
        FeatureSpec { name: "carrier".into(), kind: FeatureType::Categorical { encoding: CategoricalEncoding::OneHot, minimum_count: 2 } },
        FeatureSpec { name: "dest".into(), kind: FeatureType::Categorical { encoding: CategoricalEncoding::Embedding { dimension: None }, minimum_count: 1 } },
    ]
}

fn columns(hours: &[f64], carriers: &[&str], destinations: &[&str]) -> Columns {
    let text = |values: &[&str]| Column::Text(values.iter().map(|v| (*v != "-").then(|| (*v).to_owned())).collect());
    Columns::new([("hour".to_owned(), Column::Numeric(hours.to_vec())), ("carrier".to_owned(), text(carriers)), ("dest".to_owned(), text(destinations))])
        .unwrap()
}

#[test]
fn numbers_are_scaled_by_the_train_rows_and_missing_ones_marked() {
    let pipeline = Pipeline::fit(&specs(), &columns(&[2.0, 4.0, f64::NAN, 6.0], &["A", "A", "B", "-"], &["x", "y", "x", "z"])).unwrap();
    let encoded = pipeline.encode(&columns(&[4.0, f64::NAN, 99.0], &["A", "B", "-"], &["x", "q", "-"])).unwrap();
    assert_eq!(encoded.width, 2 + 3 + 1);
    assert_eq!(encoded.values[..6], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
    // The median stands in, the indicator says so; B is too rare and thus unknown; q was never seen.
    assert_eq!(encoded.values[6..12], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    // 99 is clipped to 23; missing categories have an index of their own.
    assert!((encoded.values[12] - (19.0_f64 / (8.0_f64 / 3.0).sqrt()) as f32).abs() < 1e-6);
    assert_eq!(encoded.values[13..], [0.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let train = columns(&[1.0], &["A"], &["x"]);
    let pipeline = Pipeline::fit(&specs(), &train).unwrap();
    let without = Columns::new([("hour".to_owned(), Column::Numeric(vec![1.0]))]).unwrap();
    assert!(matches!(pipeline.encode(&without), Err(Error::MissingColumn { name, .. }) if name == "carrier"));
    let infinite = columns(&[f64::INFINITY], &["A"], &["x"]);
    assert_eq!(pipeline.encode(&infinite), Err(Error::Infinite { name: "hour".into(), row: 0 }));
    assert!(matches!(Pipeline::fit(&specs(), &columns(&[f64::NAN], &["A"], &["x"])), Err(Error::Empty { .. })));
    let mut unclipped = specs();
    unclipped[0].kind = FeatureType::Numeric { clip: None, log1p: false, standardize: true, missing: MissingNumber::Median };
    assert_eq!(Pipeline::fit(&unclipped, &columns(&[1e200, -1e200], &["A", "A"], &["x", "x"])), Err(Error::TooSpread { name: "hour".into() }));
}

#[test]
fn zero_has_one_sign_and_the_missing_text_of_csv_files_is_missing_unless_it_is_known() {
    let mut specs = specs();
    specs[0].kind = FeatureType::Numeric { clip: Some((0.0, 23.0)), log1p: false, standardize: false, missing: MissingNumber::Median };
    let pipeline = Pipeline::fit(&specs, &columns(&[-0.0, 1.0, -0.0], &["A", "A", "-"], &["NA", "y", "x"])).unwrap();
    let encoded = pipeline.encode(&columns(&[-0.0, 0.0, -1.0], &["NA", "-", "B"], &["NA", "-", "q"])).unwrap();
    let rows: Vec<&[f32]> = encoded.values.chunks(encoded.width).collect();
    assert_eq!(rows.iter().map(|row| row[0].to_bits()).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(rows[0][1..4], rows[1][1..4], "a caller's NA is missing");
    assert_eq!(rows[2][1..4], [0.0, 1.0, 0.0], "B is unknown");
    assert_eq!(rows.iter().map(|row| row[4]).collect::<Vec<_>>(), [2.0, 0.0, 1.0], "NA was learned as a category");
}

#[test]
fn a_pipeline_survives_its_file_to_the_last_bit() {
    let pipeline = Pipeline::fit(&specs(), &columns(&[0.1, 0.7, 1e-9, 1.0 / 3.0], &["A", "A", "B", "-"], &["x", "y", "x", "z"])).unwrap();
    let text = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), pipeline);
}

proptest! {
    #[test]
    fn a_row_has_the_same_features_alone_and_in_a_batch(
        rows in prop::collection::vec((-1e6_f64..1e6, "[AB-]", "[xyz]"), 1..20)
    ) {
        let train = columns(&[1.0, 2.0, 3.0], &["A", "A", "B"], &["x", "y", "z"]);
        let pipeline = Pipeline::fit(&specs(), &train).unwrap();
        let hours: Vec<f64> = rows.iter().map(|r| r.0).collect();
        let carriers: Vec<&str> = rows.iter().map(|r| r.1.as_str()).collect();
        let destinations: Vec<&str> = rows.iter().map(|r| r.2.as_str()).collect();
        let all = columns(&hours, &carriers, &destinations);
        let together = pipeline.encode(&all).unwrap();
        for row in 0..rows.len() {
            let alone = pipeline.encode(&all.select(&[row])).unwrap();
            let expected = &together.values[row * together.width..(row + 1) * together.width];
            prop_assert_eq!(alone.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
    }
}
