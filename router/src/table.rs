//! What a call is decided on: routes, and the ready pods of each backend.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::assign::assign;
use crate::routes::{Routes, State};

/// One pod.
#[derive(Debug)]
pub struct Pod {
    /// Where it listens.
    pub address: SocketAddr,
    /// Calls under way.
    pub outstanding: AtomicUsize,
}

/// One of a pod's calls under way.
pub struct Outstanding(Arc<Pod>);

impl Outstanding {
    /// Until it is dropped.
    pub fn enter(pod: Arc<Pod>) -> Self {
        pod.outstanding.fetch_add(1, Ordering::Relaxed);
        Self(pod)
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Routes with the ready pods of each backend.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The last good routes.
    pub routes: Routes,
    /// Ready pods by Service.
    pub pods: BTreeMap<String, Vec<Arc<Pod>>>,
}

/// Where a call goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The revision that answers.
    pub revision: String,
    /// The pod.
    pub pod: Arc<Pod>,
}

impl Table {
    /// The table with other routes or endpoints; pods that stay keep their counts.
    #[must_use]
    pub fn with(&self, routes: Routes, slices: &[EndpointSlice]) -> Self {
        let backends = routes.backends.iter().map(|backend| (&backend.service, backend.port));
        let services = backends.chain(routes.evaluator.iter().map(|evaluator| (&evaluator.service, evaluator.port)));
        let pods = services.map(|(service, port)| {
            let known = self.pods.get(service).map_or(&[][..], Vec::as_slice);
            let pod = |address: SocketAddr| {
                let same = known.iter().find(|pod| pod.address == address).cloned();
                same.unwrap_or_else(|| Arc::new(Pod { address, outstanding: AtomicUsize::new(0) }))
            };
            (service.clone(), ready_addresses(slices, service, port).into_iter().map(pod).collect())
        });
        Self { pods: pods.collect(), routes }
    }

    /// Chooses a revision for the user, and a pod of it. Backends without ready pods are left out, and their share goes to the others;
    /// when only backends without weight have ready pods, those answer that were trusted before. A candidate without weight never does (I2).
    pub fn choose(&self, key: &[u8], random: u64) -> Option<Target> {
        let ready: Vec<_> =
            self.routes.backends.iter().filter_map(|backend| Some((backend, self.pods.get(&backend.service).filter(|pods| !pods.is_empty())?))).collect();
        let place = assign(&self.routes.seed, key, ready.iter().map(|(backend, _)| (backend.revision.as_str(), backend.weight)));
        let trusted = || ready.iter().position(|(backend, _)| backend.state != State::Candidate);
        let (backend, pods) = ready.get(place.or_else(trusted)?)?;
        Some(Target { revision: backend.revision.clone(), pod: less_busy(pods, random)?.clone() })
    }

    /// A pod of this revision, whatever its weight: the operator names in a test only revisions that may have traffic.
    pub fn of_revision(&self, revision: &str, random: u64) -> Option<Target> {
        let backend = self.routes.backends.iter().find(|backend| backend.revision == revision)?;
        Some(Target { revision: backend.revision.clone(), pod: less_busy(self.pods.get(&backend.service)?, random)?.clone() })
    }

    /// The pod that takes outcomes, if it is ready.
    pub fn evaluator(&self, random: u64) -> Option<Arc<Pod>> {
        less_busy(self.pods.get(&self.routes.evaluator.as_ref()?.service)?, random).cloned()
    }

    /// How many ready pods a backend has.
    pub fn ready(&self, service: &str) -> usize {
        self.pods.get(service).map_or(0, Vec::len)
    }
}

/// The less busy of two random pods.
fn less_busy(pods: &[Arc<Pod>], random: u64) -> Option<&Arc<Pod>> {
    let count = u64::try_from(pods.len()).ok().filter(|count| *count > 0)?;
    let pick = |random: u64| usize::try_from(random % count).ok().and_then(|place| pods.get(place));
    let (first, second) = (pick(random)?, pick(random >> 32)?);
    let busy = |pod: &Arc<Pod>| pod.outstanding.load(Ordering::Relaxed);
    Some(if busy(second) < busy(first) { second } else { first })
}

/// The addresses of a Service's ready pods that are not about to end, over all of its slices, each once.
fn ready_addresses(slices: &[EndpointSlice], service: &str, port: u16) -> Vec<SocketAddr> {
    let of_service =
        |slice: &&EndpointSlice| slice.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name")).is_some_and(|name| name == service);
    let mut addresses: Vec<SocketAddr> = slices
        .iter()
        .filter(of_service)
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false) && conditions.terminating != Some(true)))
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|address| Some(SocketAddr::new(address.parse().ok()?, port)))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(service: &str, endpoints: serde_json::Value) -> EndpointSlice {
        serde_json::from_value(json!({"addressType": "IPv4", "metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints})).unwrap()
    }

    fn routes(weights: [u32; 2]) -> Routes {
        routes_with(weights, "Candidate")
    }

    fn routes_with(weights: [u32; 2], new: &str) -> Routes {
        let backend =
            |revision: &str, weight: u32, state: &str| json!({"revision": revision, "service": revision, "port": 8080, "weight": weight, "state": state});
        let backends = [backend("old", weights[0], "Stable"), backend("new", weights[1], new)];
        serde_json::from_value(json!({"version": 1, "seed": "s", "backends": backends})).unwrap()
    }

    #[test]
    fn only_ready_pods_that_stay_count_and_each_once() {
        let slices = [
            slice("old", json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}])),
            slice("old", json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.3"], "conditions": {"ready": true, "terminating": true}}])),
            slice("other", json!([{"addresses": ["10.0.0.9"]}])),
        ];
        assert_eq!(ready_addresses(&slices, "old", 8080), ["10.0.0.1:8080".parse().unwrap()]);
    }

    #[test]
    fn a_backend_without_ready_pods_gets_nothing_while_another_can_answer() {
        let old = slice("old", json!([{"addresses": ["10.0.0.1"]}]));
        let new = slice("new", json!([{"addresses": ["10.0.0.2"]}]));
        let revision = |table: &Table| table.choose(b"user", 1).map(|target| target.revision);
        let table = |weights, slices: &[EndpointSlice]| Table::default().with(routes(weights), slices);
        assert_eq!(revision(&table([0, 10_000], &[old.clone(), new.clone()])).as_deref(), Some("new"));
        assert_eq!(revision(&table([0, 10_000], std::slice::from_ref(&old))).as_deref(), Some("old"));
        assert_eq!(revision(&table([9_000, 1_000], std::slice::from_ref(&new))).as_deref(), Some("new"));
        assert_eq!(revision(&table([5_000, 5_000], &[])), None);
        let kept_warm = Table::default().with(routes_with([10_000, 0], "Draining"), std::slice::from_ref(&new));
        assert_eq!(revision(&kept_warm).as_deref(), Some("new"));
    }

    #[test]
    fn i2_a_candidate_without_weight_answers_nobody_whoever_else_is_away() {
        let new = slice("new", json!([{"addresses": ["10.0.0.2"]}]));
        assert!(Table::default().with(routes([10_000, 0]), &[new]).choose(b"user", 1).is_none());
    }

    #[test]
    fn pods_keep_their_counts_when_the_table_changes() {
        let slices = [slice("old", json!([{"addresses": ["10.0.0.1"]}]))];
        let before = Table::default().with(routes([10_000, 0]), &slices);
        before.pods["old"][0].outstanding.store(3, Ordering::Relaxed);
        let after = before.with(routes([5_000, 5_000]), &slices);
        assert_eq!(after.pods["old"][0].outstanding.load(Ordering::Relaxed), 3);
    }
}
