//! The Prometheus HTTP API: raw samples and alerting rules.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use plimsoll_stats::Sample;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::source::{Series, SourceError};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Seconds of which every sample is fetched.
const RAW: i64 = 3_600;
/// Points of each series when it is longer.
const POINTS: i64 = 240;
/// So much of an error's body is shown.
const BODY_SHOWN: usize = 300;

/// A Prometheus server.
#[derive(Clone, Debug)]
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
}

/// An alerting rule as Prometheus evaluates it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertRule {
    /// The alert's name.
    pub name: String,
    /// When it was evaluated last.
    #[serde(default)]
    pub last_evaluation: Option<Timestamp>,
    /// `ok`, `err` or `unknown`.
    #[serde(default)]
    pub health: String,
    /// Pending and firing alerts.
    #[serde(default)]
    pub alerts: Vec<Alert>,
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
    /// Since when it is one of both.
    #[serde(default)]
    pub active_at: Option<Timestamp>,
    /// What it says.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Matrix {
    result: Vec<MatrixSeries>,
}

#[derive(Deserialize)]
struct MatrixSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<VectorSeries>,
}

#[derive(Deserialize)]
struct VectorSeries {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<AlertRule>,
}

impl Prometheus {
    /// A server at this address.
    pub(super) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client })
    }

    /// The samples of a selector since then, raw: an instant query of a range vector answers what was scraped, nothing else. Of a long time
    /// only so many points, each a value that was scraped: a rollout may wait for days, and all of its samples would fill the memory.
    pub(super) async fn samples(&self, selector: &str, since: Timestamp) -> Result<Vec<Series>, SourceError> {
        let now = Timestamp::now();
        let seconds = now.duration_since(since).as_secs().max(1);
        let matrix: Matrix = if seconds <= RAW {
            self.get("/api/v1/query", &[("query", format!("{selector}[{seconds}s]").as_str()), ("time", &now.to_string())]).await?
        } else {
            let step = (seconds / POINTS).to_string();
            self.get("/api/v1/query_range", &[("query", selector), ("start", &since.to_string()), ("end", &now.to_string()), ("step", &step)]).await?
        };
        Ok(matrix.result.into_iter().map(MatrixSeries::into_series).collect())
    }

    /// The newest sample of each series of a selector since then.
    pub(super) async fn newest(&self, selector: &str, since: Timestamp) -> Result<Vec<Series>, SourceError> {
        let now = Timestamp::now();
        let query = format!("last_over_time({selector}[{}s])", now.duration_since(since).as_secs().max(1));
        let vector: Vector = self.get("/api/v1/query", &[("query", query.as_str()), ("time", &now.to_string())]).await?;
        let alone = |series: VectorSeries| MatrixSeries { metric: series.metric, values: vec![series.value] }.into_series();
        Ok(vector.result.into_iter().map(alone).collect())
    }

    /// The alerting rules of that name.
    pub(super) async fn rules(&self, alert: &str) -> Result<Vec<AlertRule>, SourceError> {
        let rules: Rules = self.get("/api/v1/rules", &[("type", "alert"), ("rule_name[]", alert)]).await?;
        // Servers before 2.45 ignore rule_name.
        Ok(rules.groups.into_iter().flat_map(|group| group.rules).filter(|rule| rule.name == alert).collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)]) -> Result<T, SourceError> {
        let unreachable = |source| SourceError::Unreachable { url: self.url.clone(), source: Box::new(source) };
        let answer = self.client.get(format!("{}{path}", self.url)).query(parameters).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.text().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(SourceError::Refused { url: self.url.clone(), status: status.as_u16(), body: body.chars().take(BODY_SHOWN).collect() });
        }
        let parsed: Answer<T> = serde_json::from_str(&body).map_err(|error| SourceError::Answer { url: self.url.clone(), what: error.to_string() })?;
        Ok(parsed.data)
    }
}

impl MatrixSeries {
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "seconds since 1970 in milliseconds")]
    fn into_series(self) -> Series {
        // NaN marks a series that went stale; it is no count.
        let sample =
            |(at, value): (f64, String)| value.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| Sample { at: (at * 1000.0) as i64, value });
        Series { labels: self.metric, samples: self.values.into_iter().filter_map(sample).collect() }
    }
}
