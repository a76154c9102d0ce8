//! Manifests that are wrong: refused when they are applied where the API server can know, else told by a condition within seconds.

use plimsoll_tests::cluster::is_true;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{fail, job, refused, says};

#[test]
#[ignore = "needs a cluster"]
fn a_broken_manifest_is_refused_with_the_path_of_the_field() {
    type Change = fn(&mut Value);
    let team = Team::visit(&Stage::of_journeys().unwrap(), "manifest").unwrap();
    let cases: [(Change, &[&str]); 6] = [
        (|spec| spec["features"][0]["type"] = json!("Categoric"), &["spec.features[0].type", "Categoric", "\"Numeric\", \"Categorical\""]),
        (|spec| spec["optimization"]["epochs"] = json!("many"), &["spec.optimization.epochs: expected numeric", "got string"]),
        (|spec| spec["optimisation"] = json!({}), &["unknown field \"spec.optimisation\""]),
        (|spec| drop(spec.as_object_mut().unwrap().remove("output")), &["spec.output", "Required value"]),
        (
            |spec| spec["data"]["split"]["byTime"]["test"] = json!("30d"),
            &["spec.data.split.byTime", "give either test (the newest span of the window) or testFrom"],
        ),
        (|spec| spec["workers"]["scratch"] = json!({"size": "plenty"}), &["spec.workers.scratch.size", "plenty"]),
    ];
    for (change, words) in cases {
        let error = refused(&team, &job(&team, "broken", change));
        for word in words {
            assert!(error.contains(word), "{word:?} is not named: {error}");
        }
    }
    assert!(team.get("trainingjob/broken").unwrap().is_null());
}

#[test]
#[ignore = "needs a cluster"]
fn an_approval_whose_end_no_clock_reaches_or_names_is_refused() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "expires").unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let version = json!({"metadata": {"name": "flight-delay-0123456789"}, "spec": {"digest": digest, "report": {"digest": digest}}});
    // The operator could read none of these, and one such object would hide all others from it.
    for time in ["9999-12-31T23:59:59Z", "2030-01-01T00:00:00", "2030-01-01", "tomorrow"] {
        let mut approval = team.approval("gil", &version);
        approval["spec"]["expiresAt"] = json!(time);
        let error = team.apply(&team.gil, &approval.to_string()).unwrap_err().to_string();
        assert!(error.contains("spec.expiresAt"), "{time}: {error}");
    }
    assert_eq!(team.gil.kubectl(&["-n", &team.namespace, "get", "modelapprovals", "-o", "name"]).unwrap(), "");
}

#[test]
#[ignore = "needs a cluster"]
fn a_spec_that_cannot_be_carried_out_is_not_accepted() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "spec").unwrap();
    let job = job(&team, "spec", |spec| spec["features"][5]["name"] = json!("late"));
    let refused = fail(&team, &job);
    says(&refused, "Accepted", "False", "BadSpec", &["features: \"late\" is the label", "create another TrainingJob"]);
    says(&refused, "Ready", "False", "BadSpec", &["\"late\""]);
}

#[test]
#[ignore = "needs a cluster"]
fn a_deployment_of_a_version_or_runtime_that_does_not_exist_is_stalled() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "nowhere").unwrap();
    team.deploy(|spec| spec["model"]["version"] = json!("flight-delay-0123456789")).unwrap();
    let stalled = team.wait(60, |deployment| is_true(deployment, "Stalled")).unwrap();
    says(&stalled, "Stalled", "True", "UnknownVersion", &["spec.model.version", "\"flight-delay-0123456789\"", "there are: none"]);
    says(&stalled, "Ready", "False", "NothingStable", &["flight-delay-0123456789"]);

    let version = team.train(&team.quick_job("known", 1).unwrap().to_string()).unwrap();
    team.approve(&version).unwrap();
    team.deploy(|spec| spec["predictor"]["runtime"] = json!("sklearn")).unwrap();
    let stalled = team.wait(60, |deployment| super::told(deployment, "Stalled").reason == "UnknownRuntime").unwrap();
    says(&stalled, "Stalled", "True", "UnknownRuntime", &["spec.predictor.runtime: \"sklearn\"", "default"]);
}
