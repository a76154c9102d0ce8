//! What is refused about tests, and in which words.

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::{Team, settled};
use serde_json::{Value, json};

use super::{WITHIN, apply, refused, serve, test, told, wait};

/// The reason with which a test is not accepted, and that its message has these words.
fn not_accepted(team: &Team, name: &str, reason: &str, words: &str) {
    let found = wait(team, name, |test| told(test, "Accepted").0 == reason);
    let (_, message) = told(&found, "Accepted");
    println!("{reason}: {message}");
    assert!(message.contains(words), "{message}");
    assert!(!is_true(&found, "Running"));
}

#[test]
#[ignore = "needs a cluster"]
fn what_makes_no_sense_about_a_test_is_refused_or_named() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "test-misuse").unwrap();
    let [one, two, three] = [1, 2, 3].map(|seed| team.train(&team.quick_job(&format!("seed-{seed}"), seed).unwrap().to_string()).unwrap());

    let error = refused(&team, &test(&team, "weights", [&one, &two], |spec| spec["variants"][0]["weight"] = json!(60)));
    assert!(error.contains("weights must sum to 100"));
    apply(&team, &test(&team, "nowhere", [&one, &two], |_| {}));
    not_accepted(&team, "nowhere", "NoDeployment", "flight-delay");
    team.ann.kubectl(&["-n", &team.namespace, "delete", "abtest", "nowhere"]).unwrap();

    // A metric without outcomes, then with them.
    serve_without_outcomes(&team, &one);
    apply(&team, &test(&team, "first", [&one, &two], |_| {}));
    not_accepted(&team, "first", "NoOutcomes", "spec.outcomes");
    serve(&team, &one, |_| {});
    let waiting = wait(&team, "first", |test| told(test, "Running").0 == "Waiting" && told(test, "Running").1.starts_with("treatment: "));
    println!("unapproved: {:?}", told(&waiting, "Running"));
    team.approve(&two).unwrap();
    wait(&team, "first", |test| is_true(test, "Running"));

    // What was asked stays asked.
    let error = refused(&team, &test(&team, "first", [&one, &two], |spec| spec["design"]["alpha"] = json!(0.2)));
    assert!(error.contains("fixed when it is made"), "{error}");
    // One test at a time, and no rollout beside it.
    apply(&team, &test(&team, "second", [&one, &two], |_| {}));
    not_accepted(&team, "second", "AnotherTest", "first");
    team.approve(&three).unwrap();
    let held = team.wait(WITHIN, |deployment| told(deployment, "Progressing").0 == "Testing").unwrap();
    assert!(held.pointer("/status/candidate").is_none_or(Value::is_null), "{held}");
    apply(&team, &test(&team, "unknown", [&one, &one], |spec| spec["variants"][1]["modelVersion"] = json!("flight-delay-0000000000")));
    not_accepted(&team, "unknown", "UnknownVersion", "flight-delay-0000000000");
    apply(&team, &test(&team, "other", [&two, &one], |_| {}));
    not_accepted(&team, "other", "ControlIsNotStable", text(&one, "/metadata/name"));

    // A pause gives the traffic back; then the third model, which nobody tests, is rolled out.
    for name in ["second", "unknown", "other"] {
        team.ann.kubectl(&["-n", &team.namespace, "delete", "abtest", name]).unwrap();
    }
    apply(&team, &test(&team, "first", [&one, &two], |spec| spec["paused"] = json!(true)));
    wait(&team, "first", |test| told(test, "Running").0 == "Paused");
    team.wait(WITHIN, |deployment| text(deployment, "/status/stable/modelVersion") == text(&three, "/metadata/name") && settled(deployment)).unwrap();
}

/// Serves a version, and nobody keeps its predictions.
fn serve_without_outcomes(team: &Team, version: &Value) {
    team.approve(version).unwrap();
    team.deploy(|spec| {
        spec["strategy"] = json!({});
        spec["rollback"] = json!({"keep": 1, "bake": "1s"});
    })
    .unwrap();
    team.wait(WITHIN, settled).unwrap();
}
