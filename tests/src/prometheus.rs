//! The cluster's Prometheus, asked as Grafana asks it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::text;
use crate::stage::Stage;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A Prometheus server.
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A series of an answer: its labels, and its numbers with their times in seconds since 1970. An instant query has one number.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// (seconds since 1970, value), ascending; NaN where Prometheus says so.
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// A label, empty when absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The newest number.
    pub fn last(&self) -> f64 {
        self.samples.last().map_or(f64::NAN, |(_, value)| *value)
    }
}

impl Prometheus {
    /// The one of the local cluster.
    ///
    /// # Errors
    /// Its Service is not there.
    pub fn of(stage: &Stage) -> anyhow::Result<Self> {
        let service = stage.admin.get("monitoring", "service/prometheus")?;
        ensure!(!service.is_null(), "the cluster has no Prometheus: up --addons makes one");
        Ok(Self {
            url: format!("http://{}:9090", text(&service, "/spec/clusterIP")),
            client: reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// The expression's value now.
    ///
    /// # Errors
    /// Prometheus cannot be reached, or refuses the expression.
    pub fn query(&self, expression: &str) -> anyhow::Result<Vec<Series>> {
        let data = self.get("/api/v1/query", &[("query", expression)])?;
        data.pointer("/result").and_then(Value::as_array).into_iter().flatten().map(series).collect()
    }

    /// The expression's values of the last so many seconds, one every `step` seconds.
    ///
    /// # Errors
    /// Prometheus cannot be reached, or refuses the expression.
    pub fn range(&self, expression: &str, seconds: i64, step: u32) -> anyhow::Result<Vec<Series>> {
        let end = Timestamp::now().as_second();
        let (start, end, step) = ((end - seconds).to_string(), end.to_string(), step.to_string());
        let data = self.get("/api/v1/query_range", &[("query", expression), ("start", &start), ("end", &end), ("step", &step)])?;
        data.pointer("/result").and_then(Value::as_array).into_iter().flatten().map(series).collect()
    }

    /// The alerting rules that are loaded, as the API shows them.
    ///
    /// # Errors
    /// Prometheus cannot be reached.
    pub fn rules(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.get("/api/v1/rules", &[("type", "alert")])?;
        let groups = data.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(groups.iter().filter_map(|group| group.get("rules").and_then(Value::as_array)).flatten().cloned().collect())
    }

    /// Asks again until the answer is what is expected.
    ///
    /// # Errors
    /// It is not in time; the error shows the last answer.
    pub fn wait(&self, expression: &str, within: Duration, expected: impl Fn(&[Series]) -> bool) -> anyhow::Result<Vec<Series>> {
        let start = Instant::now();
        loop {
            let found = self.query(expression)?;
            if expected(&found) {
                return Ok(found);
            }
            if start.elapsed() > within {
                bail!("{expression}: not within {} s; it is {found:?}", within.as_secs());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let answer: Value = self.runtime.block_on(async { self.client.get(format!("{}{path}", self.url)).query(parameters).send().await?.json().await })?;
        ensure!(text(&answer, "/status") == "success", "{parameters:?}: {answer}");
        answer.get("data").cloned().context("an answer has data")
    }
}

fn series(found: &Value) -> anyhow::Result<Series> {
    let labels = found.get("metric").and_then(Value::as_object).context("a series has labels")?;
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let sample = |pair: &Value| Some((pair.get(0)?.as_f64()?, pair.get(1)?.as_str()?.parse().ok()?));
    let samples = match (found.get("values").and_then(Value::as_array), found.get("value")) {
        (Some(values), _) => values.iter().map(sample).collect::<Option<_>>(),
        (None, Some(value)) => sample(value).map(|sample| vec![sample]),
        (None, None) => None,
    };
    Ok(Series { labels, samples: samples.context("a series has numbers")? })
}
