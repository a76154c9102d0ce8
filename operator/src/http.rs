//! What the operator listens on: metrics and probes, and Alertmanager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{DefaultBodyLimit, Json};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::Router;
use serde::Deserialize;

use crate::deployment::Pokes;
use crate::telemetry::Metrics;

/// The largest message of Alertmanager that is read.
const MESSAGE_BYTES: usize = 1 << 20;
/// The most alerts of one message that are looked at.
const ALERTS: usize = 1000;

/// A message of Alertmanager. Only who it is about matters: an alert makes the operator look, and decides nothing.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Metrics and probes.
pub fn probes(metrics: Metrics, ready: Arc<AtomicBool>) -> Router {
    let ready = move || async move { if ready.load(Ordering::Acquire) { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "waiting for the custom resource definitions\n") } };
    Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
}

/// Hears Alertmanager.
pub fn alerts(pokes: Pokes) -> Router {
    let hear = move |Json(message): Json<Message>| async move {
        for alert in message.alerts.iter().take(ALERTS) {
            if let (Some(namespace), Some(deployment)) = (alert.labels.get("namespace"), alert.labels.get("deployment")) {
                tracing::info!(namespace, deployment, "an alert asks for a look");
                pokes.poke(namespace, deployment);
            }
        }
        StatusCode::OK
    };
    Router::new().route("/alerts", post(hear)).layer(DefaultBodyLimit::max(MESSAGE_BYTES))
}
