//! The same manifest again is no change, whoever asks and however they apply it.

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

/// Every sample, in this namespace. Runs are held, so that the journey is about manifests and not about training; a held one is settled at once.
fn samples(team: &Team) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(team.stage.tree("deploy/samples/flights")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    let here = |path: std::path::PathBuf| {
        let mut sample: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        sample["metadata"]["namespace"] = json!(team.namespace);
        if sample["kind"] == "TrainingJob" {
            sample["spec"]["run"]["suspend"] = json!(true);
        }
        sample
    };
    files.into_iter().map(here).collect()
}

fn reference(sample: &Value) -> String {
    format!("{}/{}", text(sample, "/kind").to_lowercase(), text(sample, "/metadata/name"))
}

/// Waits until the operator has said all that it has to say, and gives what an apply may not change.
fn settled(team: &Team, sample: &Value) -> (Value, Value) {
    let seen = |object: &Value| {
        object["status"]["observedGeneration"] == object["metadata"]["generation"] && (is_true(object, "Suspended") || object["kind"] != "TrainingJob")
    };
    let object = team.stage.admin.wait(&team.namespace, &reference(sample), std::time::Duration::from_secs(60), seen).unwrap();
    (object["metadata"]["generation"].clone(), object["spec"].clone())
}

#[test]
#[ignore = "needs a cluster"]
fn every_sample_applied_twice_is_unchanged() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "twice").unwrap();
    let samples = samples(&team);
    let kubectl = |arguments: &[&str], sample: &Value| team.ann.kubectl_with(arguments, Some(&sample.to_string()));
    for sample in &samples {
        let created = kubectl(&["apply", "-f", "-"], sample).unwrap();
        assert!(created.contains("created"), "{created}");
    }
    for sample in &samples {
        let what = reference(sample);
        let before = settled(&team, sample);
        let again = kubectl(&["apply", "-f", "-"], sample).unwrap();
        assert!(again.contains("unchanged"), "{again}");
        let dry = kubectl(&["apply", "-f", "-", "--dry-run=server"], sample).unwrap();
        assert!(dry.contains("unchanged (server dry run)"), "{dry}");
        // It ends with 1 when there is a difference, and prints it.
        assert_eq!(kubectl(&["diff", "-f", "-"], sample).unwrap(), "", "{what} differs from its manifest");
        assert_eq!(settled(&team, sample), before, "{what} changed");
    }
}

#[test]
#[ignore = "needs a cluster"]
fn every_sample_applied_twice_by_the_server_is_unchanged() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "server-side").unwrap();
    let apply = |sample: &Value| team.ann.kubectl_with(&["apply", "--server-side", "--field-manager=gitops", "-f", "-"], Some(&sample.to_string())).unwrap();
    let version = |what: &str| team.get(what).unwrap()["metadata"]["resourceVersion"].clone();
    for sample in &samples(&team) {
        let what = reference(sample);
        apply(sample);
        let before = settled(&team, sample);
        let first = version(&what);
        apply(sample);
        let diff = team.ann.kubectl_with(&["diff", "--server-side", "--field-manager=gitops", "-f", "-"], Some(&sample.to_string())).unwrap();
        assert_eq!(diff, "", "{what} differs from its manifest");
        assert_eq!((settled(&team, sample), version(&what)), (before, first), "{what} was written although nothing changed");
    }
}

#[test]
#[ignore = "needs a cluster"]
fn a_server_side_dry_run_leaves_nothing_behind() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "dry-run").unwrap();
    let dry_run = |manifest: &Value| team.ann.kubectl_with(&["apply", "-f", "-", "--dry-run=server"], Some(&manifest.to_string()));
    for mut sample in samples(&team) {
        let what = reference(&sample);
        assert!(dry_run(&sample).unwrap().contains("created (server dry run)"), "{what}");
        assert_eq!(team.get(&what).unwrap(), Value::Null, "{what} is there");
        team.apply(&team.ann, &sample.to_string()).unwrap();
        let before = settled(&team, &sample);
        if sample["kind"] == "ModelDeployment" {
            sample["spec"]["predictor"]["replicas"] = json!(3);
            assert!(dry_run(&sample).unwrap().contains("configured (server dry run)"), "{what}");
        } else {
            // A dry run passes admission too.
            let (pointer, value, words) = match text(&sample, "/kind") {
                "ABTest" => ("/spec/design/alpha", json!(0.2), "fixed when it is made"),
                _ => ("/spec/optimization/seed", json!(4_711), "spec is immutable"),
            };
            *sample.pointer_mut(pointer).unwrap() = value;
            let refused = dry_run(&sample).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
        assert_eq!(settled(&team, &sample), before, "{what} changed");
    }
}

/// Whatever has a default may be left out, and a rule that looks at it must not stumble.
#[test]
#[ignore = "needs a cluster"]
fn the_shortest_deployments_are_accepted() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "short").unwrap();
    let model = json!({"name": "flight-delay"});
    let steps = json!([{"setWeight": 10}, {"pause": {}}]);
    let errors = json!({"name": "errors", "errorRate": {"versusStable": {"margin": 0.01}}});
    let dry_run = |spec: Value| {
        let manifest =
            json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "short", "namespace": team.namespace}, "spec": spec});
        team.ann.kubectl_with(&["apply", "-f", "-", "--dry-run=server"], Some(&manifest.to_string()))
    };
    for spec in [
        json!({"model": model}),
        json!({"model": model, "strategy": {}}),
        json!({"model": model, "strategy": {"canary": {"steps": steps}}}),
        json!({"model": model, "strategy": {"canary": {"steps": steps}}, "checks": []}),
        json!({"model": model, "strategy": {"canary": {"checks": ["errors"]}}, "checks": [errors]}),
    ] {
        let accepted = dry_run(spec.clone());
        assert!(accepted.is_ok(), "{spec}: {accepted:?}");
    }
    for spec in [
        json!({"model": model, "strategy": {"canary": {"checks": ["errors"]}}}),
        json!({"model": model, "strategy": {"canary": {"checks": ["other"]}}, "checks": [errors]}),
    ] {
        let refused = dry_run(spec).unwrap_err().to_string();
        assert!(refused.contains("must name entries of spec.checks"), "{refused}");
    }
}
