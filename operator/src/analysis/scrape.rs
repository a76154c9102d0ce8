//! The operator's own scrapes of its pods, for clusters without Prometheus.
//!
//! Samples live in memory only: after a restart of the operator, counting starts again, and checks wait longer for their verdict.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use plimsoll_crds::names;
use plimsoll_stats::Sample;

use super::exposition;
use super::source::Series;
use crate::read::metrics_url;

/// How often pods are scraped.
const EVERY: Duration = Duration::from_secs(5);
/// How long one pod may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long samples are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(6);
/// The metrics that checks read.
const WANTED: [&str; 6] = [
    "plimsoll_router_requests_total",
    "plimsoll_router_variant_requests_total",
    "plimsoll_feature_values_total",
    "plimsoll_predictions_total",
    "plimsoll_reference_values",
    "plimsoll_reference_predictions",
];

type Key = (String, BTreeMap<String, String>);

/// Scrapes router and model-server pods and remembers what they counted.
#[derive(Clone, Debug, Default)]
pub struct Scraper {
    series: Arc<Mutex<HashMap<Key, VecDeque<Sample>>>>,
}

impl Scraper {
    /// What was scraped of a metric.
    pub fn series(&self, metric: &str, scope: (&str, &str), of: (&str, &str), since: Timestamp) -> Vec<Series> {
        let all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let of_scope = |labels: &BTreeMap<String, String>| {
            [("namespace", scope.0), ("deployment", scope.1), of].iter().all(|(name, value)| labels.get(*name).is_some_and(|is| is == value))
        };
        all.iter()
            .filter(|((name, labels), _)| name == metric && of_scope(labels))
            .map(|((_, labels), samples)| Series {
                labels: labels.clone(),
                samples: samples.iter().copied().filter(|sample| sample.at >= since.as_millisecond()).collect(),
            })
            .filter(|series| !series.samples.is_empty())
            .collect()
    }

    /// Scrapes for ever.
    pub async fn run(self, client: Client, namespace: Option<String>) {
        let Ok(http) = reqwest::Client::builder().timeout(ANSWER_WITHIN).build() else { return };
        loop {
            self.round(&client, &http, namespace.as_deref()).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn round(&self, client: &Client, http: &reqwest::Client, namespace: Option<&str>) {
        let api: Api<Pod> = namespace.map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace));
        let selector = format!("{}={},{} in (router,model-server)", names::LABEL_MANAGED_BY, names::PLIMSOLL, names::LABEL_COMPONENT);
        let pods = match api.list(&ListParams::default().labels(&selector)).await {
            Ok(pods) => pods.items,
            Err(error) => return tracing::warn!(%error, "pods to scrape not listed"),
        };
        let scrapes = pods.iter().map(|pod| self.scrape(http, pod));
        futures::future::join_all(scrapes).await;
        self.forget(Timestamp::now());
    }

    async fn scrape(&self, http: &reqwest::Client, pod: &Pod) {
        let Some(url) = metrics_url(pod, "/metrics") else { return };
        let answer = async { http.get(url).send().await?.error_for_status()?.text().await };
        match answer.await {
            Ok(text) => self.remember(pod, &text, Timestamp::now()),
            Err(error) => tracing::debug!(%error, pod = pod.name_any(), "pod not scraped"),
        }
    }

    /// Takes the samples of one pod. The pod itself says which namespace and deployment they belong to, so that no pod can
    /// speak for another.
    fn remember(&self, pod: &Pod, text: &str, now: Timestamp) {
        let (Some(namespace), Some(deployment)) = (pod.namespace(), pod.labels().get(names::LABEL_DEPLOYMENT)) else { return };
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for mut line in exposition::parse(text, |name| WANTED.contains(&name)) {
            line.labels.insert("namespace".to_owned(), namespace.clone());
            line.labels.insert("deployment".to_owned(), deployment.clone());
            line.labels.insert("pod".to_owned(), pod.name_any());
            all.entry((line.name, line.labels)).or_default().push_back(Sample { at: now.as_millisecond(), value: line.value });
        }
    }

    fn forget(&self, now: Timestamp) {
        let oldest = now.checked_sub(KEPT).unwrap_or(now).as_millisecond();
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, samples| {
            while samples.front().is_some_and(|sample| sample.at < oldest) {
                samples.pop_front();
            }
            !samples.is_empty()
        });
    }
}
