//! Conversations with the API server: what is asked in which order, and what the answers lead to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use plimsoll_crds::{ModelVersion, ModelVersionStatus};
use serde_json::{Value, json};

use super::*;
use crate::approval::tests::fixtures::version;

/// What was asked: method, path with query, body.
type Asked = (String, String, Value);

/// An API server that answers in turn, and remembers what it was asked. Anything beyond the script is refused.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    fn new(answers: Vec<(u16, Value)>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into())), asked: Arc::default() }
    }

    fn io(&self) -> KubeIo {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| script.clone().answer(request));
        KubeIo::new(Client::new(service, "n"), "plimsoll-training", Metrics::new().unwrap())
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push((head.method.to_string(), path, serde_json::from_slice(&body).unwrap_or_default()));
        let (status, answer) = self.answers.lock().unwrap().pop_front().unwrap_or((500, failure(500, "Unexpected")));
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body).unwrap())
    }

    /// Methods and paths, in order; the script must have been used up.
    fn lines(&self) -> Vec<String> {
        assert!(self.answers.lock().unwrap().is_empty(), "not everything was asked: {:?}", self.asked.lock().unwrap());
        self.asked.lock().unwrap().iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    fn body(&self, number: usize) -> Value {
        self.asked.lock().unwrap()[number].2.clone()
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn config(data: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "ownerReferences": [{"apiVersion": "a/v1", "kind": "K", "name": "o", "uid": "u"}]}, "data": {"k": data}})
}

fn reference(kind: &str) -> Change {
    Change::Delete(Reference { kind: kind.to_owned(), name: "c".to_owned(), uid: "u1".to_owned() })
}

const CONFIG: &str = "/api/v1/namespaces/n/configmaps/c";

#[tokio::test]
async fn writes_happen_in_order_and_stop_at_the_first_that_fails() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}});
    let mut refused = failure(403, "Forbidden");
    refused["message"] = "services \"s\" is forbidden: exceeded quota".into();
    let script = Script::new(vec![(200, config("1")), (403, refused)]);
    let error = script.io().apply("n", &[Change::Apply(config("1")), Change::Create(service), reference("ConfigMap")]).await.unwrap_err();
    assert_eq!(
        script.lines(),
        [format!("PATCH {CONFIG}?&force=true&fieldManager=plimsoll-training"), "POST /api/v1/namespaces/n/services?&fieldManager=plimsoll-training".to_owned(),]
    );
    assert_eq!(error.to_string(), "cannot create Service s: services \"s\" is forbidden: exceeded quota");
    assert_eq!(script.body(0), config("1"), "nothing is claimed beyond what is wanted");
}

#[tokio::test]
async fn what_server_side_apply_leaves_in_a_list_is_replaced() {
    let mut more = config("1");
    more["metadata"]["ownerReferences"].as_array_mut().unwrap().push(json!({"apiVersion": "a/v1", "kind": "K", "name": "p", "uid": "v"}));
    let script = Script::new(vec![(200, more), (200, config("1"))]);
    script.io().apply("n", &[Change::Apply(config("1"))]).await.unwrap();
    assert_eq!(script.lines()[1], format!("PATCH {CONFIG}?&fieldManager=plimsoll-training"));
}

#[tokio::test]
async fn i1_creating_again_is_nothing_unless_the_object_is_somebody_elses() {
    let mut foreign = config("1");
    foreign["metadata"]["ownerReferences"][0]["uid"] = "other".into();
    for (live, ours) in [(config("2"), true), (foreign, false)] {
        let script = Script::new(vec![(409, failure(409, "AlreadyExists")), (200, live)]);
        let result = script.io().apply("n", &[Change::Create(config("1"))]).await;
        assert_eq!(result.is_ok(), ours);
        assert!(ours || matches!(result, Err(Error::NotOurs { what }) if what == "ConfigMap c"));
        assert_eq!(script.lines(), ["POST /api/v1/namespaces/n/configmaps?&fieldManager=plimsoll-training".to_owned(), format!("GET {CONFIG}")]);
    }
}

#[tokio::test]
async fn only_the_object_that_was_seen_is_deleted_and_a_job_with_its_pods() {
    for (status, answer) in [(200, json!({"kind": "Status", "status": "Success"})), (404, failure(404, "NotFound")), (409, failure(409, "Conflict"))] {
        let script = Script::new(vec![(status, answer)]);
        script.io().apply("n", &[reference("ConfigMap")]).await.unwrap();
        assert_eq!(script.lines(), [format!("DELETE {CONFIG}?")]);
        assert_eq!(script.body(0), json!({"preconditions": {"uid": "u1"}, "propagationPolicy": "Background"}));
    }
    let script = Script::new(vec![(200, json!({"kind": "Status", "status": "Success"}))]);
    script.io().apply("n", &[reference("Job")]).await.unwrap();
    assert_eq!((script.lines()[0].as_str(), script.body(0)["propagationPolicy"].as_str()), ("DELETE /apis/batch/v1/namespaces/n/jobs/c?", Some("Foreground")));
}

#[tokio::test]
async fn a_kind_that_is_not_in_the_list_is_not_written() {
    let script = Script::default();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    assert!(matches!(script.io().apply("n", &[Change::Apply(pod)]).await, Err(Error::Incomplete { .. })));
    assert_eq!(script.lines(), Vec::<String>::new());
}

fn seen() -> ModelVersion {
    let mut version = version();
    (version.metadata.namespace, version.metadata.resource_version) = (Some("n".to_owned()), Some("7".to_owned()));
    version
}

fn status(serving: &[&str]) -> ModelVersionStatus {
    ModelVersionStatus { observed_generation: Some(1), conditions: Vec::new(), serving: serving.iter().map(|name| (*name).to_owned()).collect() }
}

#[tokio::test]
async fn i8_an_equal_status_is_not_written() {
    let script = Script::default();
    assert!(!script.io().write_status(&seen(), Some(&status(&["d"])), &status(&["d"])).await.unwrap());
    assert_eq!(script.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_status_is_one_patch_that_clears_what_is_gone_and_names_what_was_read() {
    let script = Script::new(vec![(200, serde_json::to_value(seen()).unwrap())]);
    assert!(script.io().write_status(&seen(), Some(&status(&["d"])), &status(&[])).await.unwrap());
    assert_eq!(script.lines(), ["PATCH /apis/plimsoll.dev/v1alpha1/namespaces/n/modelversions/m-aaaaaaaaaa/status?&fieldManager=plimsoll-training"]);
    assert_eq!(script.body(0), json!({"metadata": {"resourceVersion": "7"}, "status": {"observedGeneration": 1, "serving": null}}));
}

#[tokio::test]
async fn a_status_of_an_object_that_is_gone_is_no_error_and_one_of_an_object_that_changed_is() {
    let script = Script::new(vec![(404, failure(404, "NotFound"))]);
    assert!(!script.io().write_status(&seen(), None, &status(&[])).await.unwrap());
    let script = Script::new(vec![(409, failure(409, "Conflict"))]);
    assert!(matches!(script.io().write_status(&seen(), None, &status(&[])).await, Err(Error::Write { verb: "patch the status of", .. })));
    assert_eq!(script.lines().len(), 1, "the next pass decides on what is there then");
}

#[tokio::test]
async fn two_events_of_one_reason_are_two_events() {
    let script = Script::new(vec![(201, json!({})), (201, json!({}))]);
    let note = |message: &str| Note { warning: true, reason: "AttemptFailed", message: message.to_owned() };
    script.io().publish(&seen(), &[note("out of memory"), note("the store is down")]).await;
    assert_eq!(script.lines(), ["POST /apis/events.k8s.io/v1/namespaces/n/events?"; 2]);
    assert_eq!((&script.body(0)["note"], &script.body(1)["note"]), (&json!("out of memory"), &json!("the store is down")));
}

#[tokio::test]
async fn an_event_that_is_lost_is_no_error() {
    let script = Script::new(vec![(403, failure(403, "Forbidden"))]);
    let note = Note { warning: true, reason: "AttemptFailed", message: "why".to_owned() };
    script.io().publish(&seen(), &[note]).await;
    assert_eq!(script.lines(), ["POST /apis/events.k8s.io/v1/namespaces/n/events?"]);
    let body = script.body(0);
    assert_eq!((&body["type"], &body["reason"], &body["note"]), (&json!("Warning"), &json!("AttemptFailed"), &json!("why")));
}
