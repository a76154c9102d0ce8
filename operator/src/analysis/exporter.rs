//! Drift as gauges, for alert rules and dashboards: measured every few seconds, whatever the deployments' `checkInterval` is.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;
use plimsoll_stats::excess;
use prometheus::{GaugeVec, Opts, Registry};

use super::source::{Source, SourceError};
use super::{Comparison, Window, measure};

/// How often drift is measured.
const EVERY: Duration = Duration::from_secs(10);
/// Over how much traffic the stable revision is measured when there is no candidate.
const STABLE_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The chance that one of a measurement's bounds lies beyond the truth. Gauges carry no promise over time; checks do.
const ALPHA: f64 = 0.001;
/// Rows of a revision before its drift is exported.
const MINIMUM_SAMPLES: u64 = 500;

/// The gauges.
pub struct Exporter {
    lower: GaugeVec,
    excess: GaugeVec,
}

impl Exporter {
    /// Registers the gauges.
    ///
    /// # Errors
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = ["namespace", "deployment", "revision", "feature"];
        let gauge = |name: &str, help: &str| -> Result<GaugeVec, prometheus::Error> {
            let gauge = GaugeVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            lower: gauge("plimsoll_drift_lower_bound", "Population stability index of traffic against training data: lower confidence bound.")?,
            excess: gauge("plimsoll_drift_excess_lower_bound", "By how much the candidate's index exceeds the stable revision's: lower confidence bound.")?,
        })
    }

    /// Measures for ever.
    pub async fn run(self, client: Client, source: Source, namespace: Option<String>) {
        let api: Api<ModelDeployment> = namespace.map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), &namespace));
        loop {
            // From the API server's cache: these numbers decide nothing by themselves.
            match api.list(&ListParams::default().match_any()).await {
                Ok(deployments) => self.round(&source, &deployments.items).await,
                Err(error) => tracing::warn!(%error, "deployments to measure not listed"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// One round. A revision that is gone leaves no gauge behind; a source that is away leaves none at all: an alert on old
    /// numbers would be worse than no alert.
    async fn round(&self, source: &Source, deployments: &[ModelDeployment]) {
        let mut measured = Vec::new();
        for deployment in deployments {
            match self.measure(source, deployment).await {
                Ok(found) => measured.extend(found),
                Err(error) => tracing::warn!(%error, deployment = deployment.name_any(), "drift not measured"),
            }
        }
        self.lower.reset();
        self.excess.reset();
        for (labels, lower, excess) in measured {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            self.lower.with_label_values(&labels).set(lower);
            if let Some(excess) = excess {
                self.excess.with_label_values(&labels).set(excess);
            }
        }
    }

    async fn measure(&self, source: &Source, deployment: &ModelDeployment) -> Result<Vec<([String; 4], f64, Option<f64>)>, SourceError> {
        let Some(status) = &deployment.status else { return Ok(Vec::new()) };
        let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
        let Some((subject, versus)) = windows(status) else { return Ok(Vec::new()) };
        let drifts = measure(source, (&namespace, &name), (&subject, versus.as_ref()), ALPHA).await?;
        let rows = drifts.into_iter().filter_map(|drift| {
            let ours = drift.candidate.filter(|psi| psi.samples >= MINIMUM_SAMPLES)?;
            let beyond = drift.stable.flatten().filter(|psi| psi.samples >= MINIMUM_SAMPLES).map(|theirs| excess(Some(ours), Some(Some(theirs)), 0.0, 0).lower);
            Some(([namespace.clone(), name.clone(), subject.revision.clone(), drift.feature], ours.lower, beyond))
        });
        Ok(rows.collect())
    }
}

/// Whose drift is measured, and beside whom. A candidate's whole rollout counts here, not only its present step: an alert must not
/// end because a step does.
fn windows(status: &ModelDeploymentStatus) -> Option<(Window, Option<Window>)> {
    let of = Comparison::of(status);
    match (&status.candidate, &status.stable, of) {
        (Some(candidate), _, of) => {
            let since = candidate.started_at.0;
            let ours = Window { revision: candidate.reference.revision.clone(), since };
            Some((ours, of.map(|of| Window { since: of.stable.since.min(since), ..of.stable })))
        }
        (None, Some(_), Some(of)) => Some((of.candidate, Some(of.stable))),
        (None, Some(stable), None) => {
            let since = Timestamp::now().checked_sub(STABLE_WINDOW).unwrap_or_default();
            Some((Window { revision: stable.reference.revision.clone(), since }, None))
        }
        (None, None, _) => None,
    }
}
