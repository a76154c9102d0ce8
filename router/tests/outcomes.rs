//! Outcomes go to the evaluator by the router's address, and only the router says whose call it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, StatusCode, Uri};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use plimsoll_router::assign::unit;
use plimsoll_router::metrics::Metrics;
use plimsoll_router::proxy::Proxy;
use plimsoll_router::routes::Routes;
use plimsoll_router::serve::serve;
use plimsoll_router::table::Table;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A pod that says who it is and what it got.
async fn pod(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |uri: Uri, headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        axum::Json(json!({"pod": name, "path": uri.path(), "unit": header("x-plimsoll-unit"), "variant": header("x-plimsoll-variant")}))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    port
}

fn slice(service: &str, ready: bool) -> EndpointSlice {
    let endpoints = json!([{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}]);
    serde_json::from_value(json!({"addressType": "IPv4", "metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints})).unwrap()
}

/// A router over one model pod and, if it is given, an evaluator that is ready or not. Gives its address.
async fn router(evaluator: Option<bool>) -> String {
    let (model, other) = (pod("model").await, pod("evaluator").await);
    let mut routes = json!({"version": 1, "seed": "seed", "stickyHeader": "x-user-id",
        "backends": [{"revision": "r1", "service": "model", "port": model, "weight": 10_000, "state": "Stable"}]});
    let mut slices = vec![slice("model", true)];
    if let Some(ready) = evaluator {
        routes["evaluator"] = json!({"service": "evaluator", "port": other});
        slices.push(slice("evaluator", ready));
    }
    let table = Table::default().with(Routes::parse(&routes.to_string()).unwrap(), &slices);
    let metrics = Metrics::new("flights", "flight-delay").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, Proxy::new(Arc::new(ArcSwap::from_pointee(table)), metrics), CancellationToken::new()));
    address
}

async fn post(url: String, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let request = headers.iter().fold(reqwest::Client::new().post(url), |request, (name, value)| request.header(*name, *value));
    let answer = request.body("{}").send().await.unwrap();
    (StatusCode::from_u16(answer.status().as_u16()).unwrap(), answer.json().await.unwrap())
}

#[tokio::test]
async fn outcomes_go_to_the_evaluator_and_calls_to_the_model() {
    let address = router(Some(true)).await;
    let table = [
        ("/v1/outcomes", "evaluator"),
        ("/plimsoll.evaluator.v1.Evaluator/ReportOutcomes", "evaluator"),
        ("/v2/models/m/infer", "model"),
        // Predictions come from model servers only, and not this way.
        ("/v1/predictions", "model"),
        ("/plimsoll.evaluator.v1.Evaluator/RecordPredictions", "model"),
    ];
    for (path, expected) in table {
        let (status, answer) = post(format!("{address}{path}"), &[]).await;
        assert_eq!((status, answer["pod"].as_str(), answer["path"].as_str()), (StatusCode::OK, Some(expected), Some(path)));
    }
}

#[tokio::test]
async fn only_the_router_says_whose_call_it_is() {
    let address = router(Some(true)).await;
    let forged = [("x-plimsoll-unit", "somebody"), ("x-plimsoll-variant", "treatment")];
    let (_, nobody) = post(format!("{address}/v2/models/m/infer"), &forged).await;
    assert_eq!((&nobody["unit"], &nobody["variant"]), (&Value::Null, &Value::Null));
    let (_, somebody) = post(format!("{address}/v2/models/m/infer"), &[forged[0], ("x-user-id", "N14228")]).await;
    assert_eq!(somebody["unit"], unit("seed", b"N14228"));
    let (_, unasked) = post(format!("{}/v2/models/m/infer", router(None).await), &[forged[0], ("x-user-id", "N14228")]).await;
    assert_eq!(unasked["unit"], Value::Null, "where nobody asks for outcomes");
}

#[tokio::test]
async fn who_reports_outcomes_that_nobody_takes_is_told_why() {
    let (status, answer) = post(format!("{}/v1/outcomes", router(None).await), &[]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::NOT_FOUND, Some("this ModelDeployment asks for no outcomes")));
    let (status, answer) = post(format!("{}/v1/outcomes", router(Some(false)).await), &[]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("the evaluator is not ready; nothing was stored, send it again")));
}
