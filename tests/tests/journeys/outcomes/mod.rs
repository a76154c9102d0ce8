//! Outcomes: told through the router, joined, counted once their time is over, and kept whatever happens to the evaluator.

mod misuse;
mod quality;
mod strangers;

use std::time::{Duration, Instant};

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::outcomes::{Answered, Caller};
use plimsoll_tests::prometheus::Prometheus;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::{Team, settled};
use plimsoll_tests::{flights, pods};
use serde_json::{Value, json};

/// Predictions of the journey.
const CALLS: usize = 400;
/// Outcomes told at a time.
const AT_A_TIME: usize = 20;
/// How long an outcome may take, in seconds: longer than the whole reporting here, the evaluator's death included.
const MATURITY: u64 = 90;
/// How long a step may take, in seconds.
const WITHIN: u64 = 240;
/// What sums are rounded to, 2^-32 for each prediction.
const ROUNDING: f64 = 1e-9;

/// One approved model, served with an evaluator.
fn collecting(team: &Team, maturity: u64) -> Value {
    let version = team.train(&team.quick_job("collected", 1).unwrap().to_string()).unwrap();
    team.approve(&version).unwrap();
    team.deploy(|spec| {
        spec["outcomes"] = json!({"maturity": format!("{maturity}s"), "retention": "1h", "database": {"sqlite": {"size": "1Gi"}}});
        spec["predictionLog"] = json!({"columns": ["carrier", "distance"]});
        at_once(spec);
    })
    .unwrap();
    team.wait(WITHIN, |deployment| settled(deployment) && is_true(deployment, "OutcomesCollected")).unwrap()
}

/// What is rolled out here is not judged: nobody calls meanwhile.
fn at_once(spec: &mut Value) {
    spec["strategy"] = json!({});
    spec["rollback"] = json!({"keep": 1, "bake": "1s"});
}

/// Kills the evaluator as a node that loses its power would.
fn kill(team: &Team) {
    let labels = "app.kubernetes.io/component=evaluator";
    for pod in pods::list(&team.stage.admin, &team.namespace, labels).unwrap().into_keys() {
        team.stage.admin.kubectl(&["-n", &team.namespace, "delete", "pod", &pod, "--grace-period=0", "--force"]).unwrap();
    }
}

fn log_loss(answered: &[(Answered, bool)]) -> f64 {
    let loss = |(answer, truth): &(Answered, bool)| -(if *truth { answer.probability } else { 1.0 - answer.probability }).ln();
    answered.iter().map(loss).sum::<f64>() / f64::from(u32::try_from(answered.len()).unwrap())
}

/// What the evaluator says of the arm when all of it is counted.
fn counted(caller: &Caller) -> Value {
    let start = Instant::now();
    loop {
        let quality = caller.ask("/v1/quality").unwrap();
        if let Some(arm) = quality["arms"].as_array().unwrap().iter().find(|arm| arm["quality"]["mature"] == json!(CALLS)) {
            return arm.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(MATURITY + WITHIN), "not counted: {quality}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
#[ignore = "needs a cluster"]
fn outcomes_told_through_the_router_are_counted_once_whoever_dies_meanwhile() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "outcomes").unwrap();
    collecting(&team, MATURITY);
    let caller = Caller::of(&team, "flight-delay").unwrap();
    let start = Instant::now();
    let mut answered: Vec<(Answered, bool)> = Vec::new();
    for (number, flight) in flights::load(&stage, "2013-07", CALLS).unwrap().iter().enumerate() {
        // The evaluator is away while a quarter of the predictions is made: they wait in the model server.
        if number == CALLS / 4 {
            kill(&team);
        }
        let answer = caller.predict(&format!("call-{number}"), flight).unwrap();
        assert_eq!(answer.id, format!("call-{number}/0"));
        answered.push((answer, number % 3 == 0));
    }
    let (mut told, mut refused) = (Value::Null, 0);
    for (batch, outcomes) in answered.chunks(AT_A_TIME).enumerate() {
        if batch == 7 {
            kill(&team);
        }
        let outcomes: Vec<(String, bool)> = outcomes.iter().map(|(answer, truth)| (answer.id.clone(), *truth)).collect();
        let (receipt, times) = caller.report(&outcomes).unwrap();
        refused += times;
        told = receipt;
    }
    assert!(told["stored"].is_u64() && refused > 0, "the evaluator died, and nobody noticed: {told}");
    println!("{CALLS} predictions and their outcomes in {} s; outcomes were refused {refused} times while the evaluator was away", start.elapsed().as_secs());
    assert!(start.elapsed() < Duration::from_secs(MATURITY), "the machine is too slow for this window");

    let arm = counted(&caller);
    assert_eq!(arm["revision"], json!(answered[0].0.revision));
    assert_eq!(arm["quality"]["labelCompleteness"], json!(1.0));
    let (found, expected) = (arm["quality"]["logLoss"].as_f64().unwrap(), log_loss(&answered));
    println!("log loss {found}, from the answers themselves {expected}");
    assert!((found - expected).abs() < ROUNDING);
    let record = caller.ask("/v1/records/call-7/0").unwrap();
    assert!(record["prediction"]["features"]["carrier"].is_string() && record["prediction"]["features"]["distance"].is_number(), "{record}");
    assert_eq!(caller.ask("/v1/records?unusual=unknown").unwrap_or_default()["records"].as_array().map_or(0, Vec::len), 0);

    let prometheus = Prometheus::of(&stage).unwrap();
    let query = format!("plimsoll_quality{{namespace=\"{}\",metric=\"logLoss\"}}", team.namespace);
    let shown = prometheus.wait(&query, Duration::from_secs(60), |series| series.iter().any(|one| (one.last() - expected).abs() < 1e-6)).unwrap();
    assert_eq!(shown[0].label("deployment"), "flight-delay");

    // Who asks no longer keeps what was collected; who deletes the deployment does not.
    team.deploy(at_once).unwrap();
    team.wait(WITHIN, |deployment| {
        settled(deployment) && deployment["status"]["conditions"].as_array().unwrap().iter().all(|one| one["type"] != "OutcomesCollected")
    })
    .unwrap();
    let claim = team.get("pvc/flight-delay-evaluator").unwrap();
    assert_eq!(text(&claim, "/status/phase"), "Bound");
    assert!(team.get("deployment/flight-delay-evaluator").unwrap().is_null());
    team.stage.admin.kubectl(&["-n", &team.namespace, "delete", "modeldeployment", "flight-delay", "--timeout=60s"]).unwrap();
    let gone = Instant::now();
    while !team.get("pvc/flight-delay-evaluator").unwrap().is_null() {
        assert!(gone.elapsed() < Duration::from_secs(WITHIN), "the volume was left behind");
        std::thread::sleep(Duration::from_millis(500));
    }
}
