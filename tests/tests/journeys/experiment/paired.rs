//! Both models answer the same calls: a better one is found with few users, and nobody met it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights::{self, Flight};
use plimsoll_tests::outcomes::Caller;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{WITHIN, apply, end, refused, serve, test, wait};

/// Calls, one after another; those of a few hundred planes.
const CALLS: usize = 3_000;
/// Planes with an outcome that the test ends at: a split that finds the same takes many times as many.
const USERS: u32 = 200;
/// Outcomes that are told at a time.
const TOLD_TOGETHER: usize = 25;

/// Calls with every flight and tells what came true, until the test has its verdict. Gives how many answers each revision gave.
fn call(team: &Team, flights: &[Flight], name: &str) -> BTreeMap<String, u64> {
    let (caller, start) = (Caller::of(team, "flight-delay").unwrap(), Instant::now());
    let (mut answered, mut untold) = (BTreeMap::new(), Vec::new());
    for (number, flight) in flights.iter().cycle().enumerate() {
        assert!(start.elapsed() < Duration::from_secs(WITHIN), "no verdict within {WITHIN} s");
        let answer = caller.predict(&format!("{name}-{number}"), flight).unwrap();
        *answered.entry(answer.revision).or_default() += 1;
        untold.extend(flight.late.map(|late| (answer.id, late)));
        if untold.len() < TOLD_TOGETHER {
            continue;
        }
        caller.report(&untold).unwrap();
        untold.clear();
        if is_true(&team.get(&format!("abtest/{name}")).unwrap(), "Complete") {
            break;
        }
    }
    answered
}

#[test]
#[ignore = "needs a cluster"]
fn a_better_model_wins_while_everybody_meets_the_control() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "paired").unwrap();
    let train = |name: &str, rate: f64| {
        let mut job = team.quick_job(name, 1).unwrap();
        job["spec"]["optimization"]["optimizer"] = json!({"adamW": {"learningRate": rate}});
        team.train(&job.to_string()).unwrap()
    };
    let (worse, better) = (train("hardly", 1e-7), train("learnt", 1e-2));
    let deployment = serve(&team, &worse, |_| {});
    let stable = text(&deployment, "/status/stable/revision").to_owned();
    let paired = |spec: &mut Value| {
        spec["mode"] = json!("Paired");
        spec["design"]["maximumUnitsPerVariant"] = json!(USERS);
    };
    let three = test(&team, "three", [&worse, &better], |spec| {
        paired(spec);
        spec["variants"][1]["weight"] = json!(30);
        let third = json!({"name": "third", "modelVersion": spec["variants"][0]["modelVersion"], "weight": 20});
        spec["variants"].as_array_mut().unwrap().push(third);
    });
    let error = refused(&team, &three);
    assert!(error.contains("a paired test has two variants"), "{error}");

    apply(&team, &test(&team, "pairs", [&worse, &better], paired));
    let error = refused(&team, &test(&team, "pairs", [&worse, &better], |spec| spec["design"]["maximumUnitsPerVariant"] = json!(USERS)));
    assert!(error.contains("fixed when it is made"), "{error}");
    team.approve(&better).unwrap();
    wait(&team, "pairs", |test| is_true(test, "Running"));
    let start = Instant::now();
    let flights: Vec<Flight> = flights::load(&stage, "2013-01", CALLS).unwrap().into_iter().filter(|flight| flight.late.is_some()).collect();
    let answered = call(&team, &flights, "pairs");
    let pairs = end(&team, "pairs");
    println!("{answered:?} calls in {} s", start.elapsed().as_secs());
    assert_eq!((text(&pairs, "/status/verdict"), text(&pairs, "/status/winner")), ("Winner", "treatment"));
    assert_eq!(answered.keys().collect::<Vec<_>>(), [&stable], "somebody met the treatment");
    for look in pairs["status"]["looks"].as_array().unwrap() {
        assert_eq!(look["units"][0], look["units"][1], "both variants have the same users");
    }
    // What callers got is counted once, and what nobody got is beside it.
    let caller = Caller::of(&team, "flight-delay").unwrap();
    let first = caller.ask("/v1/records/pairs-0/0").unwrap();
    assert_eq!((&first["prediction"]["revision"], &first["prediction"]["variant"]), (&json!(stable), &json!("")));
    assert_ne!(first["shadow"]["prediction"]["revision"], json!(stable));
    let page = caller.page("/v1/reports/pairs").unwrap();
    assert!(page.contains("the treatment answers a copy"), "{page}");
}
