//! The operator's own metrics. Their names are API; a test lists them.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

/// The controllers, by the names that they have in metrics.
const CONTROLLERS: [&str; 3] = ["training", "version", "deployment"];

/// Counters of reconciles and writes; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    durations: HistogramVec,
    errors: IntCounterVec,
    watch_errors: IntCounterVec,
    status_writes: IntCounterVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let reconciles = counter("plimsoll_operator_reconcile_total", "Reconciles by outcome.", &["controller", "outcome"])?;
        let errors = counter("plimsoll_operator_errors_total", "Failed reconciles by reason.", &["controller", "reason"])?;
        let watch_errors = counter("plimsoll_operator_watch_errors_total", "Watches that broke; they are opened again.", &["controller"])?;
        let status_writes = counter("plimsoll_operator_status_writes_total", "Status writes by result.", &["controller", "result"])?;
        let options = HistogramOpts::new("plimsoll_operator_reconcile_duration_seconds", "Time of a reconcile.");
        let durations = HistogramVec::new(options, &["controller"])?;
        registry.register(Box::new(durations.clone()))?;
        // From the start, at 0: a counter that begins to exist with its first error has no rate yet when it is needed.
        for controller in CONTROLLERS {
            for outcome in ["success", "error"] {
                reconciles.with_label_values(&[controller, outcome]);
            }
            for reason in crate::Error::REASONS {
                errors.with_label_values(&[controller, reason]);
            }
            watch_errors.with_label_values(&[controller]);
        }
        Ok(Self { registry, reconciles, durations, errors, watch_errors, status_writes })
    }

    /// The registry, for metrics of other modules.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts one reconcile.
    pub fn reconciled(&self, controller: &str, seconds: f64, error: Option<&crate::Error>) {
        self.reconciles.with_label_values(&[controller, if error.is_some() { "error" } else { "success" }]).inc();
        self.durations.with_label_values(&[controller]).observe(seconds);
        if let Some(error) = error {
            self.errors.with_label_values(&[controller, error.reason()]).inc();
        }
    }

    /// Counts one broken watch.
    pub fn watch_error(&self, controller: &str) {
        self.watch_errors.with_label_values(&[controller]).inc();
    }

    /// Counts one status write: written, skipped, gone or failed.
    pub fn status_write(&self, controller: &str, result: &str) {
        self.status_writes.with_label_values(&[controller, result]).inc();
    }

    /// Every metric in the text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_are_api() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciled("training", 0.1, Some(&crate::Error::Timeout { seconds: 1 }));
        metrics.reconciled("training", 0.1, None);
        metrics.watch_error("training");
        for result in ["written", "skipped", "gone", "failed"] {
            metrics.status_write("training", result);
        }
        let text = metrics.render();
        let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        insta::assert_yaml_snapshot!(series);
    }
}
