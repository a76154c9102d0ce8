//! A router before pods that say what they got.
#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, StatusCode, Uri};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use plimsoll_router::metrics::Metrics;
use plimsoll_router::proxy::Proxy;
use plimsoll_router::serve::serve;
use plimsoll_router::table::Table;
use plimsoll_router::token::Token;
use plimsoll_router::watch::update;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A pod that says who it is and what it got.
pub async fn pod(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |uri: Uri, headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        axum::Json(
            json!({"pod": name, "path": uri.path(), "unit": header("x-plimsoll-unit"), "variant": header("x-plimsoll-variant"), "authorization": header("authorization")}),
        )
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    port
}

pub fn slice(service: &str, ready: bool) -> EndpointSlice {
    let endpoints = json!([{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}]);
    serde_json::from_value(json!({"addressType": "IPv4", "metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints})).unwrap()
}

/// A router that serves.
pub struct Router {
    pub address: String,
    pub metrics: Metrics,
    pub table: Arc<ArcSwap<Table>>,
}

impl Router {
    /// With these routes and endpoints.
    pub async fn start(routes: &Value, slices: &[EndpointSlice]) -> Self {
        Self::with_token(routes, slices, None).await
    }

    /// The same, with a token for the evaluator.
    pub async fn with_token(routes: &Value, slices: &[EndpointSlice], token: Option<Token>) -> Self {
        let (metrics, table) = (Metrics::new("flights", "flight-delay").unwrap(), Arc::new(ArcSwap::from_pointee(Table::default())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, Proxy::new(Arc::clone(&table), metrics.clone()).with_token(token), CancellationToken::new()));
        let router = Self { address, metrics, table };
        router.update(routes, slices);
        router
    }

    /// Other routes or endpoints.
    pub fn update(&self, routes: &Value, slices: &[EndpointSlice]) {
        update(&self.table, &self.metrics, Some(&routes.to_string()), slices);
    }

    /// Calls it. Gives the headers of the answer, too.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Value, HeaderMap) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.address));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.body("{}").send().await.unwrap();
        let (status, headers) = (StatusCode::from_u16(answer.status().as_u16()).unwrap(), answer.headers().clone());
        (status, answer.json().await.unwrap(), headers)
    }
}
