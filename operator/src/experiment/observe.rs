//! Every read of a pass over a test: objects from the API server, sums from the evaluator, calls from the routers' counters.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::{ABTest, ModelDeployment};
use plimsoll_stats::Calls;

use super::evaluator::counted;
use super::plan::{Observed, is_forecast, is_judged, labels, stage};
use crate::analysis::calls_of_a_variant;
use crate::read::{get, list};
use crate::{Context, Error};

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
    let (stage, started) = (stage(test, &observed), test.status.as_ref().and_then(|status| status.started_at.clone()));
    if is_forecast(test, &stage) {
        observed.counted = Some(counted(context, namespace, &test.spec.deployment).await);
    }
    if let (true, Some(started)) = (is_judged(test, &stage), started) {
        let (counted, calls) = tokio::join!(counted(context, namespace, &test.spec.deployment), calls(context, namespace, test, started.0));
        (observed.counted, observed.calls) = (Some(counted), calls);
        if let Some(Err(why)) = &observed.counted {
            tracing::warn!(test = test.metadata.name, why, "the evaluator was not asked");
        }
    }
    Ok(observed)
}

/// The calls of each variant, control first; none where nobody asks for them, or they cannot be read: then no guardrail fails.
async fn calls(context: &Context, namespace: &str, test: &ABTest, since: Timestamp) -> Vec<Calls> {
    if test.spec.guardrails.is_empty() {
        return Vec::new();
    }
    let (scope, labels) = ((namespace, test.spec.deployment.as_str()), labels(test));
    let counted = labels.iter().map(|label| calls_of_a_variant(context.analyst.source(), scope, label, since));
    let counted = futures::future::try_join_all(counted).await;
    counted.inspect_err(|error| tracing::warn!(%error, "guardrails were not looked at")).unwrap_or_default()
}
