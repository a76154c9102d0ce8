//! The check `errorRate`: calls as routers counted them.

use plimsoll_crds::model_deployment::ErrorRateCheck;
use plimsoll_stats::{Calls, Verdict, compare};

use super::source::{Series, Source, SourceError};
use super::Look;

/// Outcomes that are the server's fault.
const FAULTS: [&str; 2] = ["server_error", "unreachable"];

/// Compares candidate and stable.
pub async fn look(source: &Source, look: &Look, check: &ErrorRateCheck) -> Result<(Verdict, String), SourceError> {
    let Some(stable) = &look.stable else {
        return Ok((Verdict::NoData, "there is no stable revision to compare with".to_owned()));
    };
    let series = source.series("plimsoll_router_requests_total", (&look.namespace, &look.deployment), look.since).await?;
    let result = compare(calls(&series, &look.candidate), calls(&series, stable), check.versus_stable.margin, check.versus_stable.alpha);
    Ok((result.verdict, result.message))
}

fn calls(series: &[Series], revision: &str) -> Calls {
    series.iter().filter(|series| series.label("revision") == revision).fold(Calls::default(), |sum, series| {
        let count = series.increase();
        let failed = if FAULTS.contains(&series.label("outcome")) { count } else { 0 };
        Calls { failed: sum.failed + failed, all: sum.all + count }
    })
}
