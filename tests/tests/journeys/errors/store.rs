//! An object store that is away, or holds other bytes than were approved.

use std::path::PathBuf;

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{fail, job, says, secret, told, wait};

/// The Service, and the Secret that names it.
const LINE: &str = "s3-line";
/// The store's port.
const PORT: u16 = 7070;
/// Seconds for a container that failed to be started again and to succeed: kubelets wait five minutes at most.
const AGAIN: u64 = 400;

/// The namespace's own line to the object store, which can be cut: a Service with endpoints of our own.
struct Line<'a>(&'a Team);

impl<'a> Line<'a> {
    /// A line that is cut.
    fn new(team: &'a Team) -> Self {
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": LINE, "namespace": team.namespace}, "spec": {"ports": [{"port": PORT}]}});
        team.stage.admin.apply(&service.to_string()).unwrap();
        let endpoint = format!("http://{LINE}.{}:{PORT}", team.namespace);
        secret(team, LINE, &json!({"AWS_ACCESS_KEY_ID": "plimsoll", "AWS_SECRET_ACCESS_KEY": "plimsoll-secret", "AWS_ENDPOINT_URL": endpoint}));
        Self(team)
    }

    fn mend(&self) {
        let pods = self.0.stage.admin.get("storage", "pods").unwrap();
        let address = text(&pods, "/items/0/status/podIP");
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"port": PORT}], "endpoints": [{"addresses": [address]}],
            "metadata": {"name": LINE, "namespace": self.0.namespace, "labels": {"kubernetes.io/service-name": LINE}}});
        self.0.stage.admin.apply(&slice.to_string()).unwrap();
    }

    fn cut(&self) {
        self.0.stage.admin.kubectl(&["-n", &self.0.namespace, "delete", "endpointslice", LINE]).unwrap();
    }
}

fn with_attempts(team: &Team, name: &str, attempts: i32) -> Value {
    job(team, name, |spec| {
        spec["data"]["credentialsSecret"] = json!(LINE);
        spec["run"]["maxAttempts"] = json!(attempts);
    })
}

#[test]
#[ignore = "needs a cluster"]
fn a_training_waits_for_a_store_that_is_down_and_goes_on_when_it_is_back() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "down").unwrap();
    let line = Line::new(&team);
    let place = "StoreUnavailable: source \"flights\" (Secret s3-line): s3://data/flights.csv: the store cannot be reached";
    let given_up = fail(&team, &with_attempts(&team, "once", 1));
    says(&given_up, "Failed", "True", "AttemptsExhausted", &["1 of 1 attempts failed", place, "http://s3-line."]);
    team.apply(&team.ann, &with_attempts(&team, "patient", 10).to_string()).unwrap();
    let waiting = wait(&team, "patient", |job| told(job, "Running").reason == "WaitingToRetry");
    says(&waiting, "Running", "False", "WaitingToRetry", &["attempt 2 waits", place]);
    says(&waiting, "Ready", "False", "WaitingToRetry", &[place]);
    line.mend();
    wait(&team, "patient", |job| is_true(job, "Ready"));
}

#[test]
#[ignore = "needs a cluster"]
fn a_deployment_waits_for_a_store_that_is_down_and_serves_when_it_is_back() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "fetch").unwrap();
    let line = Line::new(&team);
    line.mend();
    let version = team.train(&job(&team, "fetch", |spec| spec["output"]["credentialsSecret"] = json!(LINE)).to_string()).unwrap();
    team.approve(&version).unwrap();
    line.cut();
    team.deploy(|_| {}).unwrap();
    let waiting = team.wait(120, |deployment| told(deployment, "Progressing").reason == "ModelNotFetched").unwrap();
    let place = format!("StoreUnavailable: {}/manifest.json: the store cannot be reached", text(&version, "/spec/uri"));
    says(&waiting, "Progressing", "True", "ModelNotFetched", &["container fetch of pod flight-delay-", &place, "tried again by itself"]);
    says(&waiting, "Ready", "False", "NothingStable", &[&place]);
    assert!(!is_true(&waiting, "Stalled"), "it may pass");
    line.mend();
    team.wait(AGAIN, |deployment| is_true(deployment, "Ready")).unwrap();
}

#[test]
#[ignore = "needs a cluster"]
fn bytes_that_were_changed_in_the_bucket_are_refused_and_named() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "bytes").unwrap();
    let version = team.train(&team.quick_job("bytes", 1).unwrap().to_string()).unwrap();
    team.approve(&version).unwrap();
    let uri = text(&version, "/spec/uri");
    let weights = in_bucket(&team.stage, uri).join("weights.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, changed).unwrap();
    team.deploy(|_| {}).unwrap();
    let refused = team.wait(120, |deployment| is_true(deployment, "Stalled")).unwrap();
    let place = format!("ArtifactMismatch: {uri}/weights.safetensors: has {} bytes and sha256:", bytes.len());
    says(&refused, "Stalled", "True", "ModelNotFetched", &["container fetch of pod flight-delay-", &place, "but manifest.json says"]);
    says(&refused, "Ready", "False", "NothingStable", &[&place]);
    says(&refused, "Progressing", "True", "ModelNotFetched", &[&place]);
    std::fs::write(&weights, bytes).unwrap();
    team.wait(AGAIN, |deployment| is_true(deployment, "Ready")).unwrap();
}

/// Where the cluster's object store keeps what lies at an address.
fn in_bucket(stage: &Stage, uri: &str) -> PathBuf {
    stage.folder().unwrap().join("storage").join(uri.strip_prefix("s3://").unwrap())
}
