//! The check `errorRate`: calls as routers counted them.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_deployment::ErrorRateCheck;
use plimsoll_stats::{Calls, Verdict, compare};

use super::Look;
use super::source::{Series, Source, SourceError};

/// Outcomes that are the server's fault.
const FAULTS: [&str; 2] = ["server_error", "unreachable"];
/// The outcome that speaks for a server. A call that was the caller's mistake, was given up, or was turned away (client_error, rejected)
/// says neither: a candidate that answers nobody has no evidence, and waits.
const ANSWERED: &str = "success";

/// Compares candidate and stable.
pub async fn look(source: &Source, look: &Look, check: &ErrorRateCheck) -> Result<(Verdict, String), SourceError> {
    let scope = (look.namespace.as_str(), look.deployment.as_str());
    let ours = source.series("plimsoll_router_requests_total", scope, &look.of.candidate).await?;
    let theirs = source.series("plimsoll_router_requests_total", scope, &look.of.stable).await?;
    let result = compare(calls(&ours), calls(&theirs), check.versus_stable.margin, check.versus_stable.alpha);
    Ok((result.verdict, result.message))
}

/// The calls of one variant of an ABTest.
///
/// # Errors
/// The source cannot be reached or does not answer as it should.
pub async fn calls_of_a_variant(source: &Source, scope: (&str, &str), variant: &str, since: Timestamp) -> Result<Calls, SourceError> {
    Ok(calls(&source.series_of("plimsoll_router_variant_requests_total", scope, ("variant", variant), since).await?))
}

fn calls(series: &[Series]) -> Calls {
    series.iter().fold(Calls::default(), |sum, series| {
        let (outcome, count) = (series.label("outcome"), series.increase());
        let failed = if FAULTS.contains(&outcome) { count } else { 0 };
        let answered = if outcome == ANSWERED { count } else { 0 };
        Calls { failed: sum.failed + failed, all: sum.all + failed + answered }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_stats::Sample;

    #[test]
    fn only_answers_and_faults_are_evidence() {
        let counted = |outcome: &str, count: f64| Series {
            labels: [("outcome".to_owned(), outcome.to_owned())].into(),
            samples: vec![Sample { at: 0, value: 0.0 }, Sample { at: 1, value: count }],
        };
        let all = [("success", 50.0), ("client_error", 7_000.0), ("rejected", 900.0), ("server_error", 2.0), ("unreachable", 1.0)];
        let calls = calls(&all.map(|(outcome, count)| counted(outcome, count)));
        assert_eq!((calls.failed, calls.all), (3, 53));
    }
}
