//! What every reconcile has at hand.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::config::Configuration;
use crate::kube_io::KubeIo;
use crate::pace::Pace;
use crate::telemetry::Metrics;

/// What every reconcile has at hand. There is one for each controller: the field manager differs.
#[derive(Clone)]
pub struct Context {
    /// For reads.
    pub client: Client,
    /// For writes.
    pub io: KubeIo,
    /// What the administrator set.
    pub configuration: Arc<Configuration>,
    /// Counters.
    pub metrics: Metrics,
    /// Timing.
    pub pace: Pace,
    /// Looks at checks.
    pub analyst: Arc<crate::analysis::Analyst>,
}

impl Context {
    /// Objects of the namespace that is looked at, or of all of them: for watches.
    pub fn watched<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        match &self.configuration.watch_namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}
