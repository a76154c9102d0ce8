//! Every read of a pass over a test: objects from the API server, sums from the evaluator, calls from the routers' counters. And what the
//! evaluator is told: the test as it stands, for its report.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ab_test::{GuardrailMetric, TestReport};
use plimsoll_crds::names::{LABEL_COMPONENT, LABEL_DEPLOYMENT, METRICS_PORT};
use plimsoll_crds::{ABTest, ModelDeployment};
use plimsoll_stats::{Verdict, compare};
use serde_json::json;

use super::plan::{Observed, is_judged, labels, stage, unreported};
use super::quality::Quality;
use crate::analysis::calls_of_a_variant;
use crate::deployment::EVALUATOR;
use crate::read::{get, list};
use crate::{Context, Error};

/// How long the evaluator may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Reads everything that a plan needs.
///
/// # Errors
/// The API server refused or could not be reached. What the evaluator or the metrics do not tell is data.
pub async fn observe(context: &Context, namespace: &str, test: &ABTest) -> Result<Observed, Error> {
    let client = &context.client;
    let (deployment, tests, versions) = tokio::try_join!(
        get::<ModelDeployment>(client, namespace, &test.spec.deployment),
        list::<ABTest>(client, namespace, ""),
        list(client, namespace, ""),
    )?;
    let mut observed = Observed { deployment, tests, versions, ..Observed::default() };
    let started = test.status.as_ref().and_then(|status| status.started_at.clone());
    if let (true, Some(started)) = (is_judged(test, &stage(test, &observed)), started) {
        let (counted, breaches) = tokio::join!(counted(context, namespace, &test.spec.deployment), breaches(context, namespace, test, started.0));
        (observed.counted, observed.breaches) = (Some(counted), breaches);
        if let Some(Err(why)) = &observed.counted {
            tracing::warn!(test = test.metadata.name, why, "the evaluator was not asked");
        }
    }
    Ok(observed)
}

/// What the deployment's evaluator counted.
async fn counted(context: &Context, namespace: &str, deployment: &str) -> Result<Quality, String> {
    let (client, address) = evaluator(context, namespace, deployment).await?;
    let answer = async { client.get(format!("{address}/v1/quality")).send().await?.error_for_status()?.json().await };
    answer.await.map_err(|error: reqwest::Error| error.to_string())
}

/// Hands the test to the evaluator, which draws its report; `None` where there is nothing new to tell, or it cannot be told now.
pub async fn hand_over(context: &Context, namespace: &str, test: &ABTest) -> Option<TestReport> {
    let report = unreported(test, test.status.as_ref()?)?;
    let told = async {
        let (client, address) = evaluator(context, namespace, &test.spec.deployment).await?;
        let body = json!({"metadata": test.metadata, "spec": test.spec, "status": test.status});
        let request = client.put(format!("{address}/v1/reports/{}", test.metadata.name.as_deref().unwrap_or_default())).json(&body);
        let answer = async { request.send().await?.error_for_status() };
        answer.await.map(drop).map_err(|error: reqwest::Error| error.to_string())
    };
    told.await.inspect_err(|why| tracing::warn!(why, "the report was not handed over; trying again")).ok().map(|()| report)
}

/// A client for the deployment's evaluator, and its address.
async fn evaluator(context: &Context, namespace: &str, deployment: &str) -> Result<(reqwest::Client, String), String> {
    let selector = format!("{LABEL_DEPLOYMENT}={deployment},{LABEL_COMPONENT}={EVALUATOR}");
    let pods: Vec<Pod> = list(&context.client, namespace, &selector).await.map_err(|error| error.to_string())?;
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none() && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let address = pods.iter().find(is_ready).and_then(|pod| pod.status.as_ref()?.pod_ip.clone()).ok_or("the evaluator has no ready pod")?;
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().map_err(|error| error.to_string())?;
    Ok((client, format!("http://{host}:{}", METRICS_PORT.1)))
}

/// The guardrails that a treatment fails. Counters that cannot be read fail none.
async fn breaches(context: &Context, namespace: &str, test: &ABTest, since: Timestamp) -> Vec<String> {
    let (scope, labels) = ((namespace, test.spec.deployment.as_str()), labels(test));
    let mut calls = Vec::new();
    if test.spec.guardrails.is_empty() {
        return Vec::new();
    }
    for label in &labels {
        match calls_of_a_variant(context.analyst.source(), scope, label, since).await {
            Ok(counted) => calls.push(counted),
            Err(error) => {
                tracing::warn!(%error, "guardrails were not looked at");
                return Vec::new();
            }
        }
    }
    let Some((control, treatments)) = calls.split_first() else { return Vec::new() };
    let mut failed = Vec::new();
    for guardrail in &test.spec.guardrails {
        for (variant, calls) in test.spec.variants.iter().skip(1).zip(treatments) {
            let GuardrailMetric::ErrorRate = guardrail.metric;
            let result = compare(*calls, *control, guardrail.margin, guardrail.alpha);
            if result.verdict == Verdict::Fail {
                failed.push(format!("{} fails more calls than the control: {}", variant.name, result.message));
            }
        }
    }
    failed
}
