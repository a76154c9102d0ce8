//! Secrets that cannot be read: not there, not the author's, not complete, not right.

use plimsoll_tests::cluster::is_true;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::json;

use super::{fail, job, says, secret, told, wait};

#[test]
#[ignore = "needs a cluster"]
fn a_missing_secret_is_named_and_waited_for() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "secret").unwrap();
    let job = job(&team, "secret", |spec| spec["data"]["credentialsSecret"] = json!("nowhere"));
    team.apply(&team.ann, &job.to_string()).unwrap();
    let waiting = wait(&team, "secret", |job| told(job, "Running").reason == "VolumesNotReady");
    says(&waiting, "Running", "False", "VolumesNotReady", &["missing Secret", "kubectl get secret nowhere object-store", &team.namespace]);
    says(&waiting, "Ready", "False", "VolumesNotReady", &["nowhere"]);
    secret(
        &team,
        "nowhere",
        &json!({"AWS_ACCESS_KEY_ID": "plimsoll", "AWS_SECRET_ACCESS_KEY": "plimsoll-secret", "AWS_ENDPOINT_URL": "http://s3.storage:7070"}),
    );
    let ready = wait(&team, "secret", |job| is_true(job, "Ready"));
    assert_eq!(ready["status"]["attempts"].as_array().unwrap().len(), 1, "the attempt that waited goes on");
}

/// Dan may train, but may not read Secrets: a pod must not read them for him.
#[test]
#[ignore = "needs a cluster"]
fn a_secret_that_its_author_may_not_read_is_refused() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "author").unwrap();
    let bind = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "dan-trains", "namespace": team.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "plimsoll-edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dan"}]});
    stage.admin.apply(&bind.to_string()).unwrap();
    let dan = stage.person("dan").unwrap();
    let manifest = job(&team, "author", |_| {}).to_string();
    let error = team.apply(&dan, &manifest).unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("you may not get the Secret object-store that spec.data.credentialsSecret names"), "{error}");
    assert!(team.get("trainingjob/author").unwrap().is_null());
}

#[test]
#[ignore = "needs a cluster"]
fn a_secret_that_lacks_a_key_or_has_a_wrong_one_is_named() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "key").unwrap();
    let endpoint = "http://s3.storage:7070";
    secret(&team, "half", &json!({"AWS_ACCESS_KEY_ID": "plimsoll", "AWS_ENDPOINT_URL": endpoint}));
    secret(&team, "wrong", &json!({"AWS_ACCESS_KEY_ID": "plimsoll", "AWS_SECRET_ACCESS_KEY": "guessed", "AWS_ENDPOINT_URL": endpoint}));
    let with = |name: &str| {
        job(&team, name, |spec| {
            spec["data"]["credentialsSecret"] = json!(name);
            spec["run"]["maxAttempts"] = json!(1);
        })
    };
    let half = fail(&team, &with("half"));
    says(&half, "Failed", "True", "AttemptsExhausted", &["BadCredentials: source \"flights\" (Secret half)", "AWS_SECRET_ACCESS_KEY: the key is missing"]);
    let wrong = fail(&team, &with("wrong"));
    says(&wrong, "Failed", "True", "AttemptsExhausted", &["StoreDenied: source \"flights\" (Secret wrong): s3://data/flights.csv", "check the credentials"]);
}
