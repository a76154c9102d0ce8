//! The phase table. Total: every phase answers every set of facts.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_deployment::{ModelDeploymentStatus, Outcome, PendingVerdict};

use super::facts::{Approval, Entry, Facts, Look, StepState, Wish};

/// Where a rollout is. Recomputed from status in each pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is tried.
    Idle,
    /// A candidate is there.
    Trying,
    /// A candidate became stable, and its predecessor is still warm.
    Baking,
}

impl Phase {
    /// The phase that this status is in.
    pub fn of(status: &ModelDeploymentStatus) -> Self {
        match (&status.candidate, &status.previous) {
            (Some(_), _) => Self::Trying,
            (None, Some(_)) => Self::Baking,
            (None, None) => Self::Idle,
        }
    }
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// Nothing, because of this.
    Stay(Wait),
    /// What the spec asks for becomes the candidate.
    Start,
    /// The candidate goes to this step.
    Enter(Entry),
    /// The candidate becomes stable.
    Promote,
    /// A verdict is written down, to be acted on in the next pass.
    Decide {
        /// What will follow.
        outcome: Outcome,
        /// The check that decided.
        check: Option<String>,
        /// The numbers and the rule.
        message: String,
    },
    /// The written verdict cannot be acted on any more.
    Reconsider,
    /// The candidate failed: it goes, and its pair is blocked.
    RollBack(PendingVerdict),
    /// The candidate goes for a reason that is not its fault.
    Drop(Cause),
    /// The predecessor becomes stable again.
    Return(Cause),
    /// The predecessor need not be warm any longer.
    FinishBake,
}

/// Why something goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The gatekeeper rejected it.
    Rejected(String),
    /// The spec asks for another one.
    Superseded,
    /// The spec asks for what is stable.
    Withdrawn,
    /// A check failed.
    Failed {
        /// Which one.
        check: String,
        /// Its numbers and rule.
        message: String,
    },
    /// The spec names the predecessor again.
    Restored,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    Nothing,
    /// The spec cannot be followed; the condition says why.
    Spec,
    /// What the spec asks for is blocked.
    Blocked,
    /// What the spec asks for was rejected.
    Rejected,
    /// The candidate's pods.
    Pods,
    /// Routers, which do not report the weights yet.
    Routers,
    /// A timed pause.
    Until(Timestamp),
    /// A person.
    Person,
    /// The gatekeeper.
    Approval(String),
    /// The next look at the checks.
    Look,
    /// Checks without a verdict.
    Verdicts(String),
    /// The end of the bake.
    Bake,
    /// A failed check was written down; the next pass acts on it.
    NextPass,
    /// The end of the ABTest of that name.
    Test(String),
    /// Ready pods of whoever gets the traffic back: until then nobody else could answer.
    Home,
}

/// What follows in `phase`.
pub fn next(phase: Phase, facts: &Facts) -> Transition {
    match phase {
        Phase::Idle => idle(facts),
        Phase::Trying => trying(facts),
        Phase::Baking => baking(facts),
    }
}

fn idle(facts: &Facts) -> Transition {
    match facts.wish {
        Wish::New => facts.test.as_ref().map_or(Transition::Start, |test| Transition::Stay(Wait::Test(test.clone()))),
        Wish::Stable | Wish::Candidate | Wish::Previous => Transition::Stay(Wait::Nothing),
        Wish::Blocked => Transition::Stay(Wait::Blocked),
        Wish::Rejected => Transition::Stay(Wait::Rejected),
        Wish::Unresolved => Transition::Stay(Wait::Spec),
    }
}

/// The way back is asked for first, the spec second, the way on last.
fn trying(facts: &Facts) -> Transition {
    if let Some(back) = way_back(facts) {
        return back;
    }
    match facts.wish {
        Wish::Stable | Wish::New | Wish::Previous | Wish::Blocked | Wish::Rejected if !facts.somebody_home => undo_advance(facts, Wait::Home),
        Wish::Stable => Transition::Drop(Cause::Withdrawn),
        Wish::New | Wish::Previous | Wish::Blocked | Wish::Rejected => Transition::Drop(Cause::Superseded),
        Wish::Unresolved => undo_advance(facts, Wait::Spec),
        Wish::Candidate => way_on(facts),
    }
}

fn way_back(facts: &Facts) -> Option<Transition> {
    if let Some(verdict) = facts.decided.as_ref().filter(|verdict| verdict.outcome == Outcome::Rollback) {
        return Some(if facts.somebody_home { Transition::RollBack(verdict.clone()) } else { Transition::Stay(Wait::Home) });
    }
    if let Look::Fail { check, message } = &facts.look {
        return Some(Transition::Decide { outcome: Outcome::Rollback, check: Some(check.clone()), message: message.clone() });
    }
    match &facts.approval {
        Approval::Rejected(why) => Some(Transition::Drop(Cause::Rejected(why.clone()))),
        Approval::Granted | Approval::Missing(_) => None,
    }
}

fn way_on(facts: &Facts) -> Transition {
    let Some(entry) = facts.entry else { return Transition::Stay(Wait::Nothing) };
    if facts.decided_long_ago {
        return Transition::Reconsider;
    }
    if !facts.ready {
        return undo_advance(facts, Wait::Pods);
    }
    let decided = facts.decided.is_some();
    match facts.step {
        StepState::Unverified if !decided => return Transition::Stay(Wait::Routers),
        StepState::PausedUntil(end) if !decided => return Transition::Stay(Wait::Until(end)),
        StepState::PausedForPerson if !decided => return Transition::Stay(Wait::Person),
        StepState::Over | StepState::Unverified | StepState::PausedUntil(_) | StepState::PausedForPerson => {}
    }
    if let (true, Approval::Missing(why) | Approval::Rejected(why)) = (entry.rises, &facts.approval) {
        return undo_advance(facts, Wait::Approval(why.clone()));
    }
    if entry.judged && !decided {
        return match &facts.look {
            Look::None | Look::Fail { .. } => Transition::Stay(Wait::Look),
            Look::Undecided(which) => Transition::Stay(Wait::Verdicts(which.clone())),
            Look::Pass(numbers) => Transition::Decide { outcome: Outcome::Advance, check: None, message: numbers.clone() },
        };
    }
    if entry.promotes { Transition::Promote } else { Transition::Enter(entry) }
}

/// Waits; a written `Advance` is taken back first, so that it is not acted on when the obstacle has gone and the numbers are old.
fn undo_advance(facts: &Facts, wait: Wait) -> Transition {
    if facts.decided.is_some() { Transition::Reconsider } else { Transition::Stay(wait) }
}

fn baking(facts: &Facts) -> Transition {
    let goes_back = facts.failed_in_bake.is_some() || facts.wish == Wish::Previous;
    if goes_back && !facts.somebody_home {
        return Transition::Stay(Wait::Home);
    }
    if let Some((check, message)) = &facts.failed_in_bake {
        return Transition::Return(Cause::Failed { check: check.clone(), message: message.clone() });
    }
    match (&facts.look, facts.wish) {
        (Look::Fail { .. }, _) => Transition::Stay(Wait::NextPass),
        (Look::None | Look::Pass(_) | Look::Undecided(_), Wish::Previous) => Transition::Return(Cause::Restored),
        // What took over is gone, and what would cure it waits for this bake.
        (Look::None | Look::Pass(_) | Look::Undecided(_), Wish::New) if facts.stable_lost => Transition::Return(Cause::Superseded),
        (Look::None | Look::Pass(_) | Look::Undecided(_), Wish::Stable | Wish::Candidate | Wish::New | Wish::Blocked | Wish::Rejected | Wish::Unresolved) => {
            if facts.bake_over {
                Transition::FinishBake
            } else {
                Transition::Stay(Wait::Bake)
            }
        }
    }
}
