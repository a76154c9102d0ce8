//! Users with many calls each, from the assignment to the p-value, in virtual time: two variants that are the same differ significantly
//! in one test of twenty, and not in nearly half of them as calls that are taken for independent do.
//!
//! `PLIMSOLL_RUNS` runs; 300 by themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{came_true, file, predicted, variant};
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Entry, Said, unit};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::Sqlite;
use plimsoll_evaluator::tally::{ByBucket, Losses};
use plimsoll_router::assign::assign;
use plimsoll_stats::{Bucket, Buckets, Moments, clustered, means};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Distribution, Exp1};
use statrs::distribution::{Beta as BetaCdf, ContinuousCDF};

const MINUTE: i64 = 60_000;
const T: i64 = 30_000_000 * MINUTE;
const USERS: u32 = 400;
/// Of each user, on average.
const CALLS: f64 = 20.0;
const ALPHA: f64 = 0.05;

/// A day of users: each has a habit of being right or wrong, and makes calls at any time; outcomes come within the hour, or an hour too late.
fn day(rng: &mut SmallRng, run: u32) -> Vec<(i64, Entry)> {
    let habits = Beta::new(1.6, 3.8).unwrap();
    let (control, treatment) = (variant("control"), variant("treatment"));
    let mut said = Vec::new();
    for user in 0..USERS {
        let name = format!("user-{run}-{user}");
        let chosen = assign(&format!("test-{run}"), name.as_bytes(), [("control", 5_000), ("treatment", 5_000)].into_iter()).unwrap();
        let habit: f64 = habits.sample(rng);
        let scale: f64 = Exp1.sample(rng);
        let mut calls = scale * CALLS;
        let mut number = 0;
        while rng.random_bool(calls.clamp(0.0, 1.0)) {
            calls -= 1.0;
            let (id, time) = (format!("{name}/{number}"), T + rng.random_range(0..1_440) * MINUTE);
            let mut entry = predicted(&id, time, [&control, &treatment][chosen], 0.2);
            if let Said::Predicted(_, prediction) = &mut entry.said {
                prediction.unit = unit(&name);
            }
            said.push((time, entry));
            let delay = if rng.random_bool(0.95) { rng.random_range(0..60) } else { 90 };
            said.push((time + delay * MINUTE, came_true(&id, f64::from(u8::from(rng.random_bool(habit))))));
            number += 1;
        }
    }
    said.sort_by_key(|(time, _)| *time);
    said
}

/// What both arms' buckets and calls say: p-values.
fn judged(said: &[(i64, Entry)]) -> (f64, f64) {
    // Memory is a disk, too: nothing here is about crashes.
    let folder = tempfile::tempdir_in(if std::path::Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" }).unwrap();
    let settings = Settings::new(Task::BinaryClassification, 60 * MINUTE, 10_000 * MINUTE);
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings).unwrap();
    for call in said.chunk_by(|a, b| a.0 / (10 * MINUTE) == b.0 / (10 * MINUTE)) {
        ledger.step(call.last().unwrap().0, &[call.iter().map(|(_, entry)| entry.clone()).collect()]).unwrap();
    }
    while ledger.step(T + 3_000 * MINUTE, &[]).unwrap().behind {}
    let arms: BTreeMap<&str, _> = ledger.state().arms.iter().map(|(arm, counted)| (arm.variant.as_str(), counted)).collect();
    let (control, treatment) = (arms["control"], arms["treatment"]);
    let (ours, theirs) = (buckets(&treatment.buckets), buckets(&control.buckets));
    let by_user = clustered(Buckets { buckets: &ours, units: treatment.labelled_units }, Buckets { buckets: &theirs, units: control.labelled_units }).unwrap();
    let calls = |losses: &Losses| {
        // Two losses only: of a 0 and of a 1.
        let positives = losses.squared.value() / 0.6 - f64::from(u32::try_from(losses.count).unwrap()) * 0.04 / 0.6;
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Moments::of_events(positives.round() as u64, losses.count)
    };
    (by_user.p_value(), means(calls(&treatment.total.losses), calls(&control.total.losses)).unwrap().p_value())
}

fn buckets(of: &ByBucket) -> Vec<Bucket> {
    of.all().iter().map(|sums| Bucket { sum: sums.losses.squared.value(), calls: sums.losses.count }).collect()
}

#[test]
fn two_equal_variants_differ_in_one_test_of_twenty() {
    let runs: u32 = std::env::var("PLIMSOLL_RUNS").map_or(300, |runs| runs.parse().unwrap());
    let (next, by_user, by_call) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        return;
                    }
                    let (users, calls) = judged(&day(&mut SmallRng::seed_from_u64(u64::from(run)), run));
                    by_user.fetch_add(u32::from(users <= ALPHA), Ordering::Relaxed);
                    by_call.fetch_add(u32::from(calls <= ALPHA), Ordering::Relaxed);
                }
            });
        }
    });
    let (by_user, by_call) = (by_user.into_inner(), by_call.into_inner());
    let (share, lower) = (f64::from(by_user) / f64::from(runs), lower_bound(by_user, runs));
    println!(
        "{runs} tests of a variant against itself, {USERS} users with {CALLS} calls each: by user {share:.4} (99 % lower bound {lower:.4}), by call {:.4}",
        f64::from(by_call) / f64::from(runs)
    );
    assert!(lower <= ALPHA, "{by_user} of {runs} tests found a difference where there is none");
    assert!(f64::from(by_call) > 0.3 * f64::from(runs), "users' calls are not alike enough for this test to mean anything: {by_call} of {runs}");
}

/// One-sided 99 % lower bound of a share (Clopper and Pearson, 1934).
fn lower_bound(events: u32, trials: u32) -> f64 {
    if events == 0 { 0.0 } else { BetaCdf::new(f64::from(events), f64::from(trials - events) + 1.0).unwrap().inverse_cdf(0.01) }
}
