//! What every reconcile has at hand.

use std::sync::Arc;

use kube::Client;

use crate::config::Configuration;
use crate::kube_io::KubeIo;
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
    /// Looks at checks.
    pub analyst: Arc<crate::analysis::Analyst>,
}
