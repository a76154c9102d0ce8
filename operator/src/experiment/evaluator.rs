//! The deployment's evaluator, asked and told: what it counted, and the test as it stands, for its report. This module must not decide.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use plimsoll_crds::ABTest;
use plimsoll_crds::ab_test::TestReport;
use plimsoll_crds::names::{LABEL_COMPONENT, LABEL_DEPLOYMENT};
use serde_json::json;

use super::plan::unreported;
use super::quality::Quality;
use crate::Context;
use crate::deployment::EVALUATOR;
use crate::read::{is_ready, list, metrics_url};

/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What it counted.
///
/// # Errors
/// Why it cannot be asked.
pub async fn counted(context: &Context, namespace: &str, deployment: &str) -> Result<Quality, String> {
    let (client, url) = find(context, namespace, deployment, "/v1/quality").await?;
    let answer = async { client.get(url).send().await?.error_for_status()?.json().await };
    answer.await.map_err(|error: reqwest::Error| error.to_string())
}

/// Hands the test over; `None` where there is nothing new to tell, or it cannot be told now.
pub async fn hand_over(context: &Context, namespace: &str, test: &ABTest) -> Option<TestReport> {
    let report = unreported(test, test.status.as_ref()?)?;
    let path = format!("/v1/reports/{}", test.metadata.name.as_deref().unwrap_or_default());
    let told = async {
        let (client, url) = find(context, namespace, &test.spec.deployment, &path).await?;
        let body = json!({"metadata": test.metadata, "spec": test.spec, "status": test.status});
        let answer = async { client.put(url).json(&body).send().await?.error_for_status() };
        answer.await.map(drop).map_err(|error: reqwest::Error| error.to_string())
    };
    told.await.inspect_err(|why| tracing::warn!(why, "the report was not handed over; trying again")).ok().map(|()| report)
}

/// A client, and where its ready pod answers this path.
async fn find(context: &Context, namespace: &str, deployment: &str, path: &str) -> Result<(reqwest::Client, String), String> {
    let selector = format!("{LABEL_DEPLOYMENT}={deployment},{LABEL_COMPONENT}={EVALUATOR}");
    let pods: Vec<Pod> = list(&context.client, namespace, &selector).await.map_err(|error| error.to_string())?;
    let serves = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && is_ready(pod);
    let url = pods.iter().find(serves).and_then(|pod| metrics_url(pod, path)).ok_or("the evaluator has no ready pod")?;
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().map_err(|error| error.to_string())?;
    Ok((client, url))
}
