//! With retention, the file stops growing. Virtual time: `PLIMSOLL_HOURS` hours at `PLIMSOLL_RATE` predictions a second.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use common::{arm, came_true, file, predicted};
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Entry, Said};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::Sqlite;

const HOUR: i64 = 3_600_000;
const T: i64 = 500_000 * HOUR;
/// What one step takes, in milliseconds.
const SLICE: i64 = 10_000;

fn number(name: &str, otherwise: i64) -> i64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn the_file_stops_growing() {
    let (hours, rate) = (number("PLIMSOLL_HOURS", 6), number("PLIMSOLL_RATE", 10));
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = file(&folder);
    // Predictions are kept for an hour; outcomes come after five minutes, in no order of ids.
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&path).unwrap()), Settings::new(Task::BinaryClassification, HOUR / 6, HOUR)).unwrap();
    let id = |number: i64| format!("{:016x}/0", number.wrapping_mul(-7_046_029_254_386_353_131));
    let r1 = arm("r1");
    let (mut sizes, mut made) = (Vec::new(), 0);
    for hour in 0..hours {
        for slice in 0..HOUR / SLICE {
            let now = T + hour * HOUR + slice * SLICE;
            let mut entries: Vec<Entry> = Vec::new();
            for _ in 0..rate * SLICE / 1000 {
                let mut entry = predicted(&id(made), now, &r1, 0.5);
                if let Said::Predicted(_, prediction) = &mut entry.said {
                    prediction.features = r#"{"carrier":"UA","origin":"EWR","distance":719.0,"hour":7.0}"#.into();
                }
                entries.push(entry);
                made += 1;
            }
            let (from, until) = (made - rate * 310, made - rate * 300);
            entries.extend((from.max(0)..until.max(0)).map(|number| came_true(&id(number), 1.0)));
            let mut step = ledger.step(now, &[entries]).unwrap();
            while step.behind {
                step = ledger.step(now, &[]).unwrap();
            }
        }
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        sizes.push((size(&path) + size(&path.with_extension("db-wal"))) >> 10);
    }
    println!("{made} predictions; KiB after each hour: {sizes:?}");
    let total = &ledger.state().arms[0].1.total;
    assert!(total.losses.count > 0 && total.missing == 0, "{} of {} without an outcome", total.missing, total.mature);
    // The first two hours fill it.
    let (early, late) = (sizes[2..4].iter().max().unwrap(), sizes.last().unwrap());
    assert!(*late * 100 <= *early * 115, "it still grows: {sizes:?}");
}
