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
    revisions: Calls,
    variants: Calls,
    weights: GaugeVec,
    ready: GaugeVec,
    version: IntGauge,
    rejected: IntCounterVec,
    shadows: IntCounterVec,
}

/// How calls end and how long they take, by name: of a revision, or of a variant of a test.
#[derive(Clone)]
struct Calls {
    requests: IntCounterVec,
    durations: HistogramVec,
    handles: Arc<ArcSwap<HashMap<String, Arc<Handles>>>>,
}

/// The counters of one revision or variant.
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

impl Calls {
    fn new(requests: Opts, durations: HistogramOpts, label: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(requests, &[label, "outcome"])?;
        let durations = HistogramVec::new(durations.buckets(LATENCY.to_vec()), &[label])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        Ok(Self { requests, durations, handles: Arc::default() })
    }

    /// Makes handles for those that have none. Who left keeps them, so that what was counted last is still scraped.
    fn know<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut handles = HashMap::clone(&self.handles.load());
        for name in names {
            handles.entry(name.to_owned()).or_insert_with(|| Arc::new(self.handles_of(name)));
        }
        self.handles.store(Arc::new(handles));
    }

    fn handles_of(&self, name: &str) -> Handles {
        let counter = |outcome: Outcome| (outcome, self.requests.with_label_values(&[name, outcome.as_str()]));
        Handles { outcomes: Outcome::ALL.map(counter).to_vec(), duration: self.durations.with_label_values(&[name]) }
    }

    fn of(&self, name: &str) -> Option<Arc<Handles>> {
        self.handles.load().get(name).cloned()
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
        let requests = Opts::new("plimsoll_router_requests_total", "Calls by revision and outcome.");
        let durations = HistogramOpts::new("plimsoll_router_request_duration_seconds", "Time from the call to the end of its answer.");
        let of_tests = Opts::new("plimsoll_router_variant_requests_total", "Calls of a test by variant and outcome.");
        let times_of_tests =
            HistogramOpts::new("plimsoll_router_variant_request_duration_seconds", "Time from the call of a test to the end of its answer, by variant.");
        let metrics = Self {
            revisions: Calls::new(requests, durations, "revision", &registry)?,
            variants: Calls::new(of_tests, times_of_tests, "variant", &registry)?,
            weights: GaugeVec::new(Opts::new("plimsoll_router_weight", "Share of the calls, 0 to 1."), &["revision"])?,
            ready: GaugeVec::new(Opts::new("plimsoll_router_ready_endpoints", "Ready pods."), &["revision"])?,
            version: IntGauge::new("plimsoll_router_routes_version", "The version of the routes in use.")?,
            rejected: IntCounterVec::new(Opts::new("plimsoll_router_rejected_total", "Calls that no revision got, by reason."), &["reason"])?,
            shadows: IntCounterVec::new(
                Opts::new("plimsoll_router_shadow_calls_total", "Calls of a paired test, by how the treatment answered their copy, or why they have none."),
                &["outcome"],
            )?,
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.weights.clone()))?;
        registry.register(Box::new(metrics.ready.clone()))?;
        registry.register(Box::new(metrics.version.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.shadows.clone()))?;
        Ok(metrics)
    }

    /// Shows the table in use.
    #[expect(clippy::as_conversions, reason = "a number of pods")]
    pub fn show(&self, table: &Table) {
        self.version.set(table.routes.version);
        self.weights.reset();
        self.ready.reset();
        for backend in &table.routes.backends {
            let revision = backend.revision.as_str();
            self.weights.with_label_values(&[revision]).set(f64::from(backend.weight) / f64::from(FULL));
            self.ready.with_label_values(&[revision]).set(table.ready(&backend.service) as f64);
        }
        self.revisions.know(table.routes.backends.iter().map(|backend| backend.revision.as_str()));
        self.variants.know(table.routes.tests().flat_map(|test| &test.variants).map(|variant| variant.name.as_str()));
    }

    /// The counters of a revision, and of the variant for which its answer counts.
    pub fn of(&self, revision: &str, variant: Option<&str>) -> [Option<Arc<Handles>>; 2] {
        [self.revisions.of(revision), variant.and_then(|variant| self.of_variant(variant))]
    }

    /// The counters of a variant.
    pub fn of_variant(&self, variant: &str) -> Option<Arc<Handles>> {
        self.variants.of(variant)
    }

    /// Counts a call of a paired test: how the treatment answered its copy, or why it has none: `no_endpoints`, `busy`, `too_large` or `broken_off`.
    pub fn shadow(&self, outcome: &str) {
        self.shadows.with_label_values(&[outcome]).inc();
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
