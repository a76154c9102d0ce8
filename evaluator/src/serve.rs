//! One port for gRPC and REST, one for metrics and probes.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use plimsoll_evaluator_api::DESCRIPTORS;
use plimsoll_evaluator_api::v1::evaluator_server::EvaluatorServer;
use plimsoll_serving::Readiness;
use tonic::codec::CompressionEncoding;

use crate::access::Access;
use crate::grpc::Served;
use crate::{report, rest, telemetry};

/// The service's name for health checks.
const SERVICE: &str = "plimsoll.evaluator.v1.Evaluator";
/// The largest call, in bytes.
const BODY: usize = 32 << 20;
/// Calls at a time: what they bring is in memory before it has a place in the queue.
const AT_A_TIME: usize = 32;

/// Both sides of the protocol, health and reflection.
///
/// # Errors
/// The descriptors are broken.
pub async fn protocol(served: Served) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in ["", SERVICE] {
        reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let evaluator = EvaluatorServer::new(served.clone()).max_decoding_message_size(BODY).accept_compressed(CompressionEncoding::Gzip);
    let grpc = tonic::service::Routes::new(evaluator).add_service(health).add_service(reflection.build_v1()?).prepare().into_axum_router().reset_fallback();
    Ok(grpc.merge(rest::routes(served, BODY)).layer(tower::limit::GlobalConcurrencyLimitLayer::new(AT_A_TIME)))
}

/// Metrics and probes; what was found, and where the operator hands over what is reported of a test.
pub fn probes(served: Served, readiness: Readiness, deployment: (String, String), access: Access) -> Router {
    let asked = rest::findings(served.clone()).merge(report::taken(served.clone())).layer(tower::limit::GlobalConcurrencyLimitLayer::new(AT_A_TIME));
    let metrics = move || async move {
        let state = served.writer.look().await.map_err(|refusal| refusal.to_string());
        let render = |state| telemetry::render(&state, served.task, (&deployment.0, &deployment.1), &access.refused());
        let page = state.and_then(|state| render(state).map_err(|error| error.to_string()));
        page.map_or_else(|error| (StatusCode::SERVICE_UNAVAILABLE, error).into_response(), IntoResponse::into_response)
    };
    plimsoll_serving::probes(readiness, "the database cannot be used; the log says why\n").route("/metrics", get(metrics)).merge(asked)
}
