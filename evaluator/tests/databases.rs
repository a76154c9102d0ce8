//! The same story on SQLite and on a real PostgreSQL: what is joined, counted, kept and forgotten.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::sync::Arc;

use common::{arm, came_true, file, postgresql, predicted, variant};
use plimsoll_evaluator::Error;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Arm, Entry, Flags, Said};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::state::Fates;
use plimsoll_evaluator::store::{Handed, Postgresql, Query, Sqlite, Store};

const HOUR: i64 = 3_600_000;
/// Begin of the story.
const T: i64 = 1_000 * HOUR;

fn settings() -> Settings {
    Settings::new(Task::BinaryClassification, HOUR, 24 * HOUR)
}

/// Steps until nothing is left to do at once.
fn settle(ledger: &mut Ledger, now: i64, calls: &[Vec<Entry>]) -> Vec<Fates> {
    let mut step = ledger.step(now, calls).unwrap();
    let receipts = std::mem::take(&mut step.receipts);
    while step.behind {
        step = ledger.step(now, &[]).unwrap();
    }
    receipts
}

/// This was predicted for a unit.
fn met(id: &str, time: i64, arm: &Arc<Arm>, unit: Option<u64>) -> Entry {
    let mut entry = predicted(id, time, arm, 0.5);
    if let Said::Predicted(_, prediction) = &mut entry.said {
        prediction.unit = unit;
    }
    entry
}

/// Runs a story on both databases. It gets a way to open the database once more.
fn on_both(name: &str, story: impl Fn(&dyn Fn() -> Result<Box<dyn Store>, Error>)) {
    let folder = tempfile::tempdir().unwrap();
    story(&|| Ok(Box::new(Sqlite::open(&file(&folder))?)));
    if let Some(server) = postgresql() {
        story(&|| Ok(Box::new(Postgresql::open(&server.url(), name)?)));
    }
}

/// PostgreSQL notices the end of a connection a moment later.
fn opened_soon(open: &dyn Fn() -> Result<Box<dyn Store>, Error>) -> Box<dyn Store> {
    let begun = std::time::Instant::now();
    loop {
        match open() {
            Ok(store) => return store,
            Err(error) => assert!(begun.elapsed().as_secs() < 10, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_prediction_counts_once_when_its_window_has_closed() {
    on_both("counts", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        let r1 = arm("r1");
        let receipts = settle(
            &mut ledger,
            T + 10,
            &[
                vec![predicted("a/0", T, &r1, 0.9), predicted("a/1", T, &r1, 0.2), predicted("a/2", T, &r1, 0.6)],
                vec![came_true("early", 1.0), came_true("a/0", 1.0)],
            ],
        );
        assert_eq!(receipts, [Fates { stored: 3, ..Fates::default() }, Fates { stored: 1, early: 1, ..Fates::default() }]);
        settle(&mut ledger, T + 20, &[vec![came_true("a/1", 1.0), came_true("a/1", 0.0), came_true("a/0", 1.0)]]);
        assert_eq!(ledger.state().arms[0].1.total.mature, 0, "the window is open");
        settle(&mut ledger, T + HOUR + 2_000, &[]);
        let total = &ledger.state().arms[0].1.total;
        assert_eq!((total.mature, total.missing, total.contradicted, total.losses.count), (2, 1, 1, 1));
        assert!((total.losses.log_loss.value() + 0.9_f64.ln()).abs() < 1e-9);
        assert_eq!(ledger.state().counts.unknown, 1);
        // Later words change nothing that was counted.
        let counted = total.clone();
        let receipts = settle(&mut ledger, T + HOUR + 3_000, &[vec![came_true("a/2", 1.0), came_true("a/0", 0.0), predicted("b/0", T, &r1, 0.5)]]);
        assert_eq!(receipts, [Fates { late: 2, contradictory: 1, ..Fates::default() }]);
        settle(&mut ledger, T + 2 * HOUR, &[]);
        assert_eq!(ledger.state().arms[0].1.total, counted);
        // Who starts anew knows the same.
        let before = ledger.state().clone();
        drop(ledger);
        let mut ledger = Ledger::open(opened_soon(open), settings()).unwrap();
        assert_eq!(ledger.state(), &before);
        let ids = |ledger: &mut Ledger, flags| {
            let mut ids: Vec<_> = ledger.query(&Query::Unusual(flags, 10)).unwrap().into_iter().map(|(id, _)| id).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&mut ledger, Flags::CONTRADICTED), ["a/1"]);
        assert_eq!(ids(&mut ledger, Flags::CONTRADICTED_LATE), ["a/0"]);
        assert_eq!(ids(&mut ledger, Flags::OUTCOME_LATE), ["a/2"]);
        assert_eq!(ids(&mut ledger, Flags::PREDICTION_LATE), ["b/0"]);
        assert_eq!(ids(&mut ledger, Flags::UNKNOWN), ["early"]);
    });
}

#[test]
fn an_outcome_may_come_before_its_prediction() {
    on_both("early", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[vec![came_true("a/0", 0.0)]]);
        let mut entry = predicted("a/0", T - 5, &arm("r1"), 0.25);
        if let Said::Predicted(_, prediction) = &mut entry.said {
            (prediction.features, prediction.unit, prediction.weight) = (r#"{"hour":7}"#.into(), Some(u64::MAX), 4.0);
        }
        settle(&mut ledger, T + 1, std::slice::from_ref(&vec![entry.clone()]));
        let found = ledger.query(&Query::Id("a/0".into())).unwrap();
        let (_, record) = &found[0];
        let Said::Predicted(time, prediction) = entry.said else { unreachable!() };
        assert_eq!(
            (record.time, record.prediction.as_ref(), record.outcome.map(|outcome| outcome.value), record.flags),
            (time, Some(&prediction), Some(0.0), Flags::default())
        );
        settle(&mut ledger, T + HOUR + 5_000, &[]);
        assert_eq!((ledger.state().arms[0].1.total.losses.count, ledger.state().counts.unknown), (1, 0));
    });
}

#[test]
fn units_of_an_experiment_are_counted_once() {
    on_both("units", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        let said = |id: String, arm, unit| met(&id, T, &arm, Some(unit));
        for round in 0..3 {
            let entries =
                (0..100_u64).map(|unit| said(format!("{round}/{unit}"), variant(if unit % 4 == 0 { "treatment" } else { "control" }), unit)).collect();
            settle(&mut ledger, T + round, &[entries]);
        }
        // Another revision answers for one of the variants: that is another arm.
        let moved = Arc::new(Arm { revision: "r2".into(), variant: "treatment".into() });
        settle(&mut ledger, T + 5, &[(0..50_u64).step_by(4).map(|unit| said(format!("moved/{unit}"), Arc::clone(&moved), unit)).collect()]);
        settle(&mut ledger, T + 10, &[(0..50).map(|unit| came_true(&format!("1/{unit}"), 1.0)).collect()]);
        settle(&mut ledger, T + HOUR + 5_000, &[]);
        let mut found: Vec<_> =
            ledger.state().arms.iter().map(|(arm, counted)| (arm.variant.as_str(), counted.predictions, counted.units, counted.labelled_units)).collect();
        found.sort_unstable();
        assert_eq!(found, [("control", 225, 75, 37), ("treatment", 13, 13, 0), ("treatment", 75, 25, 13)]);
        let in_buckets: u64 = ledger.state().arms.iter().flat_map(|(_, counted)| counted.buckets.0.values()).map(|sums| sums.losses.count).sum();
        assert_eq!(in_buckets, 50);
    });
}

#[test]
fn users_outside_of_tests_are_counted_when_their_outcome_is_known() {
    on_both("users", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        let said = |id: String, arm, unit| met(&id, T + 7, &arm, unit);
        let hash = |user: u64| plimsoll_evaluator::record::unit(&user.to_string());
        let twice = (0..200_u64).map(|call| said(format!("{call}"), arm("r1"), hash(call % 100)));
        let others = [said("nobody".into(), arm("r1"), None), said("tested".into(), variant("control"), hash(500))];
        settle(&mut ledger, T + 10, &[twice.chain(others).collect()]);
        let known = (0..150).map(|call| came_true(&format!("{call}"), 1.0)).chain(["nobody", "tested"].map(|id| came_true(id, 1.0)));
        settle(&mut ledger, T + 20, &[known.collect()]);
        settle(&mut ledger, T + HOUR + 5_000, &[]);
        let counted = |ledger: &Ledger| ledger.state().arms.iter().map(|(_, counted)| counted.users.clone()).collect::<Vec<_>>();
        let users = counted(&ledger);
        assert_eq!((users[0].calls, users[0].since, users[1].calls, users[1].count()), (150, T + 7, 0, 0));
        assert!((90..=110).contains(&users[0].count()), "{}", users[0].count());
        drop(ledger);
        let again = Ledger::open(opened_soon(open), settings()).unwrap();
        assert_eq!(counted(&again), users);
    });
}

#[test]
fn what_is_old_is_forgotten_and_what_was_counted_stays() {
    on_both("forget", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        for hour in 0..40 {
            settle(&mut ledger, T + hour * HOUR + 1, &[vec![predicted(&format!("{hour}"), T + hour * HOUR, &arm("r1"), 0.5)]]);
        }
        settle(&mut ledger, T + 40 * HOUR, &[]);
        let state = ledger.state();
        assert_eq!((state.counts.forgotten, state.arms[0].1.total.mature), (17, 40), "kept for 24 hours");
        assert!(state.cells.len() <= 25, "the history is as long: {}", state.cells.len());
        assert!(ledger.query(&Query::Id("3".into())).unwrap().is_empty() && !ledger.query(&Query::Id("30".into())).unwrap().is_empty());
    });
}

#[test]
fn two_evaluators_on_one_database_are_refused() {
    on_both("taken", |open| {
        let first = open().unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("another evaluator uses this database"), "{error}");
        drop(first);
        drop(opened_soon(open));
    });
}

#[test]
fn tables_of_another_version_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(file(&folder)).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = Sqlite::open(&file(&folder)).err().unwrap().to_string();
    assert!(error.contains("tables of version 99, and this program knows version 1"), "{error}");
}

#[test]
fn reports_stay_and_the_oldest_of_too_many_is_forgotten() {
    let handed = |name: &str, at, verdict: &str| Handed { name: name.into(), at, verdict: verdict.into(), body: format!("{{\"of\": \"{name}\u{2013}{at}\"}}") };
    on_both("reports", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        for test in 0..100 {
            ledger.keep(&handed(&format!("test-{test:03}"), T + test, "")).unwrap();
        }
        // What is said again is the newest, also by a clock that went back.
        ledger.keep(&handed("test-000", T - HOUR, "Winner")).unwrap();
        ledger.keep(&handed("one-more", T - HOUR, "")).unwrap();
        drop(ledger);
        let mut ledger = Ledger::open(opened_soon(open), settings()).unwrap();
        let listed = ledger.reports().unwrap();
        let names: Vec<_> = listed.iter().map(|report| report.name.as_str()).collect();
        assert_eq!((names.len(), &names[..3]), (100, &["one-more", "test-000", "test-002"][..]), "the second test was the oldest");
        assert_eq!((listed[1].verdict.as_str(), listed[2].verdict.as_str()), ("Winner", ""));
        assert_eq!(ledger.handed("test-001").unwrap(), None);
        let kept = ledger.handed("test-000").unwrap().unwrap();
        assert_eq!((kept.body.clone(), kept.verdict.as_str()), (handed("test-000", T - HOUR, "").body, "Winner"));
        assert!(kept.at > T + 99, "{}", kept.at);
    });
}

#[test]
fn a_database_from_before_reports_gets_their_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings()).unwrap();
    settle(&mut ledger, T, &[vec![predicted("a/0", T, &arm("r1"), 0.5)]]);
    drop(ledger);
    rusqlite::Connection::open(file(&folder)).unwrap().execute_batch("DROP TABLE reports").unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings()).unwrap();
    ledger.keep(&Handed { name: "a".into(), at: T, verdict: String::new(), body: "{}".into() }).unwrap();
    assert_eq!((ledger.reports().unwrap().len(), ledger.state().arms[0].1.predictions), (1, 1));
}

#[test]
fn a_database_is_for_one_task() {
    on_both("task", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        drop(ledger);
        let other = Settings::new(Task::Regression, HOUR, 24 * HOUR);
        let error = Ledger::open(opened_soon(open), other).err().unwrap().to_string();
        assert!(error.contains("counted for the task binary-classification, and this evaluator was started for regression"), "{error}");
    });
}

#[test]
fn a_lost_connection_loses_nothing() {
    // A server of its own: all of its connections are cut.
    let Some(server) = common::Server::start() else { return };
    let mut ledger = Ledger::open(Box::new(Postgresql::open(&server.url(), "lost").unwrap()), settings()).unwrap();
    settle(&mut ledger, T, &[vec![predicted("a/0", T, &arm("r1"), 0.5)]]);
    server.disconnect_all();
    let call = vec![came_true("a/0", 1.0)];
    let error = ledger.step(T + 1, std::slice::from_ref(&call)).unwrap_err().to_string();
    assert!(error.contains("the database cannot be used") || error.contains("the connection to the database was lost"), "{error}");
    assert_eq!(settle(&mut ledger, T + 2, &[call]), [Fates { stored: 1, ..Fates::default() }]);
    settle(&mut ledger, T + HOUR + 5_000, &[]);
    assert_eq!(ledger.state().arms[0].1.total.losses.count, 1);
}

/// Model servers hand over one after another: until all have, a variant must not seem to lack users.
#[test]
fn users_are_assigned_when_their_window_closes_whoever_hands_over_later() {
    on_both("assigned", |open| {
        let mut ledger = Ledger::open(open().unwrap(), settings()).unwrap();
        settle(&mut ledger, T, &[]);
        let of = |name: &str| -> Vec<Entry> { (0..50).map(|unit| met(&format!("{name}/{unit}"), T + 1, &variant(name), Some(unit))).collect() };
        let units = |ledger: &Ledger| -> Vec<u64> { ledger.state().arms.iter().map(|(_, counted)| counted.units).collect() };
        settle(&mut ledger, T + 2, &[of("control")]);
        assert_eq!(units(&ledger), [0]);
        settle(&mut ledger, T + 5_000, &[of("treatment")]);
        assert_eq!(units(&ledger), [0, 0]);
        settle(&mut ledger, T + HOUR + 10, &[]);
        assert_eq!(units(&ledger), [50, 50]);
        // What comes when its window has closed has been assigned all the same.
        settle(&mut ledger, T + HOUR + 20, &[vec![of("late").remove(7)]]);
        assert_eq!(units(&ledger), [50, 50, 1]);
    });
}
