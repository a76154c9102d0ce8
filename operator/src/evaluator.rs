//! The evaluator of a ModelDeployment, found and asked. This module must not know what its answers lead to.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use plimsoll_crds::names::{LABEL_COMPONENT, LABEL_DEPLOYMENT};
use serde::de::DeserializeOwned;

use crate::deployment::EVALUATOR;
use crate::read::{is_ready, list, metrics_url};

/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Where it tells what it counted.
pub const QUALITY: &str = "/v1/quality";

/// What it answers on this path.
///
/// # Errors
/// Why it cannot be asked.
pub async fn ask<T: DeserializeOwned>(client: &Client, namespace: &str, deployment: &str, path: &str) -> Result<T, String> {
    let (http, url) = find(client, namespace, deployment, path).await?;
    let answer = async { http.get(url).send().await?.error_for_status()?.json().await };
    answer.await.map_err(|error: reqwest::Error| error.to_string())
}

/// A client, and where its ready pod answers this path.
///
/// # Errors
/// Why it cannot be asked.
pub async fn find(client: &Client, namespace: &str, deployment: &str, path: &str) -> Result<(reqwest::Client, String), String> {
    let selector = format!("{LABEL_DEPLOYMENT}={deployment},{LABEL_COMPONENT}={EVALUATOR}");
    let pods: Vec<Pod> = list(client, namespace, &selector).await.map_err(|error| error.to_string())?;
    let serves = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && is_ready(pod);
    let url = pods.iter().find(serves).and_then(|pod| metrics_url(pod, path)).ok_or("the evaluator has no ready pod")?;
    let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().map_err(|error| error.to_string())?;
    Ok((http, url))
}
