//! What the operator listens on: metrics and probes, and Alertmanager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Json};
use axum::http::StatusCode;
use axum::routing::{get, post};
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

/// Metrics and probes. Alive = it answers; ready = it could list everything that it looks after.
pub fn probes(metrics: Metrics, ready: Arc<AtomicBool>) -> Router {
    let is_ready = move || async move {
        if ready.load(Ordering::Acquire) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for the custom resource definitions and their objects\n")
        }
    };
    Router::new().route("/metrics", get(move || async move { metrics.render() })).route("/livez", get(|| async { "live\n" })).route("/readyz", get(is_ready))
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: Router, request: Request<Body>) -> (StatusCode, String) {
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn alive_from_the_start_and_ready_when_told() {
        let ready = Arc::new(AtomicBool::new(false));
        let probes = probes(Metrics::new().unwrap(), Arc::clone(&ready));
        let get = |path: &str| ask(probes.clone(), Request::get(path).body(Body::empty()).unwrap());
        assert_eq!(get("/livez").await.0, StatusCode::OK);
        assert_eq!(get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        ready.store(true, Ordering::Release);
        assert_eq!(get("/readyz").await.0, StatusCode::OK);
        assert_eq!(get("/metrics").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn an_alert_makes_the_operator_look_at_its_deployment_and_nothing_else_does() {
        let post = |body: &str| Request::post("/alerts").header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap();
        let table = [
            (r#"{"alerts": [{"labels": {"namespace": "n", "deployment": "d"}}]}"#, StatusCode::OK, true),
            (r#"{"alerts": [{"labels": {"namespace": "n"}}, {}]}"#, StatusCode::OK, false),
            (r#"{"version": "4"}"#, StatusCode::OK, false),
            ("not json", StatusCode::BAD_REQUEST, false),
        ];
        for (body, status, poked) in table {
            let pokes = Pokes::default();
            assert_eq!(ask(alerts(pokes.clone()), post(body)).await.0, status, "{body}");
            assert_eq!(pokes.take("n", "d"), poked, "{body}");
        }
    }
}
