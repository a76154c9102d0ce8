//! Routes: who gets which share of the traffic.
//!
//! **Invariants:** weights sum to 10,000 (I2). A candidate's weight in the routes rises above what routers were last told only with a
//! standing approval, whatever the status says: the last line of defence of I2. No weight for a revision without ready pods
//! unless nothing else has any. A paired test is told in a field of its own, which splits nobody. The version grows with the content and never falls. This module must not know why a weight is what it is.

use std::collections::BTreeMap;

use plimsoll_crds::ab_test::Mode;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;
use plimsoll_crds::names;
use serde::{Deserialize, Serialize};

use super::rules::FULL;

/// What routers follow: the content of `routes.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// Grows with each change.
    pub version: i64,
    /// Keys the assignment of callers: the UID of the ModelDeployment.
    pub seed: String,
    /// The header that names a user.
    pub sticky_header: Option<String>,
    /// Who answers.
    pub backends: Vec<Backend>,
    /// Where outcomes go, where they are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<Evaluator>,
    /// The ABTest that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestRoute>,
    /// The ABTest that runs, where it splits nobody: its second variant answers copies of the calls of its users. It has a name of its own:
    /// a router of a release that knows no such tests must not split users for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paired_test: Option<TestRoute>,
}

/// How an ABTest splits the traffic of its users, whatever the weights of the backends; or copies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestRoute {
    /// Keys the assignment of its users: the UID of the ABTest.
    pub seed: String,
    /// The header that names a user.
    pub header: String,
    /// What users meet.
    pub variants: Vec<VariantRoute>,
}

/// One side of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantRoute {
    /// Its name, which no other test has.
    pub name: String,
    /// Who answers; one of the backends.
    pub revision: String,
    /// Its share of the users, in basis points.
    pub weight: i32,
}

/// Where outcomes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluator {
    /// The evaluator's Service.
    pub service: String,
    /// The Service's port.
    pub port: i32,
}

/// One revision behind the router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The revision.
    pub revision: String,
    /// Its Service.
    pub service: String,
    /// The Service's port.
    pub port: i32,
    /// Its share in basis points.
    pub weight: i32,
    /// What it is.
    pub state: State,
}

/// What a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Serves and is trusted.
    Stable,
    /// Is being tried.
    Candidate,
    /// Served before, and is kept warm.
    Draining,
}

impl Routes {
    /// The weights by revision.
    pub fn weights(&self) -> BTreeMap<String, i32> {
        self.backends.iter().map(|backend| (backend.revision.clone(), backend.weight)).collect()
    }

    /// The weight of a revision, 0 when it is not there.
    pub fn weight(&self, revision: &str) -> i32 {
        self.backends.iter().filter(|backend| backend.revision == revision).map(|backend| backend.weight).max().unwrap_or(0)
    }

    /// The ABTest that runs, of either mode.
    pub fn any_test(&self) -> Option<&TestRoute> {
        self.test.as_ref().or(self.paired_test.as_ref())
    }

    fn says_the_same(&self, other: &Self) -> bool {
        Self { version: 0, ..self.clone() } == Self { version: 0, ..other.clone() }
    }
}

/// What decides about routes besides the status.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// Its UID.
    pub seed: &'a str,
    /// The header that names a user.
    pub sticky_header: Option<&'a str>,
    /// Whether outcomes are collected.
    pub collects: bool,
    /// The ABTest that runs, and its mode.
    pub test: Option<(&'a TestRoute, Mode)>,
    /// What routers were told last.
    pub live: Option<&'a Routes>,
    /// Whether the candidate's weight may rise.
    pub may_rise: bool,
}

/// The routes for `status`; `None` until something is stable. `ready` tells whether a revision has ready pods.
pub fn desired(status: &ModelDeploymentStatus, ground: Ground<'_>, ready: impl Fn(&str) -> bool) -> Option<Routes> {
    let stable = status.stable.as_ref()?;
    let previous = status.previous.as_ref();
    let share = status.candidate.as_ref().map_or(0, |candidate| {
        let told = ground.live.map_or(0, |live| live.weight(&candidate.reference.revision));
        let allowed = if ground.may_rise { candidate.weight } else { candidate.weight.min(told) };
        if ready(&candidate.reference.revision) { allowed.clamp(0, FULL) } else { 0 }
    });
    let mut parties = vec![(stable.reference.revision.as_str(), State::Stable)];
    parties.extend(status.candidate.iter().map(|candidate| (candidate.reference.revision.as_str(), State::Candidate)));
    parties.extend(previous.map(|previous| (previous.reference.revision.as_str(), State::Draining)));
    let home = home(&parties, share, ground.may_rise, ready);
    let mut backends: Vec<Backend> = parties
        .iter()
        .map(|(revision, state)| {
            let own = if *state == State::Candidate { share } else { 0 };
            let rest = if *state == home { FULL.saturating_sub(share) } else { 0 };
            backend(ground.deployment, revision, *state, own.saturating_add(rest))
        })
        .collect();
    // Who answers in a test only has no weight: calls that are in none do not meet it.
    for variant in ground.test.iter().flat_map(|(test, _)| &test.variants) {
        if backends.iter().all(|backend| backend.revision != variant.revision) {
            backends.push(backend(ground.deployment, &variant.revision, State::Candidate, 0));
        }
    }
    let evaluator = ground.collects.then(|| Evaluator { service: names::evaluator(ground.deployment), port: names::SERVING_PORT.1 });
    let of_mode = |mode: Mode| ground.test.filter(|(_, asked)| *asked == mode).map(|(test, _)| test.clone());
    let routes = Routes {
        version: 0,
        seed: ground.seed.to_owned(),
        sticky_header: ground.sticky_header.map(str::to_owned),
        backends,
        evaluator,
        test: of_mode(Mode::Split),
        paired_test: of_mode(Mode::Paired),
    };
    Some(numbered(routes, status, ground.live))
}

/// Who takes what the candidate does not: the stable revision, or while it has no ready pods its warm predecessor, or a candidate that
/// has traffic already and may have more.
fn home(parties: &[(&str, State)], share: i32, may_rise: bool, ready: impl Fn(&str) -> bool) -> State {
    let is_ready = |wanted: State| parties.iter().any(|(revision, state)| *state == wanted && ready(revision));
    if is_ready(State::Stable) {
        State::Stable
    } else if is_ready(State::Draining) {
        State::Draining
    } else if share > 0 && may_rise {
        State::Candidate
    } else {
        State::Stable
    }
}

fn backend(deployment: &str, revision: &str, state: State, weight: i32) -> Backend {
    Backend { revision: revision.to_owned(), service: names::revision_child(deployment, revision), port: names::SERVING_PORT.1, weight, state }
}

/// The live version while the content is the same, else one above every version that was ever told.
fn numbered(mut routes: Routes, status: &ModelDeploymentStatus, live: Option<&Routes>) -> Routes {
    let known = status.routes.as_ref().map_or(0, |routes| routes.version);
    routes.version = match live {
        Some(live) if live.says_the_same(&routes) && live.version >= known.max(1) => live.version,
        Some(live) => live.version.max(known).saturating_add(1),
        None => known.saturating_add(1),
    };
    routes
}

/// What a router says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterReport {
    /// Whether the pod is ready.
    pub ready: bool,
    /// The version that it runs; `None` when it did not answer.
    pub version: Option<i64>,
    /// The seed of the test that it splits, or copies. A router of a release that knows no tests has none, whatever its routes say.
    pub test: Option<String>,
}

/// Whether there is a ready router, and every ready one runs this version.
pub fn verified(routers: &[RouterReport], routes: &Routes) -> bool {
    let mut ready = routers.iter().filter(|router| router.ready).peekable();
    ready.peek().is_some() && ready.all(|router| router.version == Some(routes.version) && router.test.as_ref() == routes.any_test().map(|test| &test.seed))
}
