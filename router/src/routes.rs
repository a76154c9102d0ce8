//! `routes.json`: who gets which share of the calls.

use serde::Deserialize;

use crate::experiment::{Test, TestError};

/// All of the traffic, in basis points.
pub const FULL: u32 = 10_000;

/// What the operator wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// Grows with every change.
    pub version: i64,
    /// The seed of the assignment.
    pub seed: String,
    /// The header that names a user.
    #[serde(default)]
    pub sticky_header: Option<String>,
    /// Who can answer.
    pub backends: Vec<Backend>,
    /// Who takes outcomes, where the ModelDeployment asks for them.
    #[serde(default)]
    pub evaluator: Option<Evaluator>,
    /// The A/B test under way.
    #[serde(default)]
    pub test: Option<Test>,
    /// The A/B test under way whose treatment answers copies only. It has a name of its own, so that a router of before there were such
    /// tests answers by weight, and lets nobody meet the treatment.
    #[serde(default)]
    pub paired_test: Option<Test>,
}

/// Where outcomes go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluator {
    /// The Service whose endpoint is its pod.
    pub service: String,
    /// The port of the pod.
    pub port: u16,
}

/// One revision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Its name, told to callers.
    pub revision: String,
    /// The Service whose endpoints are its pods.
    pub service: String,
    /// The port of a pod.
    pub port: u16,
    /// Its share, in basis points.
    pub weight: u32,
    /// What it is.
    pub state: State,
}

/// What a revision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum State {
    /// Serves and is trusted.
    Stable,
    /// Is being tried: without weight it answers nobody, for nobody may have approved it.
    Candidate,
    /// Served before, and is kept warm.
    Draining,
}

/// Why routes are refused.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// Not JSON of the expected form.
    #[error("routes.json is not understood: {0}")]
    Parse(#[from] serde_json::Error),
    /// Weights do not add up.
    #[error("the weights of routes.json sum to {0}, not to {FULL}")]
    Sum(u32),
    /// A revision is there twice.
    #[error("routes.json has revision {0:?} twice")]
    Twice(String),
    /// The test is none.
    #[error(transparent)]
    Test(#[from] TestError),
}

impl Routes {
    /// Reads and checks routes.
    ///
    /// # Errors
    /// Says what is wrong; the routes that are in use stay.
    pub fn parse(text: &str) -> Result<Self, RoutesError> {
        let routes: Self = serde_json::from_str(text)?;
        let sum = routes.backends.iter().fold(0_u32, |sum, backend| sum.saturating_add(backend.weight));
        if sum != FULL {
            return Err(RoutesError::Sum(sum));
        }
        for (place, backend) in routes.backends.iter().enumerate() {
            if routes.backends.iter().skip(place + 1).any(|other| other.revision == backend.revision) {
                return Err(RoutesError::Twice(backend.revision.clone()));
            }
        }
        for test in routes.tests() {
            test.check(|revision| routes.backends.iter().any(|backend| backend.revision == revision))?;
        }
        if let Some(test) = &routes.paired_test {
            test.pair().ok_or(TestError::NoPair(test.variants.len()))?;
        }
        Ok(routes)
    }

    /// The A/B test under way, of either kind.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.test.iter().chain(&self.paired_test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i2_routes_that_do_not_add_up_are_refused() {
        let routes = |weights: [u32; 2], second: &str| {
            format!(
                r#"{{"version":1,"seed":"s","backends":[{{"revision":"a","service":"x","port":1,"weight":{},"state":"Stable"}},{{"revision":"{second}","service":"y","port":1,"weight":{},"state":"Candidate"}}]}}"#,
                weights[0], weights[1]
            )
        };
        assert_eq!(Routes::parse(&routes([9_000, 1_000], "b")).unwrap().backends[1].weight, 1_000);
        assert!(matches!(Routes::parse(&routes([9_000, 1_001], "b")), Err(RoutesError::Sum(10_001))));
        assert!(matches!(Routes::parse(&routes([9_000, 1_000], "a")), Err(RoutesError::Twice(_))));
        assert!(matches!(Routes::parse("{"), Err(RoutesError::Parse(_))));
        assert!(matches!(Routes::parse(r#"{"version":1,"seed":"s","backends":[]}"#), Err(RoutesError::Sum(0))));
    }
}
