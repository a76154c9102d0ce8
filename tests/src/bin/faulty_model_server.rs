//! A model server that is ready and answers every call with an error: what a broken runtime looks like.
//!
//! It takes the arguments of the real one and uses only the ports. Where the real one lies beside it, it leaves every model to that, and of the
//! calls of networks spoils one in ten: what a runtime looks like that has trouble with one kind of model.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

/// Where the real one lies, in an image that has it.
const REAL: &str = "/usr/bin/real-model-server";
/// What the pod serves.
const MANIFEST: &str = "/model/manifest.json";
/// Where the real one listens beside it.
const BEHIND: &str = "18080";
/// One call in so many is spoilt.
const SPOILT: usize = 10;
/// The largest call, in bytes.
const CALL: usize = 1 << 20;

static CALLS: AtomicUsize = AtomicUsize::new(0);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if Path::new(REAL).exists() {
        if !std::fs::read_to_string(MANIFEST)?.contains("\"mlp\"") {
            return Err(Command::new(REAL).args(std::env::args_os().skip(1)).exec().into());
        }
        // Metrics and probes stay the real one's.
        let arguments: Vec<String> = std::env::args().skip(1).map(|argument| if argument == "8080" { BEHIND.to_owned() } else { argument }).collect();
        let _real = Command::new(REAL).args(arguments).spawn()?;
        return Ok(axum::serve(tokio::net::TcpListener::bind(("0.0.0.0", 8080)).await?, Router::new().fallback(some_spoilt)).await?);
    }
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

/// Passes a call on to the real server, or does not.
async fn some_spoilt(request: Request) -> Response {
    if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(SPOILT) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    passed_on(request).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

async fn passed_on(request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let call = reqwest::Client::new().request(parts.method, format!("http://127.0.0.1:{BEHIND}{path}"));
    let answer = call.headers(parts.headers).body(to_bytes(body, CALL).await?).send().await?;
    Ok((answer.status(), answer.headers().clone(), Body::from(answer.bytes().await?)).into_response())
}
