//! Outcomes go to the evaluator by the router's address, and only the router says whose call it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use axum::http::StatusCode;
use common::{Router, pod, slice};
use plimsoll_router::assign::unit;
use plimsoll_router::token::Token;
use serde_json::{Value, json};

/// A router over one model pod and, if it is given, an evaluator that is ready or not.
async fn router(evaluator: Option<bool>) -> Router {
    let other = pod("evaluator").await;
    router_to(other, evaluator, None).await
}

async fn router_to(other: u16, evaluator: Option<bool>, token: Option<Token>) -> Router {
    let model = pod("model").await;
    let mut routes = json!({"version": 1, "seed": "seed", "stickyHeader": "x-user-id",
        "backends": [{"revision": "r1", "service": "model", "port": model, "weight": 10_000, "state": "Stable"}]});
    let mut slices = vec![slice("model", true)];
    if let Some(ready) = evaluator {
        routes["evaluator"] = json!({"service": "evaluator", "port": other});
        slices.push(slice("evaluator", ready));
    }
    Router::with_token(&routes, &slices, token).await
}

#[tokio::test]
async fn outcomes_go_to_the_evaluator_and_calls_to_the_model() {
    let router = router(Some(true)).await;
    let table = [
        ("/v1/outcomes", "evaluator"),
        ("/plimsoll.evaluator.v1.Evaluator/ReportOutcomes", "evaluator"),
        ("/v2/models/m/infer", "model"),
        // Predictions come from model servers only, and not this way.
        ("/v1/predictions", "model"),
        ("/plimsoll.evaluator.v1.Evaluator/RecordPredictions", "model"),
    ];
    for (path, expected) in table {
        let (status, answer, _) = router.post(path, &[]).await;
        assert_eq!((status, answer["pod"].as_str(), answer["path"].as_str()), (StatusCode::OK, Some(expected), Some(path)));
    }
}

#[tokio::test]
async fn only_the_router_says_whose_call_it_is() {
    let asks = router(Some(true)).await;
    let forged = [("x-plimsoll-unit", "somebody"), ("x-plimsoll-variant", "treatment")];
    let (_, nobody, _) = asks.post("/v2/models/m/infer", &forged).await;
    assert_eq!((&nobody["unit"], &nobody["variant"]), (&Value::Null, &Value::Null));
    let (_, somebody, _) = asks.post("/v2/models/m/infer", &[forged[0], ("x-user-id", "N14228")]).await;
    assert_eq!(somebody["unit"], unit("seed", b"N14228"));
    let (_, unasked, _) = router(None).await.post("/v2/models/m/infer", &[forged[0], ("x-user-id", "N14228")]).await;
    assert_eq!(unasked["unit"], Value::Null, "where nobody asks for outcomes");
}

#[tokio::test]
async fn who_reports_outcomes_that_nobody_takes_is_told_why() {
    let (status, answer, _) = router(None).await.post("/v1/outcomes", &[]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::NOT_FOUND, Some("this ModelDeployment asks for no outcomes")));
    let (status, answer, _) = router(Some(false)).await.post("/v1/outcomes", &[]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("the evaluator is not ready; nothing was stored, send it again")));
}

#[tokio::test]
async fn the_router_speaks_to_the_evaluator_in_its_own_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "of-the-router\n").unwrap();
    let mine = [("authorization", "Bearer of-the-caller")];
    let paths = ["/v1/outcomes", "/plimsoll.evaluator.v1.Evaluator/ReportOutcomes"];
    for (token, shown) in [(Some(Token::new(file.clone())), json!("Bearer of-the-router")), (Some(Token::new(folder.path().join("nowhere"))), Value::Null)] {
        let router = router_to(pod("evaluator").await, Some(true), token).await;
        for path in paths {
            assert_eq!(router.post(path, &mine).await.1["authorization"], shown, "{path}");
            assert_eq!(router.post(path, &[]).await.1["authorization"], shown, "{path}");
        }
        let (_, call, _) = router.post("/v2/models/m/infer", &mine).await;
        assert_eq!(call["authorization"], json!("Bearer of-the-caller"), "a model's callers say who they are themselves");
    }
    let without = router(Some(true)).await;
    assert_eq!(without.post("/v1/outcomes", &mine).await.1["authorization"], Value::Null, "the evaluator knows no callers");
}

#[tokio::test]
async fn a_router_that_is_not_believed_asks_the_caller_to_send_it_again() {
    let refuses = |headers: axum::http::HeaderMap| async move {
        match headers.get("content-type").is_some_and(|kind| kind == "application/grpc") {
            true => (StatusCode::OK, [("content-type", "application/grpc"), ("grpc-status", "16")], String::new()),
            false => (StatusCode::UNAUTHORIZED, [("content-type", "application/json"), ("www-authenticate", "Bearer")], r#"{"error": "expired"}"#.to_owned()),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuses)).await });
    let router = router_to(port, Some(true), None).await;
    let (status, answer, _) = router.post("/v1/outcomes", &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "the caller can correct nothing");
    assert!(answer["error"].as_str().unwrap().contains("nothing was stored, send it again"), "{answer}");
    let call = reqwest::Client::new().post(format!("{}/plimsoll.evaluator.v1.Evaluator/ReportOutcomes", router.address));
    let answer = call.header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "14");
}
