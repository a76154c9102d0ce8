//! Who may hand over records, over REST and gRPC, with real signatures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/tokens.rs"]
mod tokens;

use plimsoll_evaluator::access::{Access, Policy};
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::serve::{probes, protocol};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::Sqlite;
use plimsoll_evaluator::writer::{Writer, now};
use plimsoll_evaluator_api::v1::evaluator_client::EvaluatorClient;
use plimsoll_evaluator_api::v1::{Outcome, Prediction, Receipt, RecordPredictionsRequest, ReportOutcomesRequest};
use plimsoll_serving::Readiness;
use serde_json::{Value, json};
use tokens::{AUDIENCE, Issuer, MODEL, ROUTER, claims, jwks};
use tonic::{Code, Request, Response, Status};

const HOUR: i64 = 3_600_000;

/// An evaluator that believes this issuer, or everybody.
struct Evaluator {
    serving: String,
    metrics: String,
    _folder: tempfile::TempDir,
}

impl Evaluator {
    async fn start(issuer: Option<&Issuer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = issuer.map_or_else(Access::of_everybody, |issuer| {
            let keys = folder.path().join("jwks.json");
            std::fs::write(&keys, jwks(&[issuer])).unwrap();
            Access::new(Policy { keys, audience: AUDIENCE.into(), predictions_from: MODEL.into(), outcomes_from: ROUTER.into() }).unwrap()
        });
        let store = Sqlite::open(&common::file(&folder)).unwrap();
        let ledger = Ledger::open(Box::new(store), Settings::new(Task::BinaryClassification, HOUR, 24 * HOUR)).unwrap();
        let (writer, _) = Writer::start(ledger, Readiness::default()).unwrap();
        let served = Served { writer, task: Task::BinaryClassification };
        let probes = probes(served.clone(), Readiness::default(), (String::new(), String::new()), access.clone());
        let mut addresses = Vec::new();
        for router in [access.guard(protocol(served).await.unwrap()), probes] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(format!("http://{}", listener.local_addr().unwrap()));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        let metrics = addresses.remove(1);
        Self { serving: addresses.remove(0), metrics, _folder: folder }
    }

    async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.serving)).body(body.to_string());
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn record(&self, id: &str, token: Option<&str>) -> (u16, Value) {
        self.post("/v1/predictions", &json!({"predictions": [{"id": id, "timeUnixMs": now(), "revision": "r1", "value": 0.5, "positive": true}]}), token).await
    }

    async fn report(&self, id: &str, token: Option<&str>) -> (u16, Value) {
        self.post("/v1/outcomes", &json!({"outcomes": [{"id": id, "value": 1}]}), token).await
    }

    /// Both calls over gRPC.
    async fn grpc(&self, id: &str, token: Option<&str>) -> [Result<Response<Receipt>, Status>; 2] {
        fn with<T>(message: T, token: Option<&str>) -> Request<T> {
            let mut request = Request::new(message);
            token.into_iter().for_each(|token| drop(request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap())));
            request
        }
        let mut client = EvaluatorClient::connect(self.serving.clone()).await.unwrap();
        let prediction = Prediction { id: id.into(), time_unix_ms: now(), revision: "r1".into(), value: 0.5, ..Prediction::default() };
        let predictions = RecordPredictionsRequest { predictions: vec![prediction] };
        let outcomes = ReportOutcomesRequest { outcomes: vec![Outcome { id: id.into(), value: 1.0 }] };
        [client.record_predictions(with(predictions, token)).await, client.report_outcomes(with(outcomes, token)).await]
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.serving)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn codes<T>(answers: &[Result<T, Status>; 2]) -> [Code; 2] {
    [0, 1].map(|place| answers[place].as_ref().map_or_else(Status::code, |_| Code::Ok))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_good_token_is_refused_and_nothing_is_stored() {
    let issuer = Issuer::rsa("one");
    let evaluator = Evaluator::start(Some(&issuer)).await;
    let other = issuer.sign(&claims("uid.other.flights.evaluator.plimsoll.dev", MODEL));
    let forged = Issuer::rsa("one").token(MODEL);
    let stranger = issuer.token("system:serviceaccount:flights:default");
    let table = [
        (None, "own routers and model servers only"),
        (Some(&other), "for another audience"),
        (Some(&forged), "signature is wrong"),
        (Some(&stranger), "may not hand over such records"),
    ];
    for (token, words) in table {
        let token = token.map(String::as_str);
        for (status, answer) in [evaluator.record("a/0", token).await, evaluator.report("a/0", token).await] {
            assert_eq!(status, 401, "{words}");
            let said = answer["error"].as_str().unwrap();
            assert!(said.contains(words) && !said.contains(AUDIENCE) && !said.contains(MODEL), "{said}");
        }
        let answers = evaluator.grpc("a/0", token).await;
        assert_eq!(codes(&answers), [Code::Unauthenticated; 2]);
        assert!(answers[0].as_ref().unwrap_err().message().contains(words));
    }
    assert_eq!(evaluator.get("/v1/records/a/0").await.0, 404, "nothing was stored");
    let counts: Value = serde_json::from_str(&evaluator.get("/v1/quality").await.1).unwrap();
    assert_eq!((&counts["counts"]["predictions"]["stored"], &counts["counts"]["outcomes"]["early"]), (&json!(0), &json!(0)));
    let page = reqwest::get(format!("{}/metrics", evaluator.metrics)).await.unwrap().text().await.unwrap();
    for reason in ["no_token", "audience", "signature", "account"] {
        let line = page.lines().find(|line| line.starts_with("plimsoll_evaluator_unauthorized_total") && line.contains(&format!("reason=\"{reason}\"")));
        assert!(line.is_some_and(|line| line.ends_with(" 4")), "{reason}: {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_hand_over_predictions_and_routers_outcomes_and_everybody_asks() {
    for issuer in [Issuer::rsa("one"), Issuer::ec("one")] {
        let evaluator = Evaluator::start(Some(&issuer)).await;
        let (model, router) = (issuer.token(MODEL), issuer.token(ROUTER));
        assert_eq!(evaluator.record("a/0", Some(&model)).await.0, 200);
        assert_eq!(evaluator.report("a/0", Some(&router)).await.1["stored"], 1);
        assert_eq!((evaluator.record("b/0", Some(&router)).await.0, evaluator.report("b/0", Some(&model)).await.0), (401, 401));
        assert_eq!(codes(&evaluator.grpc("c/0", Some(&model)).await), [Code::Ok, Code::Unauthenticated]);
        assert_eq!(codes(&evaluator.grpc("d/0", Some(&router)).await), [Code::Unauthenticated, Code::Ok]);
        for path in ["/v1/records/a/0", "/v1/records?unusual=unknown", "/v1/quality", "/v1/reports"] {
            assert_eq!(evaluator.get(path).await.0, 200, "{path}");
        }
        // Other spellings of a path lead nowhere, so not around the door either.
        for path in ["/v1/%70redictions", "/v1/predictions/", "//v1/predictions", "/V1/predictions"] {
            assert_eq!(evaluator.post(path, &json!({"predictions": []}), None).await.0, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_everybody_is_believed() {
    let evaluator = Evaluator::start(None).await;
    assert_eq!((evaluator.record("a/0", None).await.0, evaluator.report("a/0", None).await.0), (200, 200));
    assert_eq!(codes(&evaluator.grpc("b/0", Some("anything")).await), [Code::Ok; 2]);
}
