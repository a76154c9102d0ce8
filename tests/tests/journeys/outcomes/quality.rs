//! A candidate that tells less than the base rate does: nothing but what callers report says so, and it is rolled back.

use std::time::{Duration, Instant};

use plimsoll_tests::cluster::text;
use plimsoll_tests::flights;
use plimsoll_tests::outcomes::{Answered, Caller};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{WITHIN, at_once, collecting};

/// How long an outcome may take, in seconds: each is told within one.
const MATURITY: u64 = 5;
/// Planes that are asked about, again and again.
const FLIGHTS: usize = 2_000;
/// Calls between two reports.
const AT_A_TIME: usize = 25;
/// Outcomes before which nothing is said.
const MINIMUM: u64 = 200;
/// How long callers wait for somebody to notice.
const NOTICED_WITHIN: Duration = Duration::from_secs(120);

/// The world is what this revision did not expect: it comes true what it thinks less likely than usual.
fn contrary(answer: &Answered, seen: &mut (f64, f64)) -> bool {
    *seen = (seen.0 + answer.probability, seen.1 + 1.0);
    answer.probability < seen.0 / seen.1
}

/// Half of the traffic for a candidate that stays until it is judged.
fn careful(spec: &mut Value) {
    at_once(spec);
    spec["checkInterval"] = json!("2s");
    spec["outcomes"] = json!({"maturity": format!("{MATURITY}s"), "retention": "1h", "database": {"sqlite": {"size": "1Gi"}}});
    spec["predictionLog"] = json!({"columns": ["carrier", "distance"]});
    spec["checks"] = json!([{"name": "quality", "outcome": {"metric": "logLoss", "versus": "BaseRate", "minimumSkill": 0.05, "minimumOutcomes": MINIMUM}}]);
    spec["strategy"] = json!({"canary": {"steps": [{"setWeight": 50}], "checks": ["quality"]}});
}

#[test]
#[ignore = "needs a cluster"]
fn a_candidate_whose_answers_do_not_come_true_is_rolled_back() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "quality").unwrap();
    let stable = text(&collecting(&team, MATURITY), "/status/stable/revision").to_owned();
    team.deploy(careful).unwrap();
    let version = team.train(&team.quick_job("contrary", 2).unwrap().to_string()).unwrap();
    team.approve(&version).unwrap();
    let sharing = |deployment: &Value| deployment.pointer("/status/candidate/weight") == Some(&json!(5_000));
    let candidate = text(&team.wait(WITHIN, sharing).unwrap(), "/status/candidate/revision").to_owned();

    let caller = Caller::of(&team, "flight-delay").unwrap();
    let (start, mut seen, mut told) = (Instant::now(), (0.0, 0.0), 0);
    let mut untold: Vec<(String, bool)> = Vec::new();
    for (number, flight) in flights::load(&stage, "2013-07", FLIGHTS).unwrap().iter().cycle().enumerate() {
        let answer = caller.predict(&format!("call-{number}"), flight).unwrap();
        let came_true = if answer.revision == candidate { contrary(&answer, &mut seen) } else { flight.late.unwrap_or(false) };
        untold.push((answer.id, came_true));
        if untold.len() < AT_A_TIME {
            continue;
        }
        caller.report(&untold).unwrap();
        told += untold.len();
        untold.clear();
        if team.get("modeldeployment/flight-delay").unwrap().pointer("/status/candidate").is_none_or(Value::is_null) {
            break;
        }
        assert!(start.elapsed() < NOTICED_WITHIN, "nobody noticed after {told} outcomes: {}", team.get("modeldeployment/flight-delay").unwrap()["status"]);
    }

    let status = team.get("modeldeployment/flight-delay").unwrap()["status"].clone();
    let check = status["checks"].as_array().unwrap().iter().find(|check| check["name"] == "quality").unwrap().clone();
    println!("rolled back {} s after the first call, with {told} outcomes told: {}", start.elapsed().as_secs(), text(&check, "/message"));
    assert_eq!((text(&status, "/stable/revision"), text(&status, "/blocked/0/check")), (stable.as_str(), "quality"));
    assert_eq!(check["verdict"], "Fail");
    let counted: u64 = text(&check, "/message").split_once('(').unwrap().1.split_once(" outcomes").unwrap().0.parse().unwrap();
    assert!(counted >= MINIMUM, "{check}");
    let quality = caller.ask("/v1/quality").unwrap();
    let arm = |revision: &str| quality["arms"].as_array().unwrap().iter().find(|arm| arm["revision"] == revision).cloned().unwrap();
    let skill = |revision: &str| arm(revision)["quality"]["skill"].as_f64().unwrap();
    println!("skill: candidate {}, stable {}", skill(&candidate), skill(&stable));
    assert!(skill(&candidate) < 0.05, "what was judged is what was told");
    let in_buckets: u64 = arm(&candidate)["buckets"].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert!(in_buckets >= counted);
}
