//! How often each test is wrong when it is looked at every minute of a day, and how often it is right.
//!
//! `cargo test` runs a small version that only finds gross mistakes; `make simulate` runs 10,000 tests of each cell and prints the table of the docs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions, reason = "a test that fails says so and ends")]

mod cell;
mod day;

use std::collections::BTreeMap;
use std::time::Instant;

use cell::Cell;
use day::{Method, run};
use statrs::distribution::{Binomial, DiscreteCDF};

/// Runs of each cell where nobody says otherwise.
const RUNS: u64 = 100;
/// Runs of each cell for the table.
const RUNS_OF_THE_CLAIM: u64 = 10_000;
/// The chance of error that tests are made for.
pub const ALPHA: f64 = 0.05;
/// The chance of error of the sample-ratio check.
pub const RATIO_ALPHA: f64 = 0.001;
/// A rate is significantly above its alpha when so few runs in a hundred would show it by chance.
const SIGNIFICANT: f64 = 0.01;
/// Group-sequential power may be so much lower than that of a test with one look.
const POWER_LOST: f64 = 0.03;

#[test]
fn no_test_is_wrong_more_often_than_it_says() {
    let (runs, start) = (runs(), Instant::now());
    println!("{runs} runs of 1,440 looks each; share of runs that ever reject, alpha {ALPHA} (sample ratio {RATIO_ALPHA})\n");
    println!("| no difference between the variants | {} |", Method::ALL.map(Method::name).join(" | "));
    println!("|---|{}", "---|".repeat(Method::ALL.len()));
    let mut wrong = Vec::new();
    for cell in Cell::without_effect().into_iter().filter(wanted) {
        let rejected = tally(&cell, runs);
        println!("| {} | {} |", cell.name, line(&rejected, runs));
        for (method, count) in &rejected {
            let alpha = if *method == Method::SampleRatio { RATIO_ALPHA } else { ALPHA };
            if method.promises() && is_above(*count, runs, alpha) {
                wrong.push(format!("{}: {} rejects {count} of {runs}", cell.name, method.name()));
            }
        }
    }
    println!("\n{} s", start.elapsed().as_secs());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn few_looks_cost_little_power() {
    let runs = runs();
    println!("| an effect that one look finds in 80 % | {} |", Method::ALL.map(Method::name).join(" | "));
    for cell in Cell::with_effect().into_iter().filter(wanted) {
        let found = tally(&cell, runs);
        println!("| {} | {} |", cell.name, line(&found, runs));
        let share = |method| found[&method] as f64 / runs as f64;
        // Three standard errors of a difference of shares near 80 %; with 10,000 runs the claim is checked as it stands.
        let noise = if runs < RUNS_OF_THE_CLAIM { 3.0 * (2.0 * 0.8 * 0.2 / runs as f64).sqrt() } else { 0.0 };
        assert!(share(Method::GroupSequential) > share(Method::OneLook) - POWER_LOST - noise, "{}", cell.name);
    }
}

fn runs() -> u64 {
    std::env::var("PLIMSOLL_RUNS").map_or(RUNS, |runs| runs.parse().unwrap())
}

/// `PLIMSOLL_CELL` picks cells by a part of their names.
fn wanted(cell: &Cell) -> bool {
    std::env::var("PLIMSOLL_CELL").map_or(true, |part| cell.name.contains(&part))
}

/// How many of the runs ever reject, by method; on every core.
fn tally(cell: &Cell, runs: u64) -> BTreeMap<Method, u64> {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut all = BTreeMap::new();
    std::thread::scope(|scope| {
        let work = |worker: u64| move || (worker..runs).step_by(workers as usize).map(|seed| run(cell, seed)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(work(worker))).collect();
        for rejected in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            for (method, yes) in rejected {
                *all.entry(method).or_default() += u64::from(yes);
            }
        }
    });
    all
}

fn line(rejected: &BTreeMap<Method, u64>, runs: u64) -> String {
    let cell = |method: Method| rejected.get(&method).map_or_else(|| "-".to_owned(), |count| format!("{:.4}", *count as f64 / runs as f64));
    Method::ALL.map(cell).join(" | ")
}

/// Whether so many rejections would be a surprise at `alpha`: the one-sided 99 % Clopper-Pearson bound of the observed rate is above alpha.
fn is_above(count: u64, runs: u64, alpha: f64) -> bool {
    count > 0 && Binomial::new(alpha, runs).unwrap().sf(count - 1) < SIGNIFICANT
}
