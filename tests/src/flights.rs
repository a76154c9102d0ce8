//! Real flights as requests: what is known at the scheduled hour of departure.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use plimsoll_model_server_api::inference::model_infer_request::InferInputTensor;
use plimsoll_model_server_api::inference::{InferTensorContents, ModelInferRequest};

use crate::stage::Stage;

/// One flight.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The plane: the user, for whom the same revision answers.
    pub tail_number: String,
    /// Texts by feature.
    pub texts: Vec<(&'static str, String)>,
    /// Numbers by feature; NaN is missing.
    pub numbers: Vec<(&'static str, f64)>,
    /// What came true: whether it arrived more than 15 minutes late; `None` if nobody knows.
    pub late: Option<bool>,
}

/// Minutes from which on an arrival is late.
const LATE: f64 = 15.0;

/// Multiples of 2^64 over the golden ratio leave no gap and no crowd (Fibonacci hashing).
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
/// Weather columns that are features.
const WEATHER: [&str; 8] = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"];

impl Flight {
    /// A call for one flight.
    pub fn request(&self, model: &str) -> ModelInferRequest {
        let text = |(name, value): &(&str, String)| InferInputTensor {
            name: (*name).to_owned(),
            datatype: "BYTES".to_owned(),
            shape: vec![1],
            contents: Some(InferTensorContents { bytes_contents: vec![value.clone().into_bytes().into()], ..Default::default() }),
            ..Default::default()
        };
        let number = |(name, value): &(&str, f64)| InferInputTensor {
            name: (*name).to_owned(),
            datatype: "FP64".to_owned(),
            shape: vec![1],
            contents: Some(InferTensorContents { fp64_contents: vec![*value], ..Default::default() }),
            ..Default::default()
        };
        let inputs = self.texts.iter().map(text).chain(self.numbers.iter().map(number)).collect();
        ModelInferRequest { model_name: model.to_owned(), inputs, ..Default::default() }
    }
}

/// The flights of these months (`from` inclusive, as in `2013-07`), joined with that hour's weather and the plane.
///
/// # Errors
/// A file cannot be read or lacks a column.
pub fn load(stage: &Stage, from: &str, count: usize) -> anyhow::Result<Vec<Flight>> {
    let mut weather = HashMap::new();
    let observations = Table::read(&stage.data("weather.csv"))?;
    for row in &observations.rows {
        let key = (observations.text(row, "origin"), observations.text(row, "time_hour"));
        weather.entry(key).or_insert_with(|| WEATHER.map(|name| observations.number(row, name)));
    }
    let planes = Table::read(&stage.data("planes.csv"))?;
    let planes: HashMap<_, _> =
        planes.rows.iter().map(|row| (planes.text(row, "tailnum"), (planes.number(row, "year"), planes.number(row, "seats")))).collect();
    let flights = Table::read(&stage.data("flights.csv"))?;
    let mut result = Vec::new();
    // Every nineteenth flight: all months of the year appear, not only the first days.
    for row in flights.rows.iter().filter(|row| *flights.text(row, "time_hour") >= *from).step_by(19).take(count) {
        let number = |name| flights.number(row, name);
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a calendar date")]
        let date = jiff::civil::date(number("year") as i16, number("month") as i8, number("day") as i8);
        let seen = weather.get(&(flights.text(row, "origin"), flights.text(row, "time_hour"))).copied().unwrap_or([f64::NAN; 8]);
        let (year, seats) = planes.get(&flights.text(row, "tailnum")).copied().unwrap_or((f64::NAN, f64::NAN));
        let mut numbers = vec![("hour", number("hour")), ("distance", number("distance")), ("plane_year", year), ("seats", seats)];
        numbers.extend(WEATHER.into_iter().zip(seen));
        let mut texts: Vec<(&str, String)> = ["carrier", "origin", "dest"].into_iter().map(|name| (name, flights.text(row, name))).collect();
        texts.push(("weekday", date.strftime("%A").to_string()));
        let delay = number("arr_delay");
        let late = (!delay.is_nan()).then_some(delay > LATE);
        result.push(Flight { tail_number: flights.text(row, "tailnum"), texts, numbers, late });
    }
    Ok(mixed(result))
}

/// In an order in which every stretch holds flights of all months. A call is worth hours of real time, so in the file's order two revisions
/// whose counters are read a few seconds apart would be judged by the weather of different months.
fn mixed(flights: Vec<Flight>) -> Vec<Flight> {
    let mut places: Vec<(u64, Flight)> = (0..).zip(flights).collect();
    places.sort_by_key(|(place, _)| place.wrapping_mul(GOLDEN_RATIO));
    places.into_iter().map(|(_, flight)| flight).collect()
}

/// A CSV file without quotes, as these are.
struct Table {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}: run scripts/setup", path.display()))?;
        let mut lines = text.lines();
        let columns = lines.next().unwrap_or_default().split(',').enumerate().map(|(place, name)| (name.trim_matches('"').to_owned(), place)).collect();
        Ok(Self { columns, rows: lines.map(|line| line.split(',').map(str::to_owned).collect()).collect() })
    }

    fn text(&self, row: &[String], column: &str) -> String {
        self.columns.get(column).and_then(|place| row.get(*place)).map_or_else(String::new, |value| value.trim_matches('"').to_owned())
    }

    fn number(&self, row: &[String], column: &str) -> f64 {
        self.text(row, column).parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_of_the_calls_holds_flights_of_the_whole_time() {
        let flight = |place: u32| Flight { tail_number: String::new(), texts: Vec::new(), numbers: vec![("place", f64::from(place))], late: None };
        let mixed = mixed((0..8_000).map(flight).collect());
        let places: Vec<f64> = mixed.iter().flat_map(|flight| flight.numbers.iter().map(|(_, place)| *place)).collect();
        for stretch in places.windows(100) {
            let mean = stretch.iter().sum::<f64>() / 100.0;
            assert!((mean - 4_000.0).abs() < 400.0, "a stretch around {mean}");
        }
        let mut all = places;
        all.sort_by(f64::total_cmp);
        assert!(all.iter().zip(0_u32..).all(|(place, expected)| *place == f64::from(expected)), "nothing is lost");
    }
}
