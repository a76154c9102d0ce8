//! Counters of the model server: calls, and what the monitoring compares with the training data.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plimsoll_features::{Baseline, Buckets, Columns, Pipeline};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// Upper edges of the latency histogram, in seconds.
const LATENCY: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper edges of the batch histogram, in rows.
const BATCH: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 32.0, 128.0, 512.0, 2048.0];

/// Who the server is, as labels.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The namespace.
    pub namespace: String,
    /// The ModelDeployment.
    pub deployment: String,
    /// The revision.
    pub revision: String,
}

/// The server's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    durations: Histogram,
    rejected: IntCounterVec,
    batch: Histogram,
    queue: prometheus::IntGauge,
    features: IntCounterVec,
    predictions: IntCounterVec,
    logged: IntCounter,
    log_dropped: IntCounterVec,
    log_retries: IntCounterVec,
    reference: IntGaugeVec,
    reference_predictions: IntGaugeVec,
    /// Handles by feature and bucket, looked up once.
    handles: OnceLock<Handles>,
}

struct Handles {
    features: Vec<(String, Buckets, Vec<IntCounter>)>,
    predictions: Vec<IntCounter>,
}

impl Metrics {
    /// Registers every metric, labelled with who the server is.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(identity: &Identity) -> Result<Self, prometheus::Error> {
        let labels = [("namespace", &identity.namespace), ("deployment", &identity.deployment), ("revision", &identity.revision)];
        let registry = Registry::new_custom(None, Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()))?;
        let counter = |name: &str, help: &str, labels: &[&str]| keep(&registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let gauge = |name: &str, help: &str, labels: &[&str]| keep(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let histogram = |name: &str, help: &str, edges: &[f64]| keep(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(edges.to_vec()))?);
        let inner = Inner {
            requests: counter("plimsoll_server_requests_total", "Calls by method and outcome.", &["method", "outcome"])?,
            durations: histogram("plimsoll_server_request_duration_seconds", "Time to answer a call.", &LATENCY)?,
            rejected: counter("plimsoll_rejected_requests_total", "Calls that were refused, by reason.", &["reason"])?,
            batch: histogram("plimsoll_server_batch_size", "Rows of a forward pass.", &BATCH)?,
            queue: keep(&registry, prometheus::IntGauge::new("plimsoll_server_queue_depth", "Rows that wait.")?)?,
            features: counter("plimsoll_feature_values_total", "Values that callers sent, by bucket.", &["feature", "bucket"])?,
            predictions: counter("plimsoll_predictions_total", "Predicted probabilities, by bucket.", &["bucket"])?,
            logged: keep(&registry, IntCounter::new("plimsoll_prediction_log_rows_total", "Predictions that the evaluator has stored.")?)?,
            log_dropped: counter(
                "plimsoll_prediction_log_dropped_total",
                "Predictions that the evaluator did not get, or got without inputs (large_inputs), by reason.",
                &["reason"],
            )?,
            log_retries: counter(
                "plimsoll_prediction_log_retries_total",
                "Hand-overs that the evaluator did not take and that are tried again, by reason.",
                &["reason"],
            )?,
            reference: gauge("plimsoll_reference_values", "Values of the training data, by bucket.", &["feature", "bucket"])?,
            reference_predictions: gauge("plimsoll_reference_predictions", "Probabilities on held-out rows, by bucket.", &["bucket"])?,
            handles: OnceLock::new(),
            registry,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Says which model is served.
    ///
    /// # Errors
    /// Called twice.
    pub fn set_model(&self, version: &str, digest: &str) -> Result<(), prometheus::Error> {
        let info = IntGaugeVec::new(Opts::new("plimsoll_model_info", "The model that is served."), &["model_version", "digest"])?;
        info.with_label_values(&[version, digest]).set(1);
        keep(&self.0.registry, info).map(drop)
    }

    /// Exports what the training data looked like, and makes every bucket exist from the start.
    pub fn set_baseline(&self, baseline: &Baseline) {
        let inner = &self.0;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let features = baseline.features.iter().map(|feature| {
            let labels = feature.buckets.labels();
            let counters = labels.iter().zip(&feature.counts).map(|(bucket, rows)| {
                inner.reference.with_label_values(&[&feature.name, bucket]).set(count(*rows));
                inner.features.with_label_values(&[&feature.name, bucket])
            });
            let counters = counters.collect();
            (feature.name.clone(), feature.buckets.clone(), counters)
        });
        let features = features.collect();
        let predictions = baseline.predictions.iter().enumerate().map(|(bucket, rows)| {
            inner.reference_predictions.with_label_values(&[&bucket.to_string()]).set(count(*rows));
            inner.predictions.with_label_values(&[&bucket.to_string()])
        });
        drop(inner.handles.set(Handles { features, predictions: predictions.collect() }));
    }

    /// Counts what callers sent.
    pub fn features(&self, columns: &Columns, pipeline: &Pipeline) {
        for (name, buckets, counters) in self.0.handles.get().into_iter().flat_map(|handles| &handles.features) {
            for bucket in buckets.assign(name, columns, pipeline).into_iter().flatten() {
                if let Some(counter) = counters.get(bucket) {
                    counter.inc();
                }
            }
        }
    }

    /// Counts a prediction.
    pub fn prediction(&self, bucket: usize) {
        if let Some(counter) = self.0.handles.get().and_then(|handles| handles.predictions.get(bucket)) {
            counter.inc();
        }
    }

    /// Counts a forward pass.
    #[expect(clippy::as_conversions, reason = "rows below 2^53")]
    pub fn batch(&self, rows: usize, waiting: usize) {
        self.0.batch.observe(rows as f64);
        self.0.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Counts a call.
    pub fn request(&self, method: &str, time: Duration, error: Option<&crate::Error>) {
        self.0.requests.with_label_values(&[method, error.map_or("success", crate::Error::outcome)]).inc();
        self.0.durations.observe(time.as_secs_f64());
        if let Some(error) = error {
            self.0.rejected.with_label_values(&[error.reason()]).inc();
        }
    }

    /// Counts rows that the evaluator has stored.
    pub fn log_sent(&self, rows: usize) {
        self.0.logged.inc_by(u64::try_from(rows).unwrap_or(0));
    }

    /// Counts rows that the evaluator did not get: `full`, `bad_id` or `refused`; or without inputs: `large_inputs`.
    pub fn log_dropped(&self, reason: &str, rows: usize) {
        self.0.log_dropped.with_label_values(&[reason]).inc_by(u64::try_from(rows).unwrap_or(0));
    }

    /// Counts a hand-over that is tried again: `unauthorized` where the evaluator did not believe the token, else `unavailable`.
    pub fn log_retried(&self, code: tonic::Code) {
        let reason = if code == tonic::Code::Unauthenticated { "unauthorized" } else { "unavailable" };
        self.0.log_retries.with_label_values(&[reason]).inc();
    }

    /// Every metric in the text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_default()
    }
}

fn keep<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
