//! Looks at checks: fetches exact counters from a metric source, or sums from the evaluator, and lets `plimsoll-stats` judge them.
//!
//! **Invariant I9:** looking never fails. What cannot be fetched is the verdict `ProviderError`, what is not there is `NoData`;
//! neither moves traffic. This module must not know what a verdict leads to.

mod alert;
mod comparison;
mod drift;
mod error_rate;
pub mod exporter;
mod exposition;
mod outcome;
mod prometheus;
mod scrape;
mod source;

pub use comparison::{Comparison, Window};
pub use drift::{FeatureDrift, measure};
pub use error_rate::calls_of_a_variant;
pub use scrape::Scraper;
pub use source::{Series, Source, SourceError};

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use plimsoll_crds::model_deployment::{Check, CheckSpec};
use plimsoll_stats::Verdict;

/// How long one check's numbers may take, all of its queries together.
const LOOK_WITHIN: Duration = Duration::from_secs(15);

/// One look at the checks of a rollout.
#[derive(Clone, Debug)]
pub struct Look {
    /// The ModelDeployment's namespace.
    pub namespace: String,
    /// The ModelDeployment's name.
    pub deployment: String,
    /// Who is judged, against whom.
    pub of: Comparison,
    /// When the rollout began, or as near to it as is remembered: what happened before is not its doing.
    pub began: Timestamp,
    /// How many looks at this comparison come before this one, plus one: a chance of error is stated for all of them together.
    pub number: u64,
    /// How long after a prediction its outcome may come, where outcomes are collected.
    pub maturity: Option<Duration>,
    /// What is looked at.
    pub checks: Vec<Check>,
}

/// How one check ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// The check.
    pub name: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// The numbers and the rule, in a sentence.
    pub message: String,
}

/// Looks at checks.
#[derive(Clone)]
pub struct Analyst {
    source: Source,
    /// Finds evaluators.
    client: Client,
}

impl Analyst {
    /// Looks through this source, and finds evaluators with this client.
    pub fn new(source: Source, client: Client) -> Self {
        Self { source, client }
    }

    /// Where numbers come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Looks at every check once.
    pub async fn look(&self, look: &Look) -> Vec<CheckReport> {
        futures::future::join_all(look.checks.iter().map(|check| self.judge(look, check))).await
    }

    async fn judge(&self, look: &Look, check: &Check) -> CheckReport {
        let judged = async {
            match check.spec() {
                Some(CheckSpec::ErrorRate(spec)) => error_rate::look(&self.source, look, spec).await,
                Some(CheckSpec::Drift(spec)) => drift::look(&self.source, look, spec).await,
                Some(CheckSpec::Alert(spec)) => alert::look(&self.source, look, spec).await,
                Some(CheckSpec::Outcome(spec)) => outcome::look(&self.client, look, spec).await,
                None => Ok((Verdict::NoData, "the check looks at nothing: give it one of errorRate, drift, alert and outcome".to_owned())),
            }
        };
        let (verdict, message) = in_time(LOOK_WITHIN, judged).await.unwrap_or_else(|error| (Verdict::ProviderError, error.to_string()));
        CheckReport { name: check.name.clone(), verdict, message }
    }
}

/// A slow source may hold what goes on, never what a person or the spec asks for in the same pass.
async fn in_time<T>(limit: Duration, judged: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    tokio::time::timeout(limit, judged).await.unwrap_or(Err(SourceError::Slow { seconds: limit.as_secs() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i9_a_source_that_never_answers_ends_a_look() {
        let limit = Duration::from_secs(1);
        let told = in_time::<()>(limit, std::future::pending()).await.unwrap_err().to_string();
        assert_eq!(told, "the source of metrics did not answer within 1 s");
        assert_eq!(in_time(limit, std::future::ready(Ok(7))).await.unwrap(), 7);
    }
}
