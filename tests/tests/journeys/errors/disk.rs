//! Scratch space that is too small: a write that fails in the trainer, and a pod that the kubelet ends.

use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{fail, job, says};

/// A job with a scratch space that the flights do not fit into, and one attempt.
fn small(team: &Team, name: &str, scratch: &Value, change: impl Fn(&mut Value)) -> Value {
    job(team, name, |spec| {
        spec["workers"]["scratch"] = scratch.clone();
        spec["run"]["maxAttempts"] = json!(1);
        change(spec);
    })
}

#[test]
#[ignore = "needs a cluster"]
fn a_full_disk_is_named_with_the_field_that_gives_more() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "full").unwrap();
    let job = small(&team, "full", &json!({"size": "1Mi", "medium": "Memory"}), |_| {});
    let ended = fail(&team, &job);
    says(
        &ended,
        "Failed",
        "True",
        "AttemptsExhausted",
        &["DiskFull: source \"flights\"", "/scratch/data/flights.csv", "raise workers.scratch.size, which is 1Mi"],
    );
    says(&ended, "Ready", "False", "AttemptsExhausted", &["workers.scratch.size"]);
}

#[test]
#[ignore = "needs a cluster"]
fn a_pod_that_the_kubelet_ends_for_its_disk_says_which_limit() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "evicted").unwrap();
    // Long enough for the kubelet to look.
    let job = small(&team, "evicted", &json!({"size": "1Mi"}), |spec| {
        spec["optimization"]["epochs"] = json!(10_000);
        spec["optimization"].as_object_mut().unwrap().remove("earlyStopping");
    });
    let ended = fail(&team, &job);
    says(
        &ended,
        "Failed",
        "True",
        "AttemptsExhausted",
        &["Evicted: the kubelet ended the pod", "EmptyDir volume \"scratch\" exceeds the limit \"1Mi\"", "Raise workers.scratch.size"],
    );
}
