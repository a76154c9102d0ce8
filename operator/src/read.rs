//! Reads, straight from the API server: a decision never rests on a cache that trails our own writes.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt};
use plimsoll_crds::names::METRICS_PORT;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// Objects of a namespace, by label selector.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn list<K>(client: &Client, namespace: &str, selector: &str) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let objects = api.list(&ListParams::default().labels(selector)).await;
    let what = || format!("{}s with {selector}", K::kind(&()));
    objects.map(|list| list.items).map_err(|source| Error::Read { what: what(), source: Box::new(source) })
}

/// One object, if it is there.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn get<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.get_opt(name).await.map_err(|source| Error::Read { what: format!("{} {name}", K::kind(&())), source: Box::new(source) })
}

/// An object as JSON with its kind, which lists leave out.
pub fn to_value<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), K::api_version(&()).into());
        map.insert("kind".to_owned(), K::kind(&()).into());
    }
    value
}

/// Whether the object is controlled by the owner with this UID.
pub fn owned_by<K: ResourceExt>(object: &K, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
}

/// Whether the pod takes part.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Where the pod tells of itself, on the port for metrics and probes; `None` while it has no address.
pub fn metrics_url(pod: &Pod, path: &str) -> Option<String> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?;
    let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    Some(format!("http://{host}:{}{path}", METRICS_PORT.1))
}
