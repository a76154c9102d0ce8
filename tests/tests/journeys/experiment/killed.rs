//! One story told twice, to a test that is left alone and to one whose operator and evaluator are killed in every phase: the same looks, the
//! same verdict, and nothing that was acknowledged is lost.

use std::time::{Duration, Instant};

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::outcomes::{Caller, token_of_servers};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{WITHIN, apply, end, kill, prediction, serve, test, wait};

/// Looks that are planned; the users of each come when the one before was taken.
const LOOKS: usize = 3;
/// Users of each look, half of them in each variant.
const USERS: usize = 400;
/// What the treatment says, and how often in a hundred it comes true. The control knows nothing.
const KNOWN: (f64, usize) = (0.66, 66);
/// How long outcomes are waited for: longer than an evaluator that was killed takes to come back.
const PATIENT: &str = "40s";

/// Kills both, and waits for nobody.
fn kill_both(team: &Team, disturbed: bool) {
    if disturbed {
        kill(team, &team.namespace, "app.kubernetes.io/component=evaluator");
        kill(team, "plimsoll-system", "app.kubernetes.io/component=operator");
    }
}

/// The users of a look: predictions as model servers hand them over, and what came true. The same in every telling but for the test's name.
fn users(test: &Value, revision: &str, look: usize) -> (Vec<Value>, Vec<(String, bool)>) {
    let told = |user: usize| {
        let prediction = prediction(test, revision, user, if user.is_multiple_of(2) { 0.5 } else { KNOWN.0 });
        let outcome = (text(&prediction, "/id").to_owned(), user * 7_919 % 100 < KNOWN.1);
        (prediction, outcome)
    };
    (look * USERS..(look + 1) * USERS).map(told).unzip()
}

/// Hands over what was predicted just now, until that was taken; gives what came true.
fn hand_over((caller, token): (&Caller, &str), test: &Value, revision: &str, look: usize) -> Vec<(String, bool)> {
    let start = Instant::now();
    loop {
        let (predictions, outcomes) = users(test, revision, look);
        match caller.hand_over(&predictions, token) {
            Ok(()) => return outcomes,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(WITHIN), "not taken: {error:#}"),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn looks(test: &Value) -> usize {
    test.pointer("/status/looks").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Tells the story to a test of this name; gives the test at its end.
fn tell(team: &Team, version: &Value, name: &str, disturbed: bool) -> Value {
    let deployment = team.get("modeldeployment/flight-delay").unwrap();
    let (revision, caller) = (text(&deployment, "/status/stable/revision"), Caller::of(team, "flight-delay").unwrap());
    let token = token_of_servers(team, "flight-delay").unwrap();
    let units = LOOKS * USERS / 2;
    apply(team, &test(team, name, [version, version], |spec| spec["design"] = json!({"maximumUnitsPerVariant": units, "looks": LOOKS, "alpha": 0.05})));
    kill_both(team, disturbed);
    let running = wait(team, name, |test| is_true(test, "Running"));
    for look in 0..LOOKS {
        kill_both(team, disturbed);
        let outcomes = hand_over((&caller, &token), &running, revision, look);
        kill_both(team, disturbed);
        caller.report(&outcomes).unwrap();
        // Acknowledged, and not yet counted.
        kill_both(team, disturbed);
        let seen = wait(team, name, |test| looks(test) > look || is_true(test, "Complete"));
        if is_true(&seen, "Complete") {
            break;
        }
    }
    kill_both(team, disturbed);
    end(team, name)
}

#[test]
#[ignore = "needs a cluster"]
fn whoever_is_killed_in_whatever_phase_looks_and_verdict_are_the_same() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "killed").unwrap();
    let version = team.train(&team.quick_job("killed", 1).unwrap().to_string()).unwrap();
    serve(&team, &version, |spec| spec["outcomes"]["maturity"] = json!(PATIENT));
    let [alone, killed] = [("alone", false), ("killed", true)].map(|(name, disturbed)| {
        let start = Instant::now();
        let test = tell(&team, &version, name, disturbed);
        println!("{name}: {} s", start.elapsed().as_secs());
        test
    });
    let seen = |test: &Value| -> Vec<Value> {
        let looks = test["status"]["looks"].as_array().cloned().unwrap_or_default();
        looks.into_iter().map(|look| json!([look["number"], look["information"], look["units"], look["comparisons"]])).collect()
    };
    assert_eq!(seen(&alone), seen(&killed));
    assert!(seen(&alone).len() > 1, "there was one look only");
    for field in ["verdict", "winner", "summary", "sampleRatio"] {
        assert_eq!(alone["status"][field], killed["status"][field], "{field}");
    }
}
