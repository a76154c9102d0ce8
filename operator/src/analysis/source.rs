//! Where counters come from: Prometheus, or the operator's own scrapes.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use plimsoll_stats::{Sample, increase};

use super::comparison::Window;
use super::prometheus::Prometheus;
use super::scrape::Scraper;

/// A series as it was sampled: raw values, nothing extrapolated.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its samples, oldest first.
    pub samples: Vec<Sample>,
}

impl Series {
    /// A label, empty when absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// How much the counter rose, as a count.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of steps that are not negative")]
    pub fn increase(&self) -> u64 {
        increase(&self.samples).map_or(0, |rise| rise.round() as u64)
    }

    /// The newest value, as a count.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates at 0")]
    pub fn last(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.value.round() as u64)
    }
}

/// Where counters come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A Prometheus server.
    Prometheus(Prometheus),
    /// The operator scrapes its own pods.
    Scrape(Scraper),
}

/// Why numbers could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Prometheus cannot be reached.
    #[error("Prometheus at {url} cannot be reached: {source}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        source: Box<reqwest::Error>,
    },
    /// Prometheus answered with an error.
    #[error("Prometheus at {url} answered {status}: {body}")]
    Refused {
        /// Its address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of its answer.
        body: String,
    },
    /// The answer is not understood.
    #[error("the answer of Prometheus at {url} is not understood: {what}")]
    Answer {
        /// Its address.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The queries of one check took too long together.
    #[error("the source of metrics did not answer within {seconds} s")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// The evaluator cannot be asked.
    #[error("outcomes cannot be judged: {why}")]
    Evaluator {
        /// Why.
        why: String,
    },
    /// Alerts are Prometheus' business.
    #[error("no Prometheus is configured (chart value prometheus.url), and alerts are Prometheus' business")]
    NoPrometheus,
}

impl Source {
    /// A Prometheus server at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn prometheus(url: &str) -> Result<Self, reqwest::Error> {
        Prometheus::new(url).map(Self::Prometheus)
    }

    /// The samples of a counter of one deployment's pods about one revision.
    ///
    /// # Errors
    /// The source cannot be reached or does not answer as it should.
    pub async fn series(&self, metric: &str, scope: (&str, &str), window: &Window) -> Result<Vec<Series>, SourceError> {
        self.series_of(metric, scope, ("revision", &window.revision), window.since).await
    }

    /// The same about whatever has this label.
    ///
    /// # Errors
    /// The source cannot be reached or does not answer as it should.
    pub async fn series_of(&self, metric: &str, scope: (&str, &str), of: (&str, &str), since: Timestamp) -> Result<Vec<Series>, SourceError> {
        match self {
            Self::Prometheus(prometheus) => prometheus.samples(&selector(metric, scope, of), since).await,
            Self::Scrape(scraper) => Ok(scraper.series(metric, scope, of, since)),
        }
    }

    /// The newest sample of a gauge that does not change: one for each series.
    ///
    /// # Errors
    /// The source cannot be reached or does not answer as it should.
    pub async fn newest(&self, metric: &str, scope: (&str, &str), window: &Window) -> Result<Vec<Series>, SourceError> {
        match self {
            Self::Prometheus(prometheus) => prometheus.newest(&selector(metric, scope, ("revision", &window.revision)), window.since).await,
            Self::Scrape(scraper) => Ok(scraper.series(metric, scope, ("revision", &window.revision), window.since)),
        }
    }
}

fn selector(metric: &str, (namespace, deployment): (&str, &str), (label, value): (&str, &str)) -> String {
    format!("{metric}{{namespace=\"{}\",deployment=\"{}\",{label}=\"{}\"}}", escape(namespace), escape(deployment), escape(value))
}

/// A label value inside a PromQL string.
pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
