//! What goes wrong for a user, and what they are told: every row of `docs/errors.md` that needs a cluster.
//!
//! Each journey looks at what `kubectl` prints: a condition's type, status, reason, and that its message names the place.

mod data;
mod disk;
mod manifest;
mod secrets;
mod store;

use std::time::Duration;

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

/// How long a run may take to end, image and pod included.
const ENDS_WITHIN: Duration = Duration::from_secs(400);

/// A condition, as people read it.
#[derive(Debug)]
struct Told {
    status: String,
    reason: String,
    message: String,
}

/// What an object says about itself under this condition.
fn told(object: &Value, condition: &str) -> Told {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|found| found["type"] == condition).unwrap_or_default();
    Told { status: text(&found, "/status").to_owned(), reason: text(&found, "/reason").to_owned(), message: text(&found, "/message").to_owned() }
}

/// Asserts on a condition, and prints its message for the reader of the test's output.
fn says(object: &Value, condition: &str, status: &str, reason: &str, words: &[&str]) {
    let told = told(object, condition);
    println!("{condition}={} {}: {}", told.status, told.reason, told.message);
    assert_eq!((told.status.as_str(), told.reason.as_str()), (status, reason), "{condition}: {told:?}");
    for word in words {
        assert!(told.message.contains(word), "{condition} does not name {word:?}: {}", told.message);
    }
}

/// A quick job with changes to its spec.
fn job(team: &Team, name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut job = team.quick_job(name, 1).unwrap();
    change(&mut job["spec"]);
    job
}

/// The job with this name when it is as expected.
fn wait(team: &Team, name: &str, expected: impl Fn(&Value) -> bool) -> Value {
    team.stage.admin.wait(&team.namespace, &format!("trainingjob/{name}"), ENDS_WITHIN, expected).unwrap()
}

/// Runs a job that cannot succeed, and gives it when it says so.
fn fail(team: &Team, job: &Value) -> Value {
    team.apply(&team.ann, &job.to_string()).unwrap();
    wait(team, text(job, "/metadata/name"), |job| is_true(job, "Stalled"))
}

/// What the API server says about a manifest.
fn refused(team: &Team, manifest: &Value) -> String {
    let error = team.apply(&team.ann, &manifest.to_string()).unwrap_err().to_string();
    println!("{error}");
    error
}

/// A Secret for an object store, made by the administrator.
fn secret(team: &Team, name: &str, content: &Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": team.namespace}, "stringData": content});
    team.stage.admin.apply(&secret.to_string()).unwrap();
}
