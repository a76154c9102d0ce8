//! Every function against what scipy, statsmodels and gbstats answer: `golden/make.py` writes the cases.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that fails says so and ends"
)]

use std::collections::BTreeMap;

use plimsoll_stats as stats;
use plimsoll_stats::{Arm, Bucket, Buckets, Detector, Effect, GroupSequential, Interval, Mixture, Moments, Pairs, Plan, Spending, Sums};
use serde_json::Value;

/// How many cases there are at least.
const ENOUGH: usize = 300;

/// What must have cases.
const ALL: [&str; 24] = [
    "adjusted",
    "assignments",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "clustered",
    "confidence_sequence",
    "crossings",
    "detector",
    "distances",
    "e_benjamini_hochberg",
    "events",
    "group_sequential",
    "kolmogorov",
    "means",
    "mixture",
    "mixture_one_sided",
    "msprt",
    "newcombe",
    "noncentral",
    "plan",
    "psi",
    "ratios",
    "shares",
    "wilson",
];

#[test]
fn every_function_agrees_with_the_reference() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../golden/cases.json")).unwrap();
    assert!(cases.len() >= ENOUGH, "{} cases", cases.len());
    let (mut worst, mut wrong) = (BTreeMap::<&str, f64>::new(), Vec::new());
    for case in &cases {
        let (function, tolerance) = (case["function"].as_str().unwrap(), case["tolerance"].as_f64().unwrap());
        let floor = case["floor"].as_f64().unwrap();
        let (found, expected) = (answer(function, &case["given"]), numbers(&case["expected"]));
        assert_eq!(found.len(), expected.len(), "{case}");
        for (found, expected) in found.iter().zip(&expected) {
            let error = (found - expected).abs() / expected.abs().max(floor);
            let entry = worst.entry(function).or_default();
            *entry = entry.max(error);
            if error.is_nan() || error > tolerance {
                wrong.push(format!("{function}: {found} instead of {expected}: {}", case["given"].to_string().chars().take(200).collect::<String>()));
            }
        }
    }
    println!("{} cases; the largest relative error of each function: {worst:?}", cases.len());
    let functions: Vec<&str> = worst.keys().copied().collect();
    assert_eq!(functions, ALL, "the functions that have cases");
    assert!(wrong.is_empty(), "{} numbers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[expect(clippy::too_many_lines, reason = "a table: one entry for each function")]
fn answer(function: &str, given: &Value) -> Vec<f64> {
    let number = |key: &str| given[key].as_f64().unwrap_or_else(|| panic!("{key} of {given}"));
    let count = |key: &str| given[key].as_u64().unwrap_or_else(|| panic!("{key} of {given}"));
    let ends = |interval: Interval| vec![interval.lower, interval.upper];
    match function {
        "means" => {
            let effect = stats::means(moments(&given["treatment"]), moments(&given["control"])).unwrap();
            let interval = effect.interval(number("alpha")).unwrap();
            vec![effect.statistic(), effect.p_value(), effect.degrees, interval.lower, interval.upper]
        }
        "shares" => {
            let effect = stats::shares(share(&given["treatment"]), share(&given["control"])).unwrap();
            vec![effect.statistic(), effect.p_value()]
        }
        "ratios" => {
            let of_sums = given["sums"].as_array().unwrap().iter().map(|arm| Pairs::of_sums(&sums(arm)).unwrap()).collect::<Vec<_>>();
            let effect = stats::ratios(pairs(&given["treatment"]), pairs(&given["control"])).unwrap();
            let again = stats::ratios(of_sums[0], of_sums[1]).unwrap();
            assert!((effect.statistic() - again.statistic()).abs() < 1e-9 * effect.statistic().abs(), "sums say {again:?}, units {effect:?}");
            told(&effect)
        }
        "clustered" => {
            let (ours, theirs) = (buckets(&given["treatment"]), buckets(&given["control"]));
            told(&stats::clustered(Buckets { buckets: &ours, units: 1_000 }, Buckets { buckets: &theirs, units: 1_000 }).unwrap())
        }
        "adjusted" => {
            let effect = told(&stats::adjusted(pairs(&given["treatment"]), pairs(&given["control"])).unwrap());
            vec![effect[0], effect[2], effect[3], effect[4]]
        }
        "mixture" => {
            let mixture = Mixture::two_sided(number("tightest"), number("alpha")).unwrap();
            let effect = Effect::new(number("estimate"), number("standard_error").powi(2), f64::INFINITY, number("units")).unwrap();
            let interval = mixture.interval(&effect);
            vec![mixture.rho(), interval.lower, interval.upper, mixture.ln_e_of(&effect)]
        }
        "mixture_one_sided" => {
            let (mixture, variance) = (Mixture::one_sided(100.0, number("alpha")).unwrap(), number("variance"));
            let e = |sum| mixture.ln_e_one_sided(sum, variance);
            let bound = mixture.bound_one_sided(variance);
            // An effect whose sum is at the bound is just not excluded.
            let effect = Effect::new(bound / variance, 1.0 / variance, f64::INFINITY, variance).unwrap();
            assert!(mixture.lower(&effect).abs() < 1e-9 && (mixture.ln_e_above(&effect) - mixture.threshold()).abs() < 1e-9);
            assert!((mixture.upper(&effect) - 2.0 * effect.estimate).abs() < 1e-9);
            vec![mixture.rho(), e(number("sum")), e(0.0), bound]
        }
        "msprt" => {
            let (units, difference, variance) = (number("units"), number("difference"), number("variance"));
            let mixture = Mixture::of_effects(number("tau"), variance, 0.05).unwrap();
            vec![mixture.ln_e(difference * units / variance.sqrt(), units)]
        }
        "events" => vec![stats::ln_e_of_events(count("treatment"), count("control"), number("share")).unwrap()],
        "assignments" => vec![stats::ln_e_of_assignments(&counts(&given["units"]), &numbers(&given["planned"])).unwrap()],
        "group_sequential" => {
            let test = GroupSequential::new(&numbers(&given["times"]), number("alpha"), spending(&given["spending"])).unwrap();
            let powers = [0.0, 1.0, 2.8, 4.0].map(|drift| test.power(drift));
            test.bounds.iter().copied().chain(powers).chain([test.drift(0.8).unwrap()]).collect()
        }
        "crossings" => {
            let test = GroupSequential::new(&[0.5, 1.0], 0.05, Spending::Pocock).unwrap();
            let sides = test.crossings(number("drift")).into_iter().flat_map(|(lower, upper)| [lower, upper]);
            sides.chain([test.expected_information(number("drift"))]).collect()
        }
        "plan" => {
            let variances = numbers(&given["variances"]);
            let (effect, alpha, power) = (number("effect"), number("alpha"), number("power"));
            let plan = Plan { effect, variances: (variances[0], variances[1]), share: number("share"), alpha, power };
            let drift = stats::required_drift(alpha, power).unwrap();
            assert_eq!(plan.units_for(drift), plan.units());
            vec![plan.units().unwrap()]
        }
        "newcombe" => ends(stats::newcombe(share(&given["treatment"]), share(&given["control"]), number("alpha")).unwrap()),
        "wilson" => ends(stats::wilson(share(&given["share"]).0, share(&given["share"]).1, number("alpha")).unwrap()),
        "confidence_sequence" => ends(stats::confidence_sequence(count("events"), count("trials"), number("alpha"))),
        "benjamini_hochberg" => stats::benjamini_hochberg(&numbers(&given["p"])),
        "benjamini_yekutieli" => stats::benjamini_yekutieli(&numbers(&given["p"])),
        "e_benjamini_hochberg" => {
            stats::e_benjamini_hochberg(&numbers(&given["ln_e"]), number("alpha")).into_iter().map(|rejected| f64::from(u8::from(rejected))).collect()
        }
        "distances" => {
            let (places, one, other) = (numbers(&given["places"]), counts(&given["one"]), counts(&given["other"]));
            let distance = stats::kolmogorov_smirnov(&one, &other).unwrap();
            let p = stats::kolmogorov_p_value(distance, one.iter().sum(), other.iter().sum());
            vec![distance, p, stats::wasserstein(&places, &one, &other).unwrap(), stats::jensen_shannon(&one, &other).unwrap()]
        }
        "kolmogorov" => vec![stats::kolmogorov_p_value(number("distance"), count("one"), count("other"))],
        "noncentral" => vec![stats::noncentral_chi_squared_cdf(number("x"), number("degrees"), number("noncentrality"))],
        "psi" => {
            let psi = stats::psi_bounds(&Arm { reference: counts(&given["reference"]), traffic: counts(&given["traffic"]) }, number("alpha")).unwrap();
            vec![psi.value, psi.lower, psi.upper]
        }
        "detector" => {
            let mut detector = Detector::new(number("usual"), number("length")).unwrap();
            assert!(numbers(&given["errors"]).into_iter().all(|error| !detector.observe(error)));
            vec![detector.evidence().ln()]
        }
        unknown => panic!("nobody answers for {unknown}"),
    }
}

/// Estimate, standard error, p-value and 95 % interval.
fn told(effect: &Effect) -> Vec<f64> {
    let interval = effect.interval(0.05).unwrap();
    vec![effect.estimate, effect.standard_error, effect.p_value(), interval.lower, interval.upper]
}

fn sums(list: &Value) -> Sums {
    let numbers = numbers(list);
    Sums { count: list[0].as_f64().unwrap() as u64, y: numbers[1], x: numbers[2], y_squared: numbers[3], x_squared: numbers[4], products: numbers[5] }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn counts(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
}

fn share(list: &Value) -> (u64, u64) {
    (list[0].as_u64().unwrap(), list[1].as_u64().unwrap())
}

/// A sample, or its count, sum and sum of squares.
fn moments(given: &Value) -> Moments {
    match numbers(given).as_slice() {
        [count, sum, squares] if *count >= 50.0 => Moments::of_sums(given[0].as_u64().unwrap(), *sum, *squares).unwrap(),
        sample => sample.iter().copied().fold(Moments::default(), Moments::with),
    }
}

fn pairs(given: &Value) -> Pairs {
    let (y, x) = (numbers(&given[0]), numbers(&given[1]));
    y.iter().zip(x).fold(Pairs::default(), |pairs, (y, x)| pairs.with(*y, x))
}

fn buckets(given: &Value) -> Vec<Bucket> {
    given.as_array().unwrap().iter().map(|bucket| Bucket { sum: bucket[0].as_f64().unwrap(), calls: bucket[1].as_u64().unwrap() }).collect()
}

fn spending(name: &Value) -> Spending {
    match name.as_str().unwrap() {
        "OBrienFleming" => Spending::OBrienFleming,
        "Pocock" => Spending::Pocock,
        _ => Spending::Power(3.0),
    }
}
