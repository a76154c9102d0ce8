//! Progress for people and for Prometheus: a bar on a terminal, log lines and metrics in a pod.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use crate::job::Job;

/// Tells how far a run is.
pub struct Progress {
    bar: Option<ProgressBar>,
    registry: Registry,
    labels: [String; 2],
    epoch: GaugeVec,
    ratio: GaugeVec,
    loss: GaugeVec,
    rows: GaugeVec,
}

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counts from 1.
    pub number: i32,
    /// How many there are at most.
    pub of: i32,
    /// Mean loss on train rows.
    pub train_loss: f64,
    /// The early-stopping metric on validation rows.
    pub validation: f64,
}

impl Progress {
    /// For this run.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new(job: &Job) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, more: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let gauge = GaugeVec::new(Opts::new(name, help), &[&["namespace", "training_job"], more].concat())?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} epochs {elapsed} left {eta} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Ok(Self {
            bar,
            labels: [job.namespace.clone(), job.name.clone()],
            epoch: gauge("plimsoll_training_epoch", "Epochs that are done.", &[])?,
            ratio: gauge("plimsoll_training_progress_ratio", "Share of the epochs that is done.", &[])?,
            loss: gauge("plimsoll_training_loss", "Mean loss on train rows; the early-stopping metric on validation rows.", &["part"])?,
            rows: gauge("plimsoll_training_rows", "Rows of each part.", &["part"])?,
            registry,
        })
    }

    /// The rows are known.
    pub fn rows(&self, part: &str, count: usize) {
        #[expect(clippy::as_conversions, reason = "a count below 2^53")]
        self.rows.with_label_values(&[&self.labels[0], &self.labels[1], part]).set(count as f64);
    }

    /// An epoch is done.
    pub fn epoch(&self, epoch: Epoch) {
        let [namespace, job] = &self.labels;
        self.epoch.with_label_values(&[namespace, job]).set(f64::from(epoch.number));
        self.ratio.with_label_values(&[namespace, job]).set(f64::from(epoch.number) / f64::from(epoch.of));
        self.loss.with_label_values(&[namespace.as_str(), job.as_str(), "train"]).set(epoch.train_loss);
        self.loss.with_label_values(&[namespace.as_str(), job.as_str(), "validation"]).set(epoch.validation);
        match &self.bar {
            Some(bar) => {
                bar.set_length(u64::try_from(epoch.of).unwrap_or(0));
                bar.set_position(u64::try_from(epoch.number).unwrap_or(0));
                bar.set_message(format!("loss {:.4} validation {:.4}", epoch.train_loss, epoch.validation));
            }
            None => tracing::info!(epoch = epoch.number, of = epoch.of, loss = epoch.train_loss, validation = epoch.validation, "epoch done"),
        }
    }

    /// Training is over.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }

    /// The registry, to be served.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }
}

/// Serves the metrics for as long as the run lasts. A port that is taken (two runs on one laptop) only costs the metrics.
pub async fn serve(registry: Registry, port: u16) {
    let render = move || async move { TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_default() };
    let app = axum::Router::new().route("/metrics", axum::routing::get(render));
    match tokio::net::TcpListener::bind(("0.0.0.0", port)).await {
        Ok(listener) => drop(axum::serve(listener, app).await),
        Err(error) => tracing::warn!(%error, port, "metrics not served"),
    }
}
