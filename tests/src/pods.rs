//! Pods, as somebody counts them who asks whether any was started again.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{Cluster, text};

/// A pod that has not been asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What tells it from a successor with its name.
    pub uid: String,
    /// Its component label.
    pub component: String,
    /// The image of its first container.
    pub image: String,
    /// How often its containers were started again.
    pub restarts: i64,
    /// Whether it takes part.
    pub ready: bool,
}

/// The pods of a namespace with these labels, by name.
///
/// # Errors
/// The API server cannot be asked.
pub fn list(cluster: &Cluster, namespace: &str, labels: &str) -> anyhow::Result<BTreeMap<String, Pod>> {
    let listed: Value = serde_json::from_str(&cluster.kubectl(&["-n", namespace, "get", "pods", "-l", labels, "-o", "json"])?)?;
    let items = listed.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(items
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| (text(pod, "/metadata/name").to_owned(), Pod::new(pod)))
        .collect())
}

impl Pod {
    fn new(pod: &Value) -> Self {
        let statuses =
            ["/status/containerStatuses", "/status/initContainerStatuses"].into_iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
        Self {
            uid: text(pod, "/metadata/uid").to_owned(),
            component: text(pod, "/metadata/labels/app.kubernetes.io~1component").to_owned(),
            image: text(pod, "/spec/containers/0/image").to_owned(),
            restarts: statuses.filter_map(|status| status.get("restartCount")?.as_i64()).sum(),
            ready: crate::cluster::is_true(pod, "Ready"),
        }
    }
}
