//! Whatever is said in whatever order, twice, late, wrongly or about nothing: what is counted one by one equals what SQL finds in
//! everything that was said.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use common::{arm, came_true, file, postgresql, predicted};
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Entry, Said};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::{Postgresql, Sqlite};
use plimsoll_evaluator::tally::Tally;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const HOUR: i64 = 3_600_000;
const T: i64 = 500_000 * HOUR;
const PREDICTIONS: u32 = 8_000;

/// Everything that is said, with the time at which it arrives.
fn said(rng: &mut SmallRng) -> Vec<(i64, Entry)> {
    let revisions = [arm("r1"), arm("r2")];
    let mut said = Vec::new();
    for number in 0..PREDICTIONS {
        let (id, time) = (format!("{:08x}/{}", number.wrapping_mul(2_654_435_761), number % 3), T + i64::from(number) * 500);
        let (revision, value): (_, f64) = (&revisions[usize::from(rng.random_bool(0.3))], rng.random());
        let prediction = predicted(&id, time, revision, value);
        // Nearly all in time, some minutes late, a few after the window; one in fifty twice, one in two hundred with another answer.
        said.push((time + if rng.random_bool(0.01) { 2 * HOUR } else { rng.random_range(0..300_000) }, prediction.clone()));
        if rng.random_bool(0.02) {
            said.push((time + rng.random_range(0..2 * HOUR), prediction));
        }
        if rng.random_bool(0.005) {
            said.push((time + rng.random_range(0..2 * HOUR), predicted(&id, time, revision, value / 2.0)));
        }
        // Some outcomes come before their prediction is known, some late, some never, some twice, some contradict each other.
        let truth = f64::from(u8::from(rng.random_bool(value)));
        if rng.random_bool(0.9) {
            said.push((time + rng.random_range(-60_000..(HOUR * 6 / 5)), came_true(&id, truth)));
        }
        if rng.random_bool(0.05) {
            said.push((time + rng.random_range(0..2 * HOUR), came_true(&id, truth)));
        }
        if rng.random_bool(0.02) {
            said.push((time + rng.random_range(0..2 * HOUR), came_true(&id, 1.0 - truth)));
        }
        if rng.random_bool(0.01) {
            said.push((time, came_true(&format!("nobody/{number}"), truth)));
        }
    }
    said
}

/// What SQL makes of everything that was said: for each arm (predictions that count, with an outcome, sum of log losses in 2^-32ths).
///
/// A record counts if all predictions that came in time agree, and all outcomes; the outcome is the first that came while the window was open.
const ORACLE: &str = "
WITH first AS (SELECT id, revision, value, time, min(arrived) AS arrived FROM predictions GROUP BY id),
     fine AS (SELECT * FROM first WHERE first.arrived < first.time + :window
        AND NOT EXISTS (SELECT 1 FROM predictions p WHERE p.id = first.id AND p.value <> first.value AND p.arrived < first.time + :window)
        AND (SELECT count(DISTINCT o.value) FROM outcomes o WHERE o.id = first.id AND o.arrived < first.time + :window) < 2),
     joined AS (SELECT fine.*, (SELECT min(o.value) FROM outcomes o WHERE o.id = fine.id AND o.arrived < fine.time + :window) AS truth FROM fine)
SELECT revision, count(*), count(truth),
       coalesce(sum(CAST(floor((CASE WHEN truth > 0.5 THEN -ln(min(max(value, 1e-15), 1 - 1e-15)) ELSE -ln(1.0 - min(max(value, 1e-15), 1 - 1e-15)) END)
           * 4294967296.0 + 0.5) AS INTEGER)) FILTER (WHERE truth IS NOT NULL), 0)
FROM joined GROUP BY revision ORDER BY revision";

fn oracle(said: &[(i64, Entry)]) -> Vec<(String, u64, u64, i64)> {
    let sql = rusqlite::Connection::open_in_memory().unwrap();
    // SQLite's own logarithm is an option of its build.
    sql.create_scalar_function("ln", 1, rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC, |context| Ok(context.get::<f64>(0)?.ln())).unwrap();
    sql.create_scalar_function("floor", 1, rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC, |context| Ok(context.get::<f64>(0)?.floor())).unwrap();
    sql.execute_batch("CREATE TABLE predictions (id, revision, value, time, arrived); CREATE TABLE outcomes (id, value, arrived)").unwrap();
    for (arrived, entry) in said {
        match &entry.said {
            Said::Predicted(time, prediction) => sql
                .execute(
                    "INSERT INTO predictions VALUES (?, ?, ?, ?, ?)",
                    rusqlite::params![entry.id, prediction.arm.revision, prediction.value, time, arrived],
                )
                .unwrap(),
            Said::Shadowed(..) => unreachable!("nothing is said about pairs"),
            Said::CameTrue(value) => sql.execute("INSERT INTO outcomes VALUES (?, ?, ?)", rusqlite::params![entry.id, value, arrived]).unwrap(),
        };
    }
    sql.execute_batch("CREATE INDEX p ON predictions (id); CREATE INDEX o ON outcomes (id)").unwrap();
    let mut statement = sql.prepare(ORACLE).unwrap();
    let rows = statement.query_map(&[(":window", &HOUR)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Says everything in the order of arrival, in calls of random size; restarts now and then.
fn counted(said: &[(i64, Entry)], rng: &mut SmallRng, open: impl Fn() -> Ledger) -> Vec<(String, u64, u64, i64)> {
    let mut ledger = open();
    let mut rest = said;
    while !rest.is_empty() {
        // All that arrives within one call does so at one time.
        let now = rest[0].0;
        let (call, others) = rest.split_at(rest.iter().take(500).take_while(|(arrived, _)| *arrived == now).count());
        let mut entries: Vec<Entry> = call.iter().map(|(_, entry)| entry.clone()).collect();
        entries.shuffle(rng);
        ledger.step(now, &[entries]).unwrap();
        rest = others;
        if rng.random_bool(0.0005) {
            drop(ledger);
            ledger = open();
        }
    }
    let end = said.last().unwrap().0 + 2 * HOUR;
    while ledger.step(end, &[]).unwrap().behind {}
    let mut found: Vec<_> = ledger.state().arms.iter().map(|(arm, counted)| (arm.revision.clone(), &counted.total)).map(flat).collect();
    found.sort();
    found
}

fn flat((revision, tally): (String, &Tally)) -> (String, u64, u64, i64) {
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a whole number below 2^63")]
    let sum = (tally.losses.log_loss.value() * 4_294_967_296.0) as i64;
    (revision, tally.mature, tally.losses.count, sum)
}

#[test]
fn the_online_log_loss_is_what_sql_finds_in_everything_that_was_said() {
    let mut rng = SmallRng::seed_from_u64(11);
    let mut all = said(&mut rng);
    // Calls of several records, as servers and callers make them.
    for (arrived, _) in &mut all {
        *arrived -= arrived.rem_euclid(2_000);
    }
    all.sort_by_key(|(arrived, _)| *arrived);
    let expected = oracle(&all);
    assert!(expected.len() == 2 && expected.iter().all(|(_, mature, known, _)| *mature > 1_500 && *known > 1_200 && known < mature), "{expected:?}");
    let settings = Settings::new(Task::BinaryClassification, HOUR, 240 * HOUR);
    let folder = tempfile::tempdir().unwrap();
    let found = counted(&all, &mut rng, || Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings).unwrap());
    assert_eq!(found, expected, "SQLite");
    if let Some(server) = postgresql() {
        let found = counted(&all, &mut rng, || Ledger::open(Box::new(Postgresql::open(&server.url(), "exact").unwrap()), settings).unwrap());
        assert_eq!(found, expected, "PostgreSQL");
    }
}
