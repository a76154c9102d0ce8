//! One port for gRPC and REST, one for metrics and probes.

use axum::Router;
use axum::routing::get;
use plimsoll_model_server_api::DESCRIPTORS;
use plimsoll_model_server_api::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use plimsoll_serving::Readiness;
use tonic::codec::CompressionEncoding;

use crate::grpc::Served;
use crate::metrics::Metrics;
use crate::rest;

/// The service's name for health checks.
const SERVICE: &str = "inference.GRPCInferenceService";

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
    plimsoll_serving::probes(readiness, "the model is not loaded\n").route("/metrics", get(move || async move { metrics.render() }))
}
