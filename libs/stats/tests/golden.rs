//! Every function against what scipy, statsmodels and gbstats answer: `golden/make.py` writes the cases.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails says so and ends")]

use std::collections::BTreeMap;

use plimsoll_stats as stats;
use plimsoll_stats::{Arm, Bucket, Detector, Effect, GroupSequential, Interval, Mixture, Moments, Pairs, Plan, Spending};
use serde_json::Value;

/// How many cases there are at least.
const ENOUGH: usize = 300;

#[test]
fn every_function_agrees_with_the_reference() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../golden/cases.json")).unwrap();
    assert!(cases.len() >= ENOUGH, "{} cases", cases.len());
    let (mut worst, mut wrong) = (BTreeMap::<&str, f64>::new(), Vec::new());
    for case in &cases {
        let (function, tolerance) = (case["function"].as_str().unwrap(), case["tolerance"].as_f64().unwrap());
        let (found, expected) = (answer(function, &case["given"]), numbers(&case["expected"]));
        assert_eq!(found.len(), expected.len(), "{case}");
        for (found, expected) in found.iter().zip(&expected) {
            let error = (found - expected).abs() / expected.abs().max(1.0);
            let entry = worst.entry(function).or_default();
            *entry = entry.max(error);
            if error.is_nan() || error > tolerance {
                wrong.push(format!("{function}: {found} instead of {expected}: {}", case["given"].to_string().chars().take(200).collect::<String>()));
            }
        }
    }
    println!("{} cases; the largest error of each function, relative above 1: {worst:?}", cases.len());
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
        "ratios" => {
            let effect = stats::ratios(pairs(&given["treatment"]), pairs(&given["control"])).unwrap();
            vec![effect.estimate, effect.standard_error]
        }
        "clustered" => {
            let effect = stats::clustered(&buckets(&given["treatment"]), &buckets(&given["control"]), 1_000).unwrap();
            vec![effect.estimate, effect.standard_error, effect.p_value()]
        }
        "adjusted" => {
            let effect = stats::adjusted(pairs(&given["treatment"]), pairs(&given["control"])).unwrap();
            vec![effect.estimate, effect.p_value()]
        }
        "mixture" => {
            let mixture = Mixture::tightest_at(number("tightest"), number("alpha")).unwrap();
            let effect = Effect::new(number("estimate"), number("standard_error").powi(2), f64::INFINITY, count("units")).unwrap();
            let interval = mixture.interval(&effect, number("alpha"));
            vec![mixture.rho(), interval.lower, interval.upper, mixture.ln_e_of(&effect)]
        }
        "mixture_one_sided" => {
            let (mixture, variance) = (Mixture::one_sided_tightest_at(100.0, number("alpha")).unwrap(), number("variance"));
            let e = |sum| mixture.ln_e_one_sided(sum, variance);
            vec![mixture.rho(), e(number("sum")), e(0.0), mixture.bound_one_sided(variance, number("alpha"))]
        }
        "msprt" => {
            let (units, difference, variance) = (number("units"), number("difference"), number("variance"));
            let mixture = Mixture::of_effects(number("tau"), variance).unwrap();
            vec![mixture.ln_e(difference * units / variance.sqrt(), units)]
        }
        "events" => vec![stats::ln_e_of_events(count("treatment"), count("control"), number("share")).unwrap()],
        "assignments" => vec![stats::ln_e_of_assignments(&counts(&given["units"]), &numbers(&given["planned"])).unwrap()],
        "group_sequential" => {
            let test = GroupSequential::new(&numbers(&given["times"]), number("alpha"), spending(&given["spending"])).unwrap();
            test.bounds.iter().copied().chain([0.0, 1.0, 2.8, 4.0].map(|drift| test.power(drift))).collect()
        }
        "plan" => {
            let variances = numbers(&given["variances"]);
            let plan = Plan { effect: number("effect"), variances: (variances[0], variances[1]), alpha: number("alpha"), power: number("power") };
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
            let mut detector = Detector::new(number("usual")).unwrap();
            for error in numbers(&given["errors"]) {
                detector.observe(error);
            }
            vec![detector.value().ln()]
        }
        unknown => panic!("nobody answers for {unknown}"),
    }
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
        [count, sum, squares] if *count >= 50.0 => Moments::of_sums(given[0].as_u64().unwrap(), *sum, *squares),
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
