//! A router pod, as far as an operator sees one: it tells which routes it runs, and counts calls.
//!
//! Calls come only while the operator says that it holds a step for lack of them. So every step of every run is held once, sees calls
//! then, and goes on, however long a dead operator looked away.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use plimsoll_crds::ModelDeployment;
use plimsoll_crds::names::{self, METRICS_PORT, ROUTES_KEY};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::story::DEPLOYMENT;

/// Calls of each revision between two looks at the counters: many, so that a check has a verdict at once.
const CALLS: u64 = 50_000;

/// A router of one namespace. It ends with this value.
pub struct Router {
    server: JoinHandle<()>,
}

struct Shared {
    client: Client,
    namespace: String,
    calls: AtomicU64,
}

impl Router {
    /// Starts to answer at this address.
    pub async fn start(client: Client, namespace: &str, address: Ipv4Addr) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((address, u16::try_from(METRICS_PORT.1)?)).await?;
        let shared = Arc::new(Shared { client, namespace: namespace.to_owned(), calls: AtomicU64::new(0) });
        let router = axum::Router::new().route("/routes", get(routes)).route("/metrics", get(metrics)).with_state(shared);
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { server })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn routes(State(shared): State<Arc<Shared>>) -> Result<String, StatusCode> {
    let routes = shared.routes().await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(json!({"version": routes["version"]}).to_string())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Result<String, StatusCode> {
    let routes = shared.routes().await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let calls = if shared.is_held().await { shared.calls.fetch_add(CALLS, Ordering::SeqCst) + CALLS } else { shared.calls.load(Ordering::SeqCst) };
    let line = |backend: &Value| format!("plimsoll_router_requests_total{{revision={},outcome=\"success\"}} {calls}\n", backend["revision"]);
    Ok(routes["backends"].as_array().into_iter().flatten().map(line).collect())
}

impl Shared {
    async fn routes(&self) -> Option<Value> {
        let configs: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let config = configs.get_opt(&names::routes(DEPLOYMENT)).await.ok()??;
        serde_json::from_str(config.data?.get(ROUTES_KEY)?).ok()
    }

    async fn is_held(&self) -> bool {
        let deployments: Api<ModelDeployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let status = deployments.get_opt(DEPLOYMENT).await.ok().flatten().and_then(|deployment| deployment.status);
        status.is_some_and(|status| status.decisions.first().is_some_and(|decision| decision.what == "Held"))
    }
}
