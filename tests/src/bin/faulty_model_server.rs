//! A model server that is ready and answers every second call with an error: what a broken runtime looks like.
//! It takes the arguments of the real one and uses only the ports.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{any, get};

static CALLS: AtomicUsize = AtomicUsize::new(0);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let probes = Router::new().route("/livez", get(|| async { "live" })).route("/readyz", get(|| async { "ready" })).route("/metrics", get(|| async { "" }));
    tokio::spawn(async move {
        if let Ok(listener) = tokio::net::TcpListener::bind(("0.0.0.0", 9090)).await {
            drop(axum::serve(listener, probes).await);
        }
    });
    let calls = Router::new().fallback(any(|| async {
        let fails = CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let status = HeaderValue::from_static(if fails { "13" } else { "0" });
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", status);
        (StatusCode::OK, headers)
    }));
    axum::serve(tokio::net::TcpListener::bind(("0.0.0.0", 8080)).await?, calls).await?;
    Ok(())
}
