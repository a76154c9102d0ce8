//! Outcomes go to the evaluator by the router's address, and only the router says whose call it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use axum::http::StatusCode;
use common::{Router, pod, slice};
use plimsoll_router::assign::unit;
use serde_json::{Value, json};

/// A router over one model pod and, if it is given, an evaluator that is ready or not.
async fn router(evaluator: Option<bool>) -> Router {
    let (model, other) = (pod("model").await, pod("evaluator").await);
    let mut routes = json!({"version": 1, "seed": "seed", "stickyHeader": "x-user-id",
        "backends": [{"revision": "r1", "service": "model", "port": model, "weight": 10_000, "state": "Stable"}]});
    let mut slices = vec![slice("model", true)];
    if let Some(ready) = evaluator {
        routes["evaluator"] = json!({"service": "evaluator", "port": other});
        slices.push(slice("evaluator", ready));
    }
    Router::start(&routes, &slices).await
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
