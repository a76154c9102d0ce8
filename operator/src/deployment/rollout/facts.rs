//! What a rollout is decided on, gathered into one plain struct.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_crds::model_deployment::{Candidate, ModelDeploymentStatus, PendingVerdict};

use crate::deployment::rules::{FULL, Rules, Step};

/// What the spec asks for, compared with what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What is stable already.
    Stable,
    /// What is being tried.
    Candidate,
    /// What was stable before, and is still warm.
    Previous,
    /// Something that could be started.
    New,
    /// Something that failed here, and is not tried again by itself.
    Blocked,
    /// Something that the gatekeeper rejected.
    Rejected,
    /// Nothing that can be started: no such version, no such runtime, nothing approved yet.
    Unresolved,
}

/// What the gatekeeper says about the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// A valid approval stands, or none is needed.
    Granted,
    /// None stands; the text says why.
    Missing(String),
    /// A rejection stands.
    Rejected(String),
}

/// The step that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub step: i32,
    /// The candidate's weight in it, in basis points.
    pub weight: i32,
    /// Whether it is the end: the candidate becomes stable.
    pub promotes: bool,
    /// Whether the candidate's weight rises, which needs an approval.
    pub rises: bool,
    /// Whether every check must pass first.
    pub judged: bool,
}

/// Whether the present step is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Yes.
    Over,
    /// Routers have not reported its weights yet.
    Unverified,
    /// A timed pause.
    PausedUntil(Timestamp),
    /// A pause that a person ends.
    PausedForPerson,
}

/// What a look at the checks said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nobody looked in this pass.
    None,
    /// Every check passes; the text has the numbers.
    Pass(String),
    /// A check fails.
    Fail {
        /// Which one.
        check: String,
        /// Its numbers and rule.
        message: String,
    },
    /// Some check has no verdict yet; the text says which.
    Undecided(String),
}

/// Everything that the next transition depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What the spec asks for.
    pub wish: Wish,
    /// The ABTest that has the deployment.
    pub test: Option<String>,
    /// Whether something is stable.
    pub has_stable: bool,
    /// Whether the candidate has all of its pods ready.
    pub ready: bool,
    /// What the gatekeeper says about the candidate.
    pub approval: Approval,
    /// The candidate's next step.
    pub entry: Option<Entry>,
    /// Whether its present step is over.
    pub step: StepState,
    /// What this pass's look said.
    pub look: Look,
    /// The verdict that an earlier pass wrote down.
    pub decided: Option<PendingVerdict>,
    /// Whether it is so old that its numbers say nothing about now: nobody acted on it, because the operator was away.
    pub decided_long_ago: bool,
    /// Whether going back leaves somebody to answer: who gets the traffic has ready pods, or who loses it has none either.
    pub somebody_home: bool,
    /// The check that an earlier pass saw fail while baking.
    pub failed_in_bake: Option<(String, String)>,
    /// Whether the predecessor was kept warm long enough.
    pub bake_over: bool,
    /// Whether the bake's time is over, and the predecessor is the only one that has ready pods.
    pub stable_lost: bool,
}

/// The step that follows the candidate's present one.
pub fn entry(rules: &Rules, candidate: &Candidate, has_stable: bool) -> Entry {
    let number = if is_entered(rules, candidate) { candidate.step.saturating_add(1) } else { candidate.step };
    let step = if has_stable { rules.step(number) } else { None };
    let has_traffic = candidate.weight > 0;
    match step {
        None => Entry { step: number, weight: FULL, promotes: true, rises: true, judged: has_traffic },
        Some(Step::SetWeight(weight)) => {
            let rises = weight > candidate.weight;
            Entry { step: number, weight, promotes: false, rises, judged: rises && has_traffic }
        }
        Some(Step::PauseFor(_) | Step::PauseForPerson) => Entry { step: number, weight: candidate.weight, promotes: false, rises: false, judged: false },
    }
}

/// What ends a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// Routers report the weights that were written.
    pub verified: bool,
    /// A person said go.
    pub resumed: bool,
    /// The time.
    pub now: Timestamp,
}

/// Whether the present step is over.
pub fn step_state(rules: &Rules, candidate: &Candidate, signals: Signals) -> StepState {
    match rules.step(candidate.step) {
        None => StepState::Over,
        Some(Step::SetWeight(_)) if !is_entered(rules, candidate) || signals.verified || candidate.weight == 0 => StepState::Over,
        Some(Step::SetWeight(_)) => StepState::Unverified,
        Some(Step::PauseFor(duration)) => {
            let end = after(candidate.step_started_at.0, duration);
            if signals.now >= end { StepState::Over } else { StepState::PausedUntil(end) }
        }
        Some(Step::PauseForPerson) if signals.resumed => StepState::Over,
        Some(Step::PauseForPerson) => StepState::PausedForPerson,
    }
}

/// A `setWeight` is entered when its weight is set, a pause always.
fn is_entered(rules: &Rules, candidate: &Candidate) -> bool {
    match rules.step(candidate.step) {
        Some(Step::SetWeight(weight)) => weight == candidate.weight,
        Some(Step::PauseFor(_) | Step::PauseForPerson) | None => true,
    }
}

/// When the predecessor needs to be warm no longer.
pub fn bake_end(status: &ModelDeploymentStatus, rules: &Rules) -> Option<Timestamp> {
    let stable = status.stable.as_ref()?;
    status.previous.as_ref().map(|_| after(stable.since.0, rules.bake))
}

/// The check that was seen to fail while the predecessor is warm. A promotion clears the list, so it is about the present bake.
pub fn failed_in_bake(status: &ModelDeploymentStatus) -> Option<(String, String)> {
    let failed = status.checks.iter().find(|check| check.verdict == super::verdicts::FAIL)?;
    status.previous.as_ref().map(|_| (failed.name.clone(), failed.message.clone()))
}

fn after(start: Timestamp, duration: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|span| start.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}
