//! The deployment's evaluator, asked and told: what it counted, and the test as it stands, for its report. This module must not decide.

use plimsoll_crds::ABTest;
use plimsoll_crds::ab_test::TestReport;
use serde_json::json;

use super::plan::unreported;
use super::quality::Quality;
use crate::Context;
use crate::evaluator::{QUALITY, ask, find};

/// What it counted.
///
/// # Errors
/// Why it cannot be asked.
pub async fn counted(context: &Context, namespace: &str, deployment: &str) -> Result<Quality, String> {
    ask(&context.client, namespace, deployment, QUALITY).await
}

/// Hands the test over; `None` where there is nothing new to tell, or it cannot be told now.
pub async fn hand_over(context: &Context, namespace: &str, test: &ABTest) -> Option<TestReport> {
    let report = unreported(test, test.status.as_ref()?)?;
    let path = format!("/v1/reports/{}", test.metadata.name.as_deref().unwrap_or_default());
    let told = async {
        let (client, url) = find(&context.client, namespace, &test.spec.deployment, &path).await?;
        let body = json!({"metadata": test.metadata, "spec": test.spec, "status": test.status});
        let answer = async { client.put(url).json(&body).send().await?.error_for_status() };
        answer.await.map(drop).map_err(|error: reqwest::Error| error.to_string())
    };
    told.await.inspect_err(|why| tracing::warn!(why, "the report was not handed over; trying again")).ok().map(|()| report)
}
