//! Real flights, real outcomes: a model beside itself, and a model beside a better one.

use std::time::{Duration, Instant};

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::outcomes::{Caller, Reporters};
use plimsoll_tests::prometheus::Prometheus;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::{Team, settled};
use serde_json::{Value, json};

use crate::dashboards::shipped::panels;

use super::{WITHIN, apply, end, kill, serve, test, told, wait};

/// How far back panels look, in seconds, and the distance of two points.
const SHOWN: (i64, u32) = (900, 5);
/// Flights that are called again and again.
const FLIGHTS: usize = 8_000;

/// Every panel of the dashboard of quality shows something of this namespace.
fn everything_is_drawn(stage: &Stage, team: &Team) {
    let prometheus = Prometheus::of(stage).unwrap();
    for panel in panels(stage, "quality.json", (&team.namespace, "flight-delay")) {
        let found = prometheus.range(&panel.text, SHOWN.0, SHOWN.1).unwrap();
        assert!(found.iter().any(|series| series.samples.iter().any(|(_, value)| value.is_finite())), "no data: {panel:?}");
    }
}

#[test]
#[ignore = "needs a cluster"]
fn a_model_beside_itself_finds_nothing_and_a_better_one_wins_and_is_promoted() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "experiment").unwrap();
    // One that has hardly learnt anything beside one that has.
    let train = |name: &str, rate: f64| {
        let mut job = team.quick_job(name, 1).unwrap();
        job["spec"]["optimization"]["optimizer"] = json!({"adamW": {"learningRate": rate}});
        team.train(&job.to_string()).unwrap()
    };
    let (worse, better) = (train("hardly", 1e-7), train("learnt", 1e-2));
    serve(&team, &worse, |_| {});
    let callers = Reporters::start(&team, "flight-delay", &flights::load(&stage, "2013-01", FLIGHTS).unwrap(), Duration::ZERO).unwrap();

    let start = Instant::now();
    apply(&team, &test(&team, "same", [&worse, &worse], |_| {}));
    let same = end(&team, "same");
    assert!(["NoDifference", "Inconclusive"].contains(&text(&same, "/status/verdict")), "{same}");
    println!("a model beside itself: {} s", start.elapsed().as_secs());

    let start = Instant::now();
    apply(&team, &test(&team, "newer", [&worse, &better], |spec| spec["onWinner"] = json!("Promote")));
    let waiting = wait(&team, "newer", |test| told(test, "Running").1.contains("treatment: "));
    println!("before the gatekeeper's word: {:?}", told(&waiting, "Running"));
    // The test before gave its users back some time ago: those of the stable revision have outcomes by now.
    let planned = wait(&team, "newer", |test| test.pointer("/status/plan/unitsNeeded").and_then(Value::as_i64).is_some_and(|units| units > 0));
    println!("planned: {}", text(&planned, "/status/plan/message"));
    team.approve(&better).unwrap();
    wait(&team, "newer", |test| is_true(test, "Running"));
    kill(&team, &team.namespace, "app.kubernetes.io/component=evaluator");
    kill(&team, "plimsoll-system", "app.kubernetes.io/component=operator");
    let newer = end(&team, "newer");
    assert_eq!((text(&newer, "/status/verdict"), text(&newer, "/status/winner")), ("Winner", "treatment"));
    println!("a better model: {} s", start.elapsed().as_secs());
    team.wait(WITHIN, |deployment| text(deployment, "/status/stable/modelVersion") == text(&better, "/metadata/name") && settled(deployment)).unwrap();
    let (answered, failed) = callers.stop().unwrap();
    println!("{answered} calls answered, {failed} failed");
    assert_eq!(failed, 0);

    everything_is_drawn(&stage, &team);
    let reported = wait(&team, "newer", |test| test.pointer("/status/report/complete") == Some(&json!(true)));
    let (_, path) = text(&reported, "/status/report/url").split_once(":8080").unwrap();
    let page = Caller::of(&team, "flight-delay").unwrap().page(path).unwrap();
    assert!(page.contains("treatment") && page.contains("<svg") && page.contains(text(&newer, "/status/summary").split(':').next().unwrap()), "{page}");
    if let Ok(folder) = std::env::var("PLIMSOLL_KEEP") {
        std::fs::write(std::path::Path::new(&folder).join("report.html"), page).unwrap();
    }
}
