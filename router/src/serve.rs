//! Listening, probes, and an orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::table::Table;

/// Streams that one caller's connection may have open.
const STREAMS: u32 = 1024;
/// The largest headers of a call, in bytes.
const HEADER_BYTES: u32 = 64 << 10;
/// The wait after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long calls under way may take once the router ends.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// Serves callers until the token is cancelled, then what has begun.
pub async fn serve(listener: TcpListener, proxy: Proxy, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // A caller that went away, or too many open files: the next one may be luckier.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        let proxy = proxy.clone();
        let service = service_fn(move |request| proxy.clone().call(request));
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("calls under way were cut off");
    }
}

/// Metrics, probes, and the routes in use.
pub fn probes(metrics: Metrics, table: Arc<ArcSwap<Table>>, ending: Arc<AtomicBool>) -> Router {
    let shown = Arc::clone(&table);
    let ready = move || async move {
        let routes = &table.load().routes;
        match (ending.load(Ordering::Acquire), routes.version > 0) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
            (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "no routes yet\n"),
            _ => (StatusCode::OK, "ready\n"),
        }
    };
    let routes = move || async move {
        let table = shown.load();
        let backends: Vec<_> =
            table.routes.backends.iter().map(|b| json!({"revision": b.revision, "weight": b.weight, "readyEndpoints": table.ready(&b.service)})).collect();
        // A router of before there were tests says nothing about them: who waits for a test can tell.
        let test = table.routes.tests().next().map(|test| &test.seed);
        axum::Json(json!({"version": table.routes.version, "backends": backends, "test": test}))
    };
    Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .route("/routes", get(routes))
}
