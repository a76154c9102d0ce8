//! Follows the routes and the endpoints of the backends. While the API server is away, the last good table stays.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client};

use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::table::Table;

/// The key of the routes in their ConfigMap.
const KEY: &str = "routes.json";
/// The label that EndpointSlices take from their Service.
const LABEL: &str = "plimsoll.dev/deployment";

/// Follows one deployment for ever.
pub async fn follow(client: Client, namespace: &str, deployment: &str, table: Arc<ArcSwap<Table>>, metrics: Metrics) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
    let (map_store, map_writer) = reflector::store();
    let (slice_store, slice_writer) = reflector::store();
    let named = watcher::Config::default().fields(&format!("metadata.name={deployment}-routes"));
    let labelled = watcher::Config::default().labels(&format!("{LABEL}={deployment}"));
    let map_events = watcher(maps, named).default_backoff().reflect(map_writer).map(|event| event.map(drop));
    let slice_events = watcher(slices, labelled).default_backoff().reflect(slice_writer).map(|event| event.map(drop));
    let mut events = futures::stream::select(map_events.boxed(), slice_events.boxed());
    while let Some(event) = events.next().await {
        if let Err(error) = event {
            tracing::warn!(%error, "watch interrupted; the last good routes stay");
            continue;
        }
        let routes = map_store.state().first().and_then(|map| map.data.as_ref()?.get(KEY).cloned());
        let slices: Vec<EndpointSlice> = slice_store.state().iter().map(|slice| EndpointSlice::clone(slice)).collect();
        update(&table, &metrics, routes.as_deref(), &slices);
    }
}

/// Takes new routes and endpoints. Routes that are gone or bad leave those in use.
pub fn update(table: &ArcSwap<Table>, metrics: &Metrics, text: Option<&str>, slices: &[EndpointSlice]) {
    let current = table.load();
    let routes = match text.map(Routes::parse) {
        Some(Ok(routes)) => routes,
        Some(Err(error)) => {
            tracing::error!(%error, "routes refused; the last good ones stay");
            metrics.reject("bad_routes");
            current.routes.clone()
        }
        None => current.routes.clone(),
    };
    if routes.version != current.routes.version {
        tracing::info!(version = routes.version, "routes in use");
    }
    let next = current.with(routes, slices);
    metrics.show(&next);
    table.store(Arc::new(next));
}
