//! ABTests: what is refused, what wins, what is invalid, what is switched off, and what is found on copies of calls.

mod broken;
mod guardrail;
mod killed;
mod misuse;
mod paired;
mod verdicts;

use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_crds::names::variant;
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::pods;
use plimsoll_tests::team::{Team, settled};
use serde_json::{Value, json};

/// How long a step may take, in seconds.
const WITHIN: u64 = 300;
/// How often the operator looks.
const CHECK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);
/// How long outcomes are waited for, in seconds.
const MATURITY: u64 = 10;

/// Serves this version with an evaluator; what is rolled out is not judged.
fn serve(team: &Team, version: &Value, change: impl Fn(&mut Value)) -> Value {
    team.approve(version).unwrap();
    team.deploy(|spec| {
        spec["checkInterval"] = json!(format!("{}s", CHECK_INTERVAL.as_secs()));
        spec["strategy"] = json!({});
        spec["rollback"] = json!({"keep": 1, "bake": "1s"});
        spec["outcomes"] = json!({"maturity": format!("{MATURITY}s"), "retention": "1h"});
        change(spec);
    })
    .unwrap();
    let name = text(version, "/metadata/name");
    team.wait(WITHIN, |deployment| settled(deployment) && is_true(deployment, "OutcomesCollected") && text(deployment, "/status/stable/modelVersion") == name)
        .unwrap()
}

/// A test of these versions, half of the planes each, as a person would write it.
fn test(team: &Team, name: &str, versions: [&Value; 2], change: impl Fn(&mut Value)) -> Value {
    let version = |place: usize| text(versions[place], "/metadata/name");
    let mut test = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ABTest", "metadata": {"name": name, "namespace": team.namespace},
        "spec": {
            "deployment": "flight-delay",
            "variants": [{"name": "control", "modelVersion": version(0), "weight": 50}, {"name": "treatment", "modelVersion": version(1), "weight": 50}],
            "unit": {"header": "x-user-id"},
            "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": 0.05},
            "guardrails": [{"metric": "errorRate", "margin": 0.05}],
            // Of the A/A tests here, one in a thousand may find something.
            "design": {"maximumUnitsPerVariant": 500, "looks": 3, "alpha": 0.001},
        },
    });
    change(&mut test["spec"]);
    test
}

fn apply(team: &Team, test: &Value) {
    team.apply(&team.ann, &test.to_string()).unwrap();
}

/// What the API server says to a manifest.
fn refused(team: &Team, manifest: &Value) -> String {
    let error = team.apply(&team.ann, &manifest.to_string()).unwrap_err().to_string();
    println!("{error}");
    error
}

/// The test when it is as expected.
fn wait(team: &Team, name: &str, expected: impl Fn(&Value) -> bool) -> Value {
    team.stage.admin.wait(&team.namespace, &format!("abtest/{name}"), std::time::Duration::from_secs(WITHIN), expected).unwrap()
}

/// The test when it has its verdict, with all traffic where it was.
fn end(team: &Team, name: &str) -> Value {
    let test = wait(team, name, |test| is_true(test, "Complete"));
    println!("{name}: {}: {}", text(&test, "/status/verdict"), text(&test, "/status/summary"));
    for look in test["status"]["looks"].as_array().into_iter().flatten() {
        let seen = &look["comparisons"][0];
        println!(
            "  look {} at {} users: {} of bound {}, interval {} to {}",
            look["number"], look["units"], seen["statistic"], seen["bound"], seen["lower"], seen["upper"]
        );
    }
    team.wait(WITHIN, |deployment| deployment.pointer("/status/test").is_none_or(|test| text(test, "/name") != name)).unwrap();
    test
}

/// What a condition says.
fn told(test: &Value, condition: &str) -> (String, String) {
    let conditions = test.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|found| found["type"] == condition).unwrap_or_default();
    (text(&found, "/reason").to_owned(), text(&found, "/message").to_owned())
}

/// Kills every pod of a component as a node that loses its power would.
fn kill(team: &Team, namespace: &str, labels: &str) {
    let found = pods::list(&team.stage.admin, namespace, labels).unwrap();
    assert!(!found.is_empty(), "no pod has {labels}");
    for pod in found.into_keys() {
        team.stage.admin.kubectl(&["-n", namespace, "delete", "pod", &pod, "--grace-period=0", "--force"]).unwrap();
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// What a model server hands over of a user, as if just predicted: even numbers meet the control, odd ones the treatment.
fn prediction(test: &Value, revision: &str, user: usize, value: f64) -> Value {
    let (name, uid) = (text(test, "/metadata/name"), text(test, "/metadata/uid"));
    let variant = variant(name, uid, if user.is_multiple_of(2) { "control" } else { "treatment" });
    json!({"id": format!("{name}-{user}/0"), "timeUnixMs": now(), "revision": revision, "variant": variant, "unit": format!("user-{user}"), "value": value, "positive": false})
}
