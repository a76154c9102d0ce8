//! Pairs of a paired A/B test: whatever comes in whatever order, twice, late, wrongly or not at all, and whenever the evaluator is restarted or a
//! step fails, both variants have the same units and outcomes, each pair counts once, and what callers got is counted as if there were no test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use common::{arm, came_true, file, postgresql, predicted};
use plimsoll_evaluator::export::{DAY, export};
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::pair::{DELAY, key};
use plimsoll_evaluator::record::{Arm, Entry, Outcome, Prediction, Said};
use plimsoll_evaluator::serve::protocol;
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::state::{ArmState, State};
use plimsoll_evaluator::store::{Postgresql, Sqlite};
use plimsoll_evaluator::tally::{ByBucket, Tally};
use plimsoll_evaluator::writer::{Writer, now};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const MINUTE: i64 = 60_000;
const WINDOW: i64 = 30 * MINUTE;
const T: i64 = 500_000 * WINDOW;
const CALLS: u32 = 6_000;
const TASK: Task = Task::BinaryClassification;

fn of_unit(mut entry: Entry, unit: u64) -> Entry {
    if let Said::Predicted(_, prediction) = &mut entry.said {
        prediction.unit = Some(unit);
    }
    entry
}

/// The treatment's answer to the same call.
fn shadow(id: &str, time: i64, unit: u64, value: f64) -> Entry {
    let treatment = Arc::new(Arm { revision: "r2".into(), variant: "t.treatment".into() });
    let Entry { said: Said::Predicted(time, prediction), .. } = of_unit(predicted(id, time, &treatment, value), unit) else { unreachable!() };
    Entry { id: key(id), said: Said::Shadowed(time, prediction, "t.control".into()) }
}

/// Everything that is said, with the time at which it arrives.
fn said(rng: &mut SmallRng) -> Vec<(i64, Entry)> {
    let mut said = Vec::new();
    for number in 0..CALLS {
        let (id, time, unit) = (format!("{number:06}/0"), T + i64::from(number) * 1_000, rng.random_range(0..900_u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (ours, theirs): (f64, f64) = (rng.random(), rng.random());
        let delay = |rng: &mut SmallRng| if rng.random_bool(0.01) { WINDOW + rng.random_range(-2..4) * MINUTE } else { rng.random_range(0..5 * MINUTE) };
        if !rng.random_bool(0.03) {
            let answered = of_unit(predicted(&id, time, &arm("r1"), ours), if rng.random_bool(0.01) { 7 } else { unit });
            said.push((time + delay(rng), answered.clone()));
            if rng.random_bool(0.03) {
                said.push((time + rng.random_range(0..2 * WINDOW), answered));
            }
            if rng.random_bool(0.02) {
                said.push((time + rng.random_range(0..2 * WINDOW), of_unit(predicted(&id, time, &arm("r1"), ours / 2.0), unit)));
            }
        }
        if !rng.random_bool(0.05) {
            // Clocks that differ more and less than they may.
            let made = time + if rng.random_bool(0.03) { rng.random_range(-2 * DELAY..2 * DELAY) } else { rng.random_range(-50..200) };
            said.push((made.max(time) + delay(rng), shadow(&id, made, unit, theirs)));
            if rng.random_bool(0.03) {
                said.push((made + rng.random_range(0..2 * WINDOW), shadow(&id, made, unit, theirs)));
            }
            if rng.random_bool(0.02) {
                said.push((made + rng.random_range(0..2 * WINDOW), shadow(&id, made, unit, theirs / 2.0)));
            }
        }
        let truth = f64::from(u8::from(rng.random_bool(ours)));
        if rng.random_bool(0.9) {
            said.push((time + rng.random_range(-MINUTE..WINDOW + 5 * MINUTE), came_true(&id, truth)));
        }
        if rng.random_bool(0.03) {
            said.push((time + rng.random_range(0..2 * WINDOW), came_true(&id, 1.0 - truth)));
        }
    }
    for (arrived, _) in &mut said {
        *arrived -= arrived.rem_euclid(2_000);
    }
    said.sort_by_key(|(arrived, _)| *arrived);
    said
}

/// One of the two answers, by all that was said about it.
#[derive(Clone, Default)]
struct Answer {
    /// Arrived, made, and what.
    said: Vec<(i64, i64, Prediction)>,
}

impl Answer {
    /// When it was made and what it was, if it came while the window was open; and whether something else came meanwhile.
    fn in_time(&self, later: i64) -> Option<(i64, &Prediction, bool)> {
        let (arrived, made, first) = self.said.first()?;
        let is_open = |arrived: i64| arrived < made + later + WINDOW;
        let contradicted = self.said.iter().any(|(arrived, _, other)| other.value.to_bits() != first.value.to_bits() && is_open(*arrived));
        is_open(*arrived).then_some((*made, first, contradicted))
    }
}

/// What a variant has, anew from everything that was said.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    predictions: u64,
    units: usize,
    labelled: usize,
    total: Tally,
    buckets: ByBucket,
}

impl Counted {
    fn of(state: &ArmState) -> Self {
        let [units, labelled] = [state.units, state.labelled_units].map(|count| usize::try_from(count).unwrap());
        Self { predictions: state.predictions, units, labelled, total: state.total.clone(), buckets: state.buckets.clone() }
    }
}

fn naive(said: &[(i64, Entry)]) -> [Counted; 2] {
    let (mut answers, mut outcomes) = (BTreeMap::<(String, bool), Answer>::new(), BTreeMap::<String, Vec<(i64, f64)>>::new());
    for (arrived, entry) in said {
        match &entry.said {
            Said::Predicted(made, prediction) => answers.entry((entry.id.clone(), false)).or_default().said.push((*arrived, *made, prediction.clone())),
            Said::Shadowed(made, prediction, _) => {
                answers.entry((entry.id[1..].to_owned(), true)).or_default().said.push((*arrived, *made, prediction.clone()))
            }
            Said::CameTrue(value) => outcomes.entry(entry.id.clone()).or_default().push((*arrived, *value)),
        }
    }
    let (mut counted, mut units, mut labelled) = ([Counted::default(), Counted::default()], HashSet::new(), HashSet::new());
    for ((id, is_shadow), theirs) in &answers {
        let Some(ours) = answers.get(&(id.clone(), false)).filter(|_| *is_shadow) else { continue };
        let Some((ours, theirs)) = ours.in_time(0).zip(theirs.in_time(DELAY)) else { continue };
        if ours.1.unit != theirs.1.unit || ours.0 > theirs.0 + DELAY || ours.0 <= theirs.0 - DELAY {
            continue;
        }
        let told: Vec<f64> = outcomes.get(id).into_iter().flatten().filter(|(arrived, _)| *arrived < ours.0 + WINDOW).map(|(_, value)| *value).collect();
        let contradicted = ours.2 || theirs.2 || told.iter().any(|value| value.to_bits() != told[0].to_bits());
        let (unit, outcome) = (theirs.1.unit.unwrap(), told.first().map(|value| Outcome { value: *value, at: 0 }));
        units.insert(unit);
        for (counted, prediction) in counted.iter_mut().zip([ours.1, theirs.1]) {
            counted.predictions += 1;
            if contradicted {
                counted.total.contradicted += 1;
                continue;
            }
            counted.total.add(prediction, outcome, TASK);
            if let Some(outcome) = outcome {
                counted.buckets.add(prediction, theirs.0, outcome.value, TASK);
                labelled.insert(unit);
            }
        }
    }
    counted.map(|counted| Counted { units: units.len(), labelled: labelled.len(), ..counted })
}

/// Says everything in the order of arrival; in the same moment in any order. `disturb` is asked before each step.
fn told(said: &[(i64, Entry)], open: &dyn Fn() -> Ledger, disturb: &mut dyn FnMut(&mut Option<Ledger>, i64)) -> Ledger {
    let (mut ledger, mut rest, mut rng) = (Some(open()), said, SmallRng::seed_from_u64(3));
    while let Some((now, _)) = rest.first() {
        let (call, others) = rest.split_at(rest.iter().take_while(|(arrived, _)| arrived == now).count());
        let mut entries: Vec<Entry> = call.iter().map(|(_, entry)| entry.clone()).collect();
        entries.shuffle(&mut rng);
        disturb(&mut ledger, *now);
        ledger.get_or_insert_with(open).step(*now, &[entries]).unwrap();
        rest = others;
    }
    let mut ledger = ledger.unwrap();
    let end = said.last().unwrap().0 + 2 * WINDOW;
    while ledger.step(end, &[]).unwrap().behind {}
    ledger
}

fn state_of<'a>(state: &'a State, revision: &str, variant: &str) -> (usize, &'a ArmState) {
    let place = state.arms.iter().position(|(arm, _)| arm.revision == revision && arm.variant == variant).unwrap();
    (place, &state.arms[place].1)
}

fn check(state: &State, expected: &[Counted; 2], alone: &State, spans_are_kept: bool) {
    let arms = [("r1", "t.control"), ("r2", "t.treatment")].map(|(revision, variant)| state_of(state, revision, variant));
    for ((_, counted), expected) in arms.iter().zip(expected) {
        assert_eq!(&Counted::of(counted), expected);
    }
    // Both variants have a history of the same spans and as many predictions in each.
    let spans = arms.map(|(place, _)| {
        let cells = state.cells.range((place, i64::MIN)..=(place, i64::MAX));
        cells.map(|((_, start), tally)| (*start, tally.mature, tally.losses.count, tally.contradicted)).collect::<BTreeSet<_>>()
    });
    assert!(spans[0] == spans[1] && (spans[0].len() > 10) == spans_are_kept, "{spans:?}");
    assert_eq!(state_of(state, "r1", "").1.total, state_of(alone, "r1", "").1.total, "what callers got is counted as if there were no test");
    assert_eq!(alone.arms.len(), 1);
}

#[test]
fn each_pair_counts_once_in_both_variants_or_in_none() {
    let all = said(&mut SmallRng::seed_from_u64(11));
    let expected = naive(&all);
    let [control, treatment] = &expected;
    assert!(control.total.mature > 5_000 && control.total.missing > 500 && control.total.contradicted > 100, "{control:?}");
    assert!(control.labelled < control.units && control.total != treatment.total, "{} {}", control.labelled, control.units);
    // What is asked here is what is counted, not whether a disk keeps it.
    let memory = if std::path::Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" };
    let folders = [(); 4].map(|()| tempfile::tempdir_in(memory).unwrap());
    let settings = Settings::new(TASK, WINDOW, 20 * WINDOW);
    let opened = |place: usize, settings| Ledger::open(Box::new(Sqlite::open(&file(&folders[place])).unwrap()), settings).unwrap();
    let open = |place: usize| opened(place, settings);
    let quiet = &mut |_: &mut Option<Ledger>, _| {};

    let answers: Vec<(i64, Entry)> = all.iter().filter(|(_, entry)| !matches!(entry.said, Said::Shadowed(..))).cloned().collect();
    let alone = told(&answers, &|| open(0), quiet).state().clone();
    // Kept no longer than the window asks for: an answer is still there when its shadow's window closes.
    check(told(&all, &|| opened(1, Settings::new(TASK, WINDOW, WINDOW)), quiet).state(), &expected, &alone, false);

    let mut rng = SmallRng::seed_from_u64(5);
    let mut restarted = |ledger: &mut Option<Ledger>, _| {
        if rng.random_bool(0.01) {
            *ledger = None;
        }
    };
    check(told(&all, &|| open(2), &mut restarted).state(), &expected, &alone, true);

    // The disk fails between what is counted and what is written of it.
    let mut rng = SmallRng::seed_from_u64(6);
    let mut failures = 0;
    let mut failing = |ledger: &mut Option<Ledger>, now: i64| {
        if rng.random_bool(0.01) {
            let broken = rusqlite::Connection::open(file(&folders[3])).unwrap();
            let table = ["arms", "cells", "units"][rng.random_range(0..3)];
            broken.execute_batch(&format!("CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'broken'); END")).unwrap();
            failures += u32::from(ledger.as_mut().unwrap().step(now, &[]).is_err());
            broken.execute_batch("DROP TRIGGER broken").unwrap();
        }
    };
    check(told(&all, &|| open(3), &mut failing).state(), &expected, &alone, true);
    assert!(failures > 10, "{failures}");

    if let Some(server) = postgresql() {
        let open = || Ledger::open(Box::new(Postgresql::open(&server.url(), "pairs").unwrap()), settings).unwrap();
        check(told(&all, &open, quiet).state(), &expected, &alone, true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_shown_beside_what_the_caller_got_and_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(TASK, 10_000, 20 * DAY);
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings).unwrap();
    let made = now() - 3 * MINUTE;
    ledger.step(made, &[]).unwrap();
    let answered = of_unit(predicted("a/0", made, &arm("r1"), 0.25), 1);
    let both = vec![answered, shadow("a/0", made, 1, 0.75), shadow("a/0", made, 1, 0.5), came_true("a/0", 1.0), shadow("b/0", made, 1, 0.75)];
    ledger.step(made + 1, &[both]).unwrap();
    ledger.step(now(), &[]).unwrap();
    assert_eq!(ledger.state().counts.unpaired, 1);
    let day = made.div_euclid(DAY) * DAY;
    let days = [day, day + DAY].map(|day| export(&mut *ledger.reader().unwrap(), day, |_, _| Ok(())).unwrap());
    assert_eq!(days.iter().sum::<usize>(), 1);
    let (writer, _) = Writer::start(ledger, plimsoll_serving::Readiness::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/records", listener.local_addr().unwrap());
    let rest = protocol(Served { writer, task: TASK }).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, rest).await });
    let get = |path: &'static str| {
        let url = format!("{url}{path}");
        async move { reqwest::get(url).await.unwrap().json::<Value>().await.unwrap() }
    };
    let found = get("/a/0").await;
    assert_eq!((&found["prediction"]["value"], &found["outcome"]["value"], &found["unusual"]), (&json!(0.25), &json!(1.0), &json!([])));
    let shown = &found["shadow"];
    assert_eq!(
        (&shown["prediction"]["value"], &shown["prediction"]["variant"], &shown["prediction"]["timeUnixMs"]),
        (&json!(0.75), &json!("t.treatment"), &json!(made))
    );
    assert_eq!(shown["unusual"], json!(["contradicted"]));
    assert!(get("/b/0").await["shadow"]["prediction"].is_object());
    assert_eq!(get("?unusual=contradicted").await["records"], json!([]), "nobody got it");
    assert!(get("/%01a/0").await["error"].as_str().unwrap().contains("no control characters"));
}
