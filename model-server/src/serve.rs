//! One port for gRPC and REST, one for metrics and probes, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use plimsoll_model_server_api::DESCRIPTORS;
use plimsoll_model_server_api::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;

use crate::grpc::Served;
use crate::metrics::Metrics;
use crate::rest;

/// The service's name for health checks.
const SERVICE: &str = "inference.GRPCInferenceService";

/// Whether the model is loaded and the server is not about to end.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Asks for it.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Both sides of the protocol, health and reflection.
///
/// # Errors
/// The descriptors are broken.
pub async fn protocol(served: Served, body_limit: usize) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in ["", SERVICE] {
        reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let inference = GrpcInferenceServiceServer::new(served.clone())
        .max_decoding_message_size(body_limit)
        .max_encoding_message_size(body_limit)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate);
    let grpc = tonic::service::Routes::new(inference)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .prepare()
        .into_axum_router()
        .reset_fallback();
    Ok(grpc.merge(rest::routes(served, body_limit)))
}

/// Metrics and probes.
pub fn probes(metrics: Metrics, readiness: Readiness) -> Router {
    let ready =
        move || async move { if readiness.get() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "the model is not loaded\n") } };
    Router::new().route("/metrics", get(move || async move { metrics.render() })).route("/livez", get(|| async { "live\n" })).route("/readyz", get(ready))
}

/// Serves until the token is cancelled, and then what has begun.
///
/// # Errors
/// The port is taken.
pub async fn serve(router: Router, port: u16, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Waits for SIGTERM or SIGINT, turns readiness off, and leaves routers the time to notice.
///
/// # Errors
/// Signals cannot be heard.
pub async fn until_asked_to_end(readiness: &Readiness, grace: Duration) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    readiness.set(false);
    tracing::info!(seconds = grace.as_secs(), "asked to end; serving while routers notice");
    tokio::time::sleep(grace).await;
    Ok(())
}
