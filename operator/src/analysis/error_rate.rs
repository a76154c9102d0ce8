//! The check `errorRate`: calls as routers counted them.

use plimsoll_crds::model_deployment::ErrorRateCheck;
use plimsoll_stats::{Calls, Verdict, compare};

use super::Look;
use super::source::{Series, Source, SourceError};

/// Outcomes that are the server's fault.
const FAULTS: [&str; 2] = ["server_error", "unreachable"];

/// Compares candidate and stable.
pub async fn look(source: &Source, look: &Look, check: &ErrorRateCheck) -> Result<(Verdict, String), SourceError> {
    let scope = (look.namespace.as_str(), look.deployment.as_str());
    let ours = source.series("plimsoll_router_requests_total", scope, &look.of.candidate).await?;
    let theirs = source.series("plimsoll_router_requests_total", scope, &look.of.stable).await?;
    let result = compare(calls(&ours), calls(&theirs), check.versus_stable.margin, check.versus_stable.alpha);
    Ok((result.verdict, result.message))
}

fn calls(series: &[Series]) -> Calls {
    series.iter().fold(Calls::default(), |sum, series| {
        let count = series.increase();
        let failed = if FAULTS.contains(&series.label("outcome")) { count } else { 0 };
        Calls { failed: sum.failed + failed, all: sum.all + count }
    })
}
