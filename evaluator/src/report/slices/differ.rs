//! What was counted of each slice, how its variants differ, and which of that is more than chance. Pure: the order of predictions makes no difference.

use plimsoll_stats::{Bucket, Buckets, benjamini_yekutieli, clustered};

use super::found::{Column, Counted, Difference, Slice, Slices};
use super::parts::{Kind, Part, Parts, parts};
use super::rows::{Row, Rows};
use crate::quality::real;
use crate::report::input::{Direction, Test};
use crate::tally::BUCKETS;

/// Users of each of two variants before they are compared.
pub const ENOUGH_UNITS: u64 = 100;
/// Of the marked differences, so many are chance on average, at most.
pub const FALSE_DISCOVERY_RATE: f64 = 0.05;

/// What was counted of a variant in a slice.
#[derive(Clone)]
struct Sums {
    buckets: Vec<Bucket>,
    units: u64,
    last: Option<u64>,
}

impl Sums {
    /// One prediction. Those of a unit come one after the other.
    fn add(&mut self, row: &Row) {
        if let Some(bucket) = self.buckets.get_mut(usize::from(row.bucket)) {
            *bucket = Bucket { sum: bucket.sum + row.metric, calls: bucket.calls + 1 };
        }
        if self.last.replace(row.unit) != Some(row.unit) {
            self.units += 1;
        }
    }

    fn counted(&self, variant: &str) -> Counted {
        let (sum, predictions): (f64, u64) = self.buckets.iter().fold((0.0, 0), |(sum, calls), bucket| (sum + bucket.sum, calls + bucket.calls));
        Counted { variant: variant.to_owned(), units: self.units, predictions, mean: (predictions > 0).then(|| sum / real(predictions)) }
    }

    fn buckets(&self) -> Buckets<'_> {
        Buckets { buckets: &self.buckets, units: self.units }
    }
}

/// The slices of a test's predictions, of which `of` count in all.
pub fn slices(test: &Test, rows: &Rows, of: u64) -> Slices {
    let mut order: Vec<usize> = (0..rows.rows.len()).collect();
    order.sort_unstable_by_key(|place| rows.rows.get(*place).map(|row| row.unit));
    let all = Parts { parts: vec![Part { name: "all".to_owned(), kind: Kind::Whole }], by_row: vec![0; rows.rows.len()] };
    let whole = of_parts(test, rows, &order, all).pop();
    let column = |(name, values)| {
        let slices = of_parts(test, rows, &order, parts(values));
        // Where all are in one slice, it is the whole.
        (slices.len() > 1).then(|| Column { name: String::clone(name), slices })
    };
    let mut columns: Vec<Column> = rows.columns.iter().filter_map(column).collect();
    let comparisons = mark(&mut columns, whole.as_ref());
    Slices {
        predictions: u64::try_from(rows.rows.len()).unwrap_or(u64::MAX),
        of_predictions: of,
        from_unix_ms: rows.made.map(|(oldest, _)| oldest),
        until_unix_ms: rows.made.map(|(_, newest)| newest),
        newest_only: false,
        more_columns: rows.more_columns,
        alpha: test.spec.design.alpha,
        comparisons,
        false_discovery_rate: FALSE_DISCOVERY_RATE,
        whole: whole.filter(|_| !rows.rows.is_empty()),
        columns,
    }
}

fn of_parts(test: &Test, rows: &Rows, order: &[usize], of: Parts) -> Vec<Slice> {
    let none = Sums { buckets: vec![Bucket::default(); BUCKETS], units: 0, last: None };
    let mut sums = vec![vec![none; test.spec.variants.len()]; of.parts.len()];
    for (row, part) in order.iter().filter_map(|place| rows.rows.get(*place).zip(of.by_row.get(*place))) {
        if let Some(sums) = sums.get_mut(*part).and_then(|sums| sums.get_mut(usize::from(row.variant))) {
            sums.add(row);
        }
    }
    of.parts.into_iter().zip(&sums).map(|(part, sums)| slice(test, part, sums)).collect()
}

fn slice(test: &Test, part: Part, sums: &[Sums]) -> Slice {
    let named: Vec<(&str, &Sums)> = test.spec.variants.iter().map(|variant| variant.name.as_str()).zip(sums).collect();
    let control = sums.first().filter(|control| control.units >= ENOUGH_UNITS);
    let difference = |(name, treatment): &(&str, &Sums)| difference(test, name, treatment, control?);
    Slice {
        name: part.name,
        kind: part.kind,
        variants: named.iter().map(|(name, sums)| sums.counted(name)).collect(),
        treatments: named.iter().skip(1).filter(|(_, treatment)| treatment.units >= ENOUGH_UNITS).filter_map(difference).collect(),
    }
}

fn difference(test: &Test, name: &str, treatment: &Sums, control: &Sums) -> Option<Difference> {
    let effect = clustered(treatment.buckets(), control.buckets())?;
    let interval = effect.interval(test.spec.design.alpha)?;
    Some(Difference {
        variant: name.to_owned(),
        estimate: effect.estimate,
        standard_error: effect.standard_error,
        lower: interval.lower,
        upper: interval.upper,
        p_value: effect.p_value(),
        adjusted_p_value: None,
        marked: false,
        better: match test.spec.primary.direction {
            Direction::Decrease => effect.estimate < 0.0,
            Direction::Increase => effect.estimate > 0.0,
        },
        unlike_whole: false,
    })
}

/// Chooses what is more than chance among all comparisons; says how many there are. Slices of one column share no prediction and slices of
/// two columns do, so nothing is assumed of their dependence.
fn mark(columns: &mut [Column], whole: Option<&Slice>) -> usize {
    let mut all: Vec<&mut Difference> = columns.iter_mut().flat_map(|column| &mut column.slices).flat_map(|slice| &mut slice.treatments).collect();
    let adjusted = benjamini_yekutieli(&all.iter().map(|difference| difference.p_value).collect::<Vec<_>>());
    for (difference, adjusted) in all.iter_mut().zip(adjusted) {
        difference.adjusted_p_value = Some(adjusted);
        difference.marked = adjusted <= FALSE_DISCOVERY_RATE;
        let over_all = whole.and_then(|whole| whole.treatments.iter().find(|of| of.variant == difference.variant));
        difference.unlike_whole = over_all.is_some_and(|of| of.estimate * difference.estimate < 0.0);
    }
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Task;
    use rand::rngs::SmallRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};
    use serde_json::json;

    fn test(variants: usize) -> Test {
        let variants: Vec<_> = (0..variants).map(|place| json!({"name": format!("v{place}"), "weight": 50})).collect();
        let test = json!({"metadata": {"name": "t", "uid": "u"}, "spec": {"variants": variants,
            "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": 0.1},
            "design": {"method": "GroupSequential", "alpha": 0.05, "power": 0.8, "maximumUnitsPerVariant": 1000, "looks": 5}}});
        Test::parse("t", test.to_string().as_bytes()).unwrap()
    }

    /// Three calls of each user, with a habit of theirs; what a variant adds in the first of five carriers, and elsewhere.
    fn rows(test: &Test, seed: u64, units: u64, added: (f64, f64)) -> Rows {
        let (mut rng, mut all, mut calls) = (SmallRng::seed_from_u64(seed), Rows::of(test, Task::BinaryClassification), Vec::new());
        for unit in 0..units {
            let (variant, carrier, habit): (u8, u8, f64) = (rng.random_range(0..2), rng.random_range(0..5), rng.random());
            let (unit, more) = (unit * 2 + u64::from(variant), if carrier == 0 { added.0 } else { added.1 } * f64::from(variant));
            for _ in 0..3 {
                let row = Row {
                    unit,
                    metric: habit + rng.random::<f64>() + more,
                    variant,
                    bucket: u8::try_from(unit.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58).unwrap(),
                };
                calls.push((row, json!(carrier.to_string()), json!(rng.random::<f64>()), json!(habit < 0.3)));
            }
        }
        calls.shuffle(&mut rng);
        for (place, (row, carrier, distance, weekend)) in calls.into_iter().enumerate() {
            all.rows.push(row);
            for (name, value) in [("carrier", carrier), ("distance", distance), ("weekend", weekend)] {
                all.columns.entry(name.to_owned()).or_default().set(place, &value);
            }
        }
        all
    }

    fn marked(slices: &Slices) -> Vec<(&str, bool)> {
        let all = slices.columns.iter().flat_map(|column| &column.slices);
        all.flat_map(|slice| slice.treatments.iter().filter(|of| of.marked).map(|of| (slice.name.as_str(), of.better))).collect()
    }

    #[test]
    fn of_two_equal_variants_hardly_any_slice_is_marked() {
        let test = test(2);
        let wrong = (0..200).filter(|seed| !marked(&slices(&test, &rows(&test, *seed, 1_200, (0.0, 0.0)), 0)).is_empty()).count();
        // With five in a hundred allowed, more than 18 of 200 are as rare as one in a hundred.
        assert!(wrong <= 18, "{wrong} of 200");
    }

    #[test]
    fn a_slice_that_is_unlike_the_whole_is_found() {
        let test = test(2);
        let found = slices(&test, &rows(&test, 1, 4_000, (0.3, -0.2)), 12_000);
        let whole = &found.whole.as_ref().unwrap().treatments[0];
        assert!(whole.better && whole.adjusted_p_value.is_none() && !whole.marked && (whole.estimate + 0.1).abs() < 0.05, "{whole:?}");
        let carriers = &found.columns[0].slices;
        for slice in carriers {
            let (of, worse) = (&slice.treatments[0], slice.name == "0");
            assert!(of.marked && of.better != worse && of.unlike_whole == worse, "{slice:?}");
            assert!(of.lower < if worse { 0.3 } else { -0.2 } && of.upper > if worse { 0.3 } else { -0.2 }, "{slice:?}");
        }
        assert_eq!((found.comparisons, carriers.len(), found.predictions), (11, 5, 12_000));
    }

    #[test]
    fn the_order_of_predictions_makes_no_difference() {
        let test = test(2);
        let mut all = rows(&test, 2, 600, (0.1, 0.1));
        // As everything that is counted: whole 2^-32ths, whose sums are exact.
        all.rows.iter_mut().for_each(|row| row.metric = (row.metric * crate::tally::PARTS).round() / crate::tally::PARTS);
        let mut other = Rows::of(&test, Task::BinaryClassification);
        other.rows = all.rows.iter().rev().copied().collect();
        other.columns.clone_from(&all.columns);
        for column in other.columns.values_mut() {
            column.by_row.reverse();
            column.numbers.iter_mut().for_each(|numbers| numbers.reverse());
        }
        assert_eq!(slices(&test, &all, 1_800), slices(&test, &other, 1_800));
    }

    #[test]
    fn few_users_are_only_counted() {
        let three = test(3);
        let found = slices(&three, &rows(&three, 3, 700, (0.0, 0.0)), 2_100);
        let whole = found.whole.unwrap();
        assert_eq!((whole.variants.len(), whole.treatments.len()), (3, 1), "nobody has the third variant");
        assert!(whole.variants[2].units == 0 && whole.variants[2].mean.is_none());
        assert!(found.columns[0].slices.iter().all(|slice| slice.treatments.is_empty() && slice.variants[0].units > 50), "a fifth of 350 users");
        let none = slices(&three, &Rows::of(&three, Task::Regression), 5);
        assert_eq!((none.whole, none.columns, none.of_predictions, none.comparisons), (None, Vec::new(), 5, 0));
    }
}
