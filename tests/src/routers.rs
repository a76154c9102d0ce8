//! What the routers of a ModelDeployment counted, read from each of their pods.

use std::collections::BTreeMap;

use anyhow::Context;
use plimsoll_crds::names::{LABEL_COMPONENT, LABEL_DEPLOYMENT, METRICS_PORT};
use serde_json::Value;

use crate::cluster::text;
use crate::team::Team;

/// Calls by (revision, outcome), summed over the router pods that live.
///
/// # Errors
/// A router cannot be asked, or answers something else than metrics.
pub fn requests(team: &Team, deployment: &str) -> anyhow::Result<BTreeMap<(String, String), u64>> {
    let pods = team.get("pods")?;
    let routers = pods.pointer("/items").and_then(Value::as_array).into_iter().flatten();
    let label = |pod: &Value, name: &str| text(pod, &format!("/metadata/labels/{}", name.replace('/', "~1"))).to_owned();
    let mut sums = BTreeMap::new();
    for pod in routers.filter(|pod| label(pod, LABEL_COMPONENT) == "router" && label(pod, LABEL_DEPLOYMENT) == deployment) {
        let path = format!("/api/v1/namespaces/{}/pods/{}:{}/proxy/metrics", team.namespace, text(pod, "/metadata/name"), METRICS_PORT.1);
        let metrics = team.stage.admin.kubectl(&["get", "--raw", &path])?;
        for line in metrics.lines().filter_map(|line| line.strip_prefix("plimsoll_router_requests_total{")) {
            let (labels, count) = line.split_once("} ").with_context(|| format!("no sample: {line}"))?;
            let label =
                |name: &str| labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')).unwrap_or_default().to_owned();
            *sums.entry((label("revision"), label("outcome"))).or_default() += count.trim().parse::<u64>().with_context(|| format!("no count: {line}"))?;
        }
    }
    Ok(sums)
}
