//! A model server that is ready and answers every call with an error: what a broken runtime looks like.
//! It takes the arguments of the real one and uses only the ports.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{any, get};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let probes = Router::new().route("/livez", get(|| async { "live" })).route("/readyz", get(|| async { "ready" })).route("/metrics", get(|| async { "" }));
    tokio::spawn(async move {
        if let Ok(listener) = tokio::net::TcpListener::bind(("0.0.0.0", 9090)).await {
            drop(axum::serve(listener, probes).await);
        }
    });
    let calls = Router::new().fallback(any(|| async {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        // INTERNAL.
        headers.insert("grpc-status", HeaderValue::from_static("13"));
        (StatusCode::OK, headers)
    }));
    axum::serve(tokio::net::TcpListener::bind(("0.0.0.0", 8080)).await?, calls).await?;
    Ok(())
}
