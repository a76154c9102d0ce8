//! Which slices a column has, and which prediction is in which. Pure. It must not know variants, nor what is measured.

use serde::Serialize;

use super::column::{Column, MISSING, REST};

/// Values of a column that have a slice of their own.
pub const VALUES: usize = 8;
/// Where numbers are cut: into so many slices of about as many predictions.
const QUARTERS: usize = 4;
/// Digits of a bound, at least; more where bounds would read the same.
const DIGITS: usize = 4;
const MOST_DIGITS: usize = 17;

/// What a slice is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Everything.
    Whole,
    /// One value.
    Value,
    /// Numbers between two bounds.
    Range,
    /// All values without a slice of their own.
    Other,
    /// No value.
    Missing,
}

/// One slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// What it is made of.
    pub kind: Kind,
}

/// The slices of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// In the order in which they are shown.
    pub parts: Vec<Part>,
    /// Of each prediction, the place of its slice.
    pub by_row: Vec<usize>,
}

/// The slices of a column: the values of texts and truths that are most frequent, quarters of numbers, or their values where they are few.
pub fn parts(column: &Column) -> Parts {
    match &column.numbers {
        Some(numbers) if column.names().len() > VALUES => ranges(numbers),
        numbers => values(column, numbers.is_some()),
    }
}

fn values(column: &Column, numbers: bool) -> Parts {
    let mut counts: Vec<(usize, &str, u16)> = column.names().iter().zip(0..).map(|(name, code)| (0, name.as_str(), code)).collect();
    for code in &column.by_row {
        if let Some((count, _, _)) = counts.get_mut(usize::from(*code)) {
            *count += 1;
        }
    }
    // The most frequent first; names decide, so that the order of reading does not.
    counts.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    counts.truncate(VALUES);
    if numbers {
        let number = |name: &str| name.parse::<f64>().unwrap_or(f64::NAN);
        counts.sort_unstable_by(|one, other| number(one.1).total_cmp(&number(other.1)));
    }
    let mut places = vec![None; column.names().len()];
    let mut parts = Vec::new();
    for (_, name, code) in counts {
        if let Some(place) = places.get_mut(usize::from(code)) {
            *place = Some(add(&mut parts, if name.is_empty() { "\"\"" } else { name }, Kind::Value));
        }
    }
    let place = |code: u16| places.get(usize::from(code)).copied().flatten();
    let other = column.by_row.iter().any(|code| *code == REST || (*code != MISSING && place(*code).is_none()));
    let other = if other { add(&mut parts, "other", Kind::Other) } else { 0 };
    let missing = if column.by_row.contains(&MISSING) { add(&mut parts, "missing", Kind::Missing) } else { 0 };
    let by_row = column.by_row.iter().map(|code| if *code == MISSING { missing } else { place(*code).unwrap_or(other) });
    Parts { by_row: by_row.collect(), parts }
}

fn ranges(numbers: &[f64]) -> Parts {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let bounds = bounds(&sorted);
    let mut parts: Vec<Part> = names(&bounds).into_iter().map(|name| Part { name, kind: Kind::Range }).collect();
    let missing = if sorted.len() < numbers.len() { add(&mut parts, "missing", Kind::Missing) } else { 0 };
    let place = |number: &f64| if number.is_nan() { missing } else { bounds.partition_point(|bound| bound < number) };
    Parts { by_row: numbers.iter().map(place).collect(), parts }
}

/// Where sorted numbers are cut, each bound the last of its slice. No slice is empty.
fn bounds(sorted: &[f64]) -> Vec<f64> {
    let Some(largest) = sorted.last().copied() else { return Vec::new() };
    let quarter = |part: usize| sorted.get((part * sorted.len()).div_ceil(QUARTERS).saturating_sub(1)).copied();
    let mut bounds: Vec<f64> = (1..QUARTERS).filter_map(quarter).filter(|bound| *bound < largest).collect();
    bounds.dedup();
    if bounds.is_empty() {
        // More than three quarters are the largest.
        bounds.extend(sorted.iter().rev().find(|number| **number < largest));
    }
    bounds
}

fn names(bounds: &[f64]) -> Vec<String> {
    let said = |digits| bounds.iter().map(|bound| significant(*bound, digits)).collect::<Vec<_>>();
    let differ = |said: &Vec<String>| said.iter().zip(said.iter().skip(1)).all(|(one, next)| one != next);
    let said = (DIGITS..MOST_DIGITS).map(said).find(differ).unwrap_or_else(|| said(MOST_DIGITS));
    let first = said.first().map(|bound| format!("up to {bound}"));
    let between = said.iter().zip(said.iter().skip(1)).map(|(from, to)| format!("over {from} to {to}"));
    first.into_iter().chain(between).chain(said.last().map(|bound| format!("over {bound}"))).collect()
}

/// A number to so many digits that count, without an exponent where that is short.
fn significant(number: f64, digits: usize) -> String {
    let rounded = format!("{number:.*e}", digits - 1).parse().unwrap_or(number);
    let said = if rounded == 0.0 || (1e-4..1e15).contains(&f64::abs(rounded)) { rounded.to_string() } else { format!("{rounded:e}") };
    said.replace('-', "−")
}

/// Adds a slice; says its place.
fn add(parts: &mut Vec<Part>, name: &str, kind: Kind) -> usize {
    parts.push(Part { name: name.to_owned(), kind });
    parts.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The slices' names with how many are in each.
    fn cut(values: impl IntoIterator<Item = Value>) -> Vec<(String, usize)> {
        let mut column = Column::default();
        values.into_iter().enumerate().for_each(|(row, value)| column.set(row, &value));
        let parts = parts(&column);
        let count = |place| parts.by_row.iter().filter(|of| **of == place).count();
        parts.parts.iter().enumerate().map(|(place, part)| (part.name.clone(), count(place))).collect()
    }

    fn named(parts: &[(&str, usize)]) -> Vec<(String, usize)> {
        parts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn texts_are_cut_by_value_the_most_frequent_first() {
        assert_eq!(cut(["b", "a", "b"].map(Value::from)), named(&[("b", 2), ("a", 1)]));
        assert_eq!(cut([json!(true), json!(null), json!(false), json!(false)]), named(&[("false", 2), ("true", 1), ("missing", 1)]));
        assert_eq!(cut([json!(""), json!("missing"), json!(null)]), named(&[("\"\"", 1), ("missing", 1), ("missing", 1)]));
        let counts = [("a", 11), ("b", 13), ("c", 11), ("d", 9), ("e", 7), ("f", 5), ("g", 3), ("h", 1)];
        let many = || counts.into_iter().flat_map(|(name, count)| std::iter::repeat_n(json!(name), count));
        let expected = [("b", 13), ("a", 11), ("c", 11), ("d", 9), ("e", 7), ("f", 5), ("g", 3), ("h", 1)];
        assert_eq!(cut(many()), named(&expected), "eight have a slice each");
        let more = many().chain([json!("x"), json!("y"), json!("y"), json!(null)]);
        let last = cut(more)[7..].to_vec();
        assert_eq!(last, named(&[("y", 2), ("other", 2), ("missing", 1)]), "of the rarest, one value stays");
    }

    #[test]
    fn numbers_are_cut_into_quarters_or_by_value_where_they_are_few() {
        assert_eq!(cut([3, 1, 10, 1, 2].map(Value::from)), named(&[("1", 2), ("2", 1), ("3", 1), ("10", 1)]));
        let quarters = [("up to 25", 25), ("over 25 to 50", 25), ("over 50 to 75", 25), ("over 75", 25)];
        assert_eq!(cut((1..=100).map(|number| json!(101 - number))), named(&quarters));
        let missing = cut((1..=100).map(Value::from).chain([json!(null)]));
        assert_eq!(missing, [named(&quarters), named(&[("missing", 1)])].concat());
    }

    #[test]
    fn no_slice_of_numbers_is_empty_however_many_are_the_same() {
        let with = |same: i32, count: usize| cut((1..=12).map(Value::from).chain(std::iter::repeat_n(json!(same), count)));
        assert_eq!(with(1, 100), named(&[("up to 1", 101), ("over 1", 11)]));
        assert_eq!(with(12, 100), named(&[("up to 11", 11), ("over 11", 101)]));
        assert_eq!(with(6, 12), named(&[("up to 6", 18), ("over 6", 6)]));
        let close = cut((0..20).map(|step| json!(1_793_599_200_000_i64 + step)));
        assert_eq!(close[1], ("over 1793599200004 to 1793599200009".to_owned(), 5), "bounds that differ read differently");
        assert_eq!(cut((0..12).map(|step| json!(f64::from(step) / 3e7)))[0].0, "up to 6.667e−8");
        assert_eq!(cut((0..12).map(|step| json!(f64::from(step) / -3.0)))[3].0, "over −1");
    }

    #[test]
    fn a_column_without_values_is_one_slice() {
        assert_eq!(cut([Value::Null, Value::Null]), named(&[("missing", 2)]));
        assert_eq!(cut([]), []);
    }
}
