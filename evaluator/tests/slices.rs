//! Slices of an A/B test: what SQL finds in the same records, on both databases; what is forgotten or too much; and values that are markup.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/story.rs"]
mod story;

use std::sync::Arc;
use std::time::Duration;

use common::{came_true, file, postgresql};
use plimsoll_evaluator::access::Access;
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Arm, Entry, Prediction, Said, unit};
use plimsoll_evaluator::report::facts::{Facts, facts};
use plimsoll_evaluator::report::input::Test;
use plimsoll_evaluator::report::page;
use plimsoll_evaluator::report::slices::Slices;
use plimsoll_evaluator::report::slices::found::Slice;
use plimsoll_evaluator::report::slices::read::{Limits, Range, read};
use plimsoll_evaluator::serve::{probes, protocol};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::{Postgresql, Sqlite, Store};
use plimsoll_evaluator::writer::{Writer, now};
use plimsoll_serving::Readiness;
use plimsoll_stats::{Bucket, Buckets, clustered};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use story::{Story, UID};

const HOUR: i64 = 3_600_000;
const T: i64 = 1_000 * HOUR;
const CALLS: u32 = 14_000;

fn settings() -> Settings {
    Settings::new(Task::BinaryClassification, HOUR, 1_000 * HOUR)
}

fn test() -> Test {
    let test = json!({"metadata": {"name": "t", "uid": UID}, "spec": {
        "variants": [{"name": "control", "weight": 50}, {"name": "b", "weight": 50}],
        "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": 0.02},
        "design": {"method": "GroupSequential", "alpha": 0.05, "power": 0.8, "maximumUnitsPerVariant": 4000, "looks": 10}}});
    Test::parse("t", test.to_string().as_bytes()).unwrap()
}

/// A call of somebody in this variant, made so many milliseconds after the begin.
fn call(id: &str, after: i64, variant: &str, who: u32, features: &Value) -> Entry {
    let arm = Arc::new(Arm { revision: format!("r{}", who % 2), variant: format!("t.{}.{variant}", &UID[..8]) });
    let value = f64::from(who * 7 % 97) / 100.0 + 0.01;
    let features = if features.is_null() { String::new() } else { features.to_string() };
    let prediction = Prediction { arm, unit: unit(&who.to_string()), value, positive: value >= 0.5, weight: 1.0, features };
    Entry { id: id.into(), said: Said::Predicted(T + after, prediction) }
}

/// Calls of two hours: with an outcome, without, late, contradicted, of another test, and with inputs of all kinds.
fn said() -> (Vec<Entry>, Vec<Entry>, Vec<Entry>) {
    let (mut rng, mut predictions, mut outcomes, mut late) = (SmallRng::seed_from_u64(3), Vec::new(), Vec::new(), Vec::new());
    for number in 0..CALLS {
        let who = rng.random_range(0..1_500_u32);
        let variant = if who.is_multiple_of(50) { "foreign" } else { ["control", "b"][usize::try_from(who / 3 % 2).unwrap()] };
        let carrier = if number % 9 == 0 { Value::Null } else { json!(format!("c{:02}", rng.random_range(0..13_u32).min(rng.random_range(0..13)))) };
        let features = match number % 40 {
            0 => Value::Null,
            _ => json!({"carrier": carrier, "distance": rng.random_range(0..4_000), "engines": 1 + who % 3, "weekend": who % 7 < 2, "same": 1}),
        };
        let id = format!("{number}/0");
        // Many were made at the same time.
        predictions.push(call(&id, i64::from(number / 20), variant, who, &features));
        let truth = f64::from(u8::from(rng.random_bool(0.4)));
        match number % 25 {
            0 => {}
            1 => late.push(came_true(&id, truth)),
            2 => outcomes.extend([came_true(&id, truth), came_true(&id, 1.0 - truth)]),
            _ => outcomes.push(came_true(&id, truth)),
        }
        if number % 31 == 0 {
            late.push(came_true(&id, 1.0));
        }
    }
    (predictions, outcomes, late)
}

/// A ledger in which all of it is counted.
fn told(store: Box<dyn Store>) -> Ledger {
    let mut ledger = Ledger::open(store, settings()).unwrap();
    let (predictions, outcomes, late) = said();
    ledger.step(T, &[]).unwrap();
    ledger.step(T + 1_000, &[predictions]).unwrap();
    ledger.step(T + 2_000, &[outcomes]).unwrap();
    while ledger.step(T + 2 * HOUR, &[]).unwrap().behind {}
    ledger.step(T + 2 * HOUR + 1, &[late, vec![call("late/0", 5, "b", 5, &json!({"carrier": "never"}))]]).unwrap();
    ledger
}

fn found(ledger: &Ledger, limits: Limits) -> Slices {
    let test = test();
    read(&mut *ledger.reader().unwrap(), &test, &Range::of(&test, ledger.state()), Task::BinaryClassification, limits).unwrap()
}

const PREDICTIONS: &str = "SELECT unit, value, outcome FROM records JOIN arms ON arms.arm = records.arm
    WHERE arms.variant = ?1 AND outcome IS NOT NULL AND flags & 23 = 0 AND ";

/// Units and predictions of each variant; estimate with standard error.
type Recomputed = (Vec<(u64, u64)>, Option<(f64, f64)>);

/// What SQL and a few lines find of a slice.
fn recomputed(sql: &rusqlite::Connection, condition: &str) -> Recomputed {
    let (mut counts, mut buckets) = (Vec::new(), Vec::new());
    for variant in ["control", "b"] {
        let mut statement = sql.prepare(&format!("{PREDICTIONS}{condition}")).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, f64>(1)?, row.get::<_, f64>(2)?));
        let rows: Vec<_> = statement.query_map([format!("t.{}.{variant}", &UID[..8])], read).unwrap().map(Result::unwrap).collect();
        let mut of = vec![Bucket::default(); 64];
        for (unit, value, truth) in &rows {
            let bucket = &mut of[usize::try_from(unit % 64).unwrap()];
            *bucket = Bucket { sum: bucket.sum - if *truth > 0.5 { value.ln() } else { (1.0 - value).ln() }, calls: bucket.calls + 1 };
        }
        let units: std::collections::BTreeSet<u64> = rows.iter().map(|(unit, _, _)| *unit).collect();
        counts.push((u64::try_from(units.len()).unwrap(), u64::try_from(rows.len()).unwrap()));
        buckets.push(of);
    }
    let effect = clustered(Buckets { buckets: &buckets[1], units: counts[1].0 }, Buckets { buckets: &buckets[0], units: counts[0].0 });
    let enough = counts.iter().all(|(units, _)| *units >= 100);
    (counts, effect.filter(|_| enough).map(|effect| (effect.estimate, effect.standard_error)))
}

fn equal(slice: &Slice, (counts, effect): Recomputed) {
    let counted: Vec<_> = slice.variants.iter().map(|variant| (variant.units, variant.predictions)).collect();
    assert_eq!(counted, counts, "{slice:?}");
    assert_eq!(slice.treatments.len(), usize::from(effect.is_some()), "{slice:?}");
    for (of, (estimate, error)) in slice.treatments.iter().zip(effect) {
        assert!((of.estimate - estimate).abs() < 1e-9 && (of.standard_error - error).abs() < 1e-9, "{of:?} {estimate} {error}");
        assert!(of.lower < of.estimate && of.estimate < of.upper && of.better == (of.estimate < 0.0), "{of:?}");
    }
}

#[test]
fn slices_are_what_sql_finds_in_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = told(Box::new(Sqlite::open(&file(&folder)).unwrap()));
    let slices = found(&ledger, Limits::OF_A_PAGE);
    let sql = rusqlite::Connection::open(file(&folder)).unwrap();
    let counted: u64 = ledger.state().arms.iter().filter(|(arm, _)| !arm.variant.ends_with("foreign")).map(|(_, counted)| counted.total.losses.count).sum();
    assert_eq!((slices.predictions, slices.of_predictions, slices.newest_only), (counted, counted, false), "nothing was forgotten: all are there");
    assert!(counted > 10_000 && slices.from_unix_ms.unwrap() < T + 3 && slices.until_unix_ms.unwrap() > T + 690, "several pages: {counted}");
    equal(slices.whole.as_ref().unwrap(), recomputed(&sql, "true"));
    let names: Vec<_> = slices.columns.iter().map(|column| (column.name.as_str(), column.slices.len())).collect();
    assert_eq!(names, [("carrier", 10), ("distance", 5), ("engines", 4), ("same", 2), ("weekend", 3)]);
    for column in &slices.columns {
        let value = format!("json_extract(features, '$.{}')", column.name);
        let mut others = Vec::new();
        for slice in &column.slices {
            let condition = match slice.name.as_str() {
                "missing" => format!("{value} IS NULL"),
                "other" => format!("{value} NOT IN ({})", others.join(",")),
                "true" => format!("{value} = 1"),
                "false" => format!("{value} = 0"),
                name if name.starts_with("up to ") => format!("{value} <= {}", &name[6..]),
                name if name.starts_with("over ") => {
                    let bounds: Vec<_> = name[5..].split(" to ").collect();
                    format!("{value} > {} AND {value} <= {}", bounds[0], bounds.get(1).unwrap_or(&"1e9"))
                }
                name => {
                    others.push(format!("'{name}'"));
                    format!("CAST({value} AS TEXT) = '{name}'")
                }
            };
            equal(slice, recomputed(&sql, &condition));
        }
        let in_all: u64 = column.slices.iter().flat_map(|slice| &slice.variants).map(|variant| variant.predictions).sum();
        assert_eq!(in_all, counted, "each is in one slice of {}", column.name);
    }
    let compared: usize = slices.columns.iter().flat_map(|column| &column.slices).map(|slice| slice.treatments.len()).sum();
    assert!(compared > 15 && compared == slices.comparisons);
    // The other database says the same to the last digit.
    let Some(server) = postgresql() else { return };
    let other = told(Box::new(Postgresql::open(&server.url(), "slices").unwrap()));
    assert_eq!(found(&other, Limits::OF_A_PAGE), slices);
}

#[test]
fn a_walk_that_is_cut_short_has_the_newest_and_says_so() {
    let story = |store: Box<dyn Store>| {
        let ledger = told(store);
        let all = found(&ledger, Limits::OF_A_PAGE);
        for limits in [Limits { predictions: 4_000, ..Limits::OF_A_PAGE }, Limits { time: Duration::ZERO, ..Limits::OF_A_PAGE }] {
            let some = found(&ledger, limits);
            assert!(
                some.newest_only && (4_000..=5_000).contains(&some.predictions) && some.of_predictions == all.of_predictions,
                "{limits:?} {}",
                some.predictions
            );
            assert!(some.until_unix_ms == all.until_unix_ms && some.from_unix_ms > all.from_unix_ms);
        }
        let facts = Facts { slices: Some(found(&ledger, Limits { time: Duration::ZERO, ..Limits::OF_A_PAGE })), ..facts(&test(), ledger.state()) };
        assert!(page(&facts).contains("There are more than one page reads: these are the newest."));
    };
    let folder = tempfile::tempdir().unwrap();
    story(Box::new(Sqlite::open(&file(&folder)).unwrap()));
    if let Some(server) = postgresql() {
        story(Box::new(Postgresql::open(&server.url(), "cut").unwrap()));
    }
}

#[test]
fn what_is_forgotten_is_in_no_slice_and_the_page_says_how_much_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = told(Box::new(Sqlite::open(&file(&folder)).unwrap()));
    let before = found(&ledger, Limits::OF_A_PAGE);
    while ledger.step(T + 1_000 * HOUR + 350, &[]).unwrap().behind {}
    let after = found(&ledger, Limits::OF_A_PAGE);
    assert_eq!((after.of_predictions, after.until_unix_ms, after.newest_only), (before.of_predictions, before.until_unix_ms, false));
    assert!(after.from_unix_ms == Some(T + 351) && after.predictions * 2 < before.predictions + 1_000, "{:?}", after.from_unix_ms);
    let shown = |slices: &Slices, ledger: &Ledger| page(&Facts { slices: Some(slices.clone()), ..facts(&test(), ledger.state()) });
    assert!(shown(&after, &ledger).contains("The records of the others are not kept any more."));
    while ledger.step(T + 1_001 * HOUR, &[]).unwrap().behind {}
    let none = found(&ledger, Limits::OF_A_PAGE);
    assert_eq!((none.predictions, none.of_predictions, none.whole.clone()), (0, before.of_predictions, None));
    assert!(shown(&none, &ledger).contains("No prediction of this test has an outcome that counts and is still kept"));
}

#[test]
fn values_are_text_and_slices_change_nothing_else() {
    let (state, mut test, slices) = Story::sliced_winner().sliced();
    let understood = Test::parse("delay-2026-11", test.to_string().as_bytes()).unwrap();
    let without = facts(&understood, &state);
    let with = Facts { slices: Some(slices.clone()), ..without.clone() };
    let (shown, bare) = (page(&with), page(&without));
    for tag in ["svg", "table", "div", "p", "b", "i", "bdi", "span", "text", "h2", "h3", "th", "td", "tr"] {
        let opened = shown.matches(&format!("<{tag}>")).count() + shown.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, shown.matches(&format!("</{tag}>")).count(), "{tag}\n{shown}");
    }
    assert!(!shown.contains("<b>US") && shown.contains("&lt;b&gt;US&lt;/b&gt; &amp; others") && !shown.contains("NaN"));
    // The treatment is better over the whole, and worse for one carrier: that is found, and nothing else that is not there.
    let carriers = slices.columns.iter().find(|column| column.name == "carrier").unwrap();
    let bad = &carriers.slices.iter().find(|slice| slice.name == "EV").unwrap().treatments[0];
    assert!(bad.marked && !bad.better && bad.unlike_whole, "{bad:?}");
    assert!(shown.contains("<b class=\"no\">worse</b>, unlike the whole"));
    // What decided is as it was.
    let (begin, end) = (shown.find("<h2>Slices</h2>").unwrap(), bare.find("<h2>Slices</h2>").unwrap());
    assert_eq!(shown[..begin], bare[..end]);
    let mut numbers = serde_json::to_value(&with).unwrap();
    assert!(numbers["slices"]["columns"][0]["slices"][0]["treatments"][0]["adjustedPValue"].is_number(), "{}", numbers["slices"]);
    numbers["slices"] = Value::Null;
    assert_eq!(numbers, serde_json::to_value(&without).unwrap());
    // Where the test is invalid, slices are not to be believed either.
    test["status"]["verdict"] = json!("Invalid");
    let invalid = Facts { slices: Some(slices), ..facts(&Test::parse("delay-2026-11", test.to_string().as_bytes()).unwrap(), &state) };
    assert!(page(&invalid).contains("<h2>Slices</h2><p class=\"warn\">"));
}

#[test]
fn hostile_names_and_values_are_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings()).unwrap();
    let script = "<script>alert('x')</script>\"><img src=x onerror=\"y\">\u{202e}";
    let of = |who: u32| {
        let value = if (who / 2).is_multiple_of(2) { script.to_owned() } else { format!("{script}{}", "long ".repeat(200)) };
        let variant = if who.is_multiple_of(2) { "control" } else { "b" };
        call(&format!("{who}/0"), 5, variant, who, &json!({script: value}))
    };
    ledger.step(T, &[]).unwrap();
    ledger.step(T + 10, &[(0..900).map(of).collect(), (0..900_u32).map(|who| came_true(&format!("{who}/0"), f64::from(who / 4 % 2))).collect()]).unwrap();
    while ledger.step(T + 2 * HOUR, &[]).unwrap().behind {}
    let slices = found(&ledger, Limits::OF_A_PAGE);
    assert_eq!((slices.columns[0].name.as_str(), slices.columns[0].slices.len(), slices.columns[0].slices[0].treatments.len()), (script, 2, 1));
    let page = page(&Facts { slices: Some(slices), ..facts(&test(), ledger.state()) });
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("alert('"), "{page}");
    assert!(page.contains("<bdi>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&gt;&lt;img"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_asked_for_has_slices() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), settings()).unwrap();
    let begin = now() - 48 * HOUR;
    ledger.step(begin, &[]).unwrap();
    let (predictions, outcomes, _) = said();
    let moved = |mut entry: Entry| {
        if let Said::Predicted(time, _) = &mut entry.said {
            *time += begin - T;
        }
        entry
    };
    ledger.step(begin + 1_000, &[predictions.into_iter().map(moved).collect(), outcomes]).unwrap();
    while ledger.step(begin + 2 * HOUR, &[]).unwrap().behind {}
    let (writer, _) = Writer::start(ledger, Readiness::default()).unwrap();
    let served = Served { writer, task: Task::BinaryClassification };
    let mut addresses = Vec::new();
    for router in [protocol(served.clone()).await.unwrap(), probes(served, Readiness::default(), (String::new(), String::new()), Access::of_everybody())] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(format!("http://{}/v1/reports/t", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let test = json!({"metadata": {"name": "t", "uid": UID}, "spec": {
        "variants": [{"name": "control", "weight": 50}, {"name": "b", "weight": 50}],
        "primary": {"metric": {"outcome": "brier"}, "direction": "Decrease", "minimumDetectableEffect": 0.02},
        "design": {"method": "GroupSequential", "alpha": 0.05, "power": 0.8, "maximumUnitsPerVariant": 4000, "looks": 10}}});
    assert_eq!(reqwest::Client::new().put(&addresses[1]).body(test.to_string()).send().await.unwrap().status(), 204);
    let ask = |url: String| async move { reqwest::get(url).await.unwrap().text().await.unwrap() };
    let (page, again, numbers) = tokio::join!(ask(addresses[0].clone()), ask(addresses[1].clone()), ask(format!("{}.json", addresses[0])));
    assert!(page.contains("<h3>b minus control, by slice</h3>") && again.contains("by slice</h3>") && page.contains("Of the Brier score, lower is better."));
    let numbers: Value = serde_json::from_str(&numbers).unwrap();
    assert_eq!((&numbers["slices"]["columns"][0]["name"], &numbers["slices"]["newestOnly"]), (&json!("carrier"), &json!(false)));
}
