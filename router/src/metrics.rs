//! Counters of the router. Handles are made when routes change, never during a call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::outcome::Outcome;
use crate::routes::FULL;
use crate::table::Table;

/// Upper edges of the latency histogram, in seconds.
const LATENCY: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The router's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    weights: GaugeVec,
    ready: GaugeVec,
    version: IntGauge,
    rejected: IntCounterVec,
    handles: Arc<ArcSwap<HashMap<String, Arc<Handles>>>>,
}

/// The counters of one revision.
pub struct Handles {
    outcomes: Vec<(Outcome, IntCounter)>,
    duration: Histogram,
}

impl Handles {
    /// Counts a call that has ended.
    pub fn ended(&self, outcome: Outcome, time: Duration) {
        if let Some((_, counter)) = self.outcomes.iter().find(|(known, _)| *known == outcome) {
            counter.inc();
        }
        self.duration.observe(time.as_secs_f64());
    }
}

impl Metrics {
    /// Registers every metric, labelled with the deployment.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(namespace: &str, deployment: &str) -> Result<Self, prometheus::Error> {
        let labels = HashMap::from([("namespace".to_owned(), namespace.to_owned()), ("deployment".to_owned(), deployment.to_owned())]);
        let registry = Registry::new_custom(None, Some(labels))?;
        let options = HistogramOpts::new("plimsoll_router_request_duration_seconds", "Time from the call to the end of its answer.").buckets(LATENCY.to_vec());
        let metrics = Self {
            requests: IntCounterVec::new(Opts::new("plimsoll_router_requests_total", "Calls by revision and outcome."), &["revision", "outcome"])?,
            durations: HistogramVec::new(options, &["revision"])?,
            weights: GaugeVec::new(Opts::new("plimsoll_router_weight", "Share of the calls, 0 to 1."), &["revision"])?,
            ready: GaugeVec::new(Opts::new("plimsoll_router_ready_endpoints", "Ready pods."), &["revision"])?,
            version: IntGauge::new("plimsoll_router_routes_version", "The version of the routes in use.")?,
            rejected: IntCounterVec::new(Opts::new("plimsoll_router_rejected_total", "Calls that no revision got, by reason."), &["reason"])?,
            handles: Arc::default(),
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.weights.clone()))?;
        registry.register(Box::new(metrics.ready.clone()))?;
        registry.register(Box::new(metrics.version.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        Ok(metrics)
    }

    /// Shows the table in use. A revision that left it keeps its counters, so that what it counted last is still scraped.
    #[expect(clippy::as_conversions, reason = "a number of pods")]
    pub fn show(&self, table: &Table) {
        self.version.set(table.routes.version);
        self.weights.reset();
        self.ready.reset();
        let mut handles = HashMap::clone(&self.handles.load());
        for backend in &table.routes.backends {
            let revision = backend.revision.as_str();
            self.weights.with_label_values(&[revision]).set(f64::from(backend.weight) / f64::from(FULL));
            self.ready.with_label_values(&[revision]).set(table.ready(&backend.service) as f64);
            handles.entry(backend.revision.clone()).or_insert_with(|| Arc::new(self.handles_of(revision)));
        }
        self.handles.store(Arc::new(handles));
    }

    fn handles_of(&self, revision: &str) -> Handles {
        let counter = |outcome: Outcome| (outcome, self.requests.with_label_values(&[revision, outcome.as_str()]));
        Handles { outcomes: Outcome::ALL.map(counter).to_vec(), duration: self.durations.with_label_values(&[revision]) }
    }

    /// The counters of a revision.
    pub fn of(&self, revision: &str) -> Option<Arc<Handles>> {
        self.handles.load().get(revision).cloned()
    }

    /// Counts a call that no revision got: `no_endpoints` or `overload`; and refused routes: `bad_routes`.
    pub fn reject(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// Every metric in the text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
