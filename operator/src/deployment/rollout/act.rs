//! What a transition does to the memory in status. Each one leaves a decision record that explains it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use plimsoll_crds::model_deployment::{
    Blocked, Candidate, Check, DecisionRecord, HistoryEntry, ModelDeploymentStatus, PendingVerdict, RevisionReference, StableRevision,
};

use super::blocked::{check_hash, lift};
use super::facts::Entry;
use super::next::{Cause, Transition, Wait};
use crate::deployment::rules::FULL;

/// Decisions that are kept.
const DECISIONS: usize = 20;
/// Former stable revisions that are remembered: at least as many as `rollback.keep` may ask for.
const HISTORY: usize = 20;
/// Blocked pairs that are remembered.
const BLOCKED: usize = 50;
/// So much of the stable revision's traffic before a rollout is its baseline when no step shares the traffic.
const BASELINE: SignedDuration = SignedDuration::from_mins(10);
/// Basis points in a percent.
const PER_PERCENT: i32 = 100;

/// What surrounds a transition.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// What would be started.
    pub desired: Option<&'a RevisionReference>,
    /// The checks of the strategy.
    pub checks: &'a [Check],
    /// The resume annotation.
    pub resume: Option<&'a str>,
    /// Whether the step that ends now was ended by that annotation.
    pub resumed: bool,
    /// The time.
    pub now: &'a Time,
}

impl Scene<'_> {
    fn decision(&self, what: &str, about: &RevisionReference, weight: i32, why: String) -> DecisionRecord {
        DecisionRecord {
            at: self.now.clone(),
            what: what.to_owned(),
            revision: about.revision.clone(),
            model_version: about.model_version.clone(),
            weight,
            why,
        }
    }
}

/// Changes `status` by `transition`.
pub fn act(status: &mut ModelDeploymentStatus, transition: &Transition, scene: &Scene<'_>) {
    match transition {
        Transition::Stay(Wait::Verdicts(which)) => hold(status, which, scene),
        Transition::Stay(_) => {}
        Transition::Start => start(status, scene),
        Transition::Enter(entry) => enter(status, *entry, scene),
        Transition::Promote => promote(status, scene),
        Transition::Decide { outcome, check, message } => {
            if let Some(candidate) = status.candidate.as_mut() {
                candidate.verdict = Some(PendingVerdict { outcome: *outcome, check: check.clone(), message: message.clone(), at: scene.now.clone() });
            }
        }
        Transition::Reconsider => {
            if let Some(candidate) = status.candidate.as_mut() {
                candidate.verdict = None;
            }
        }
        Transition::RollBack(verdict) => roll_back(status, verdict, scene),
        Transition::Drop(cause) => drop_candidate(status, cause, scene),
        Transition::Return(cause) => return_to_previous(status, cause, scene),
        Transition::FinishBake => status.previous = None,
    }
}

/// A fresh retry token: the block on what the spec asks for is lifted, once.
pub fn retry(status: &mut ModelDeploymentStatus, token: Option<&str>, scene: &Scene<'_>) {
    let Some(token) = token.filter(|token| status.last_handled_retry.as_deref() != Some(*token)) else { return };
    status.last_handled_retry = Some(token.to_owned());
    let Some(desired) = scene.desired else { return };
    let rest = lift(&status.blocked, desired);
    if rest.len() < status.blocked.len() {
        status.blocked = rest;
        remember(status, scene.decision("Retried", desired, 0, format!("the retry token {token:?} lifts the block")));
    }
}

fn start(status: &mut ModelDeploymentStatus, scene: &Scene<'_>) {
    let Some(desired) = scene.desired else { return };
    status.checks.clear();
    consume_resume(status, scene);
    let why = match &status.stable {
        Some(stable) => format!("the spec asks for {}; {} serves", desired.model_version, stable.reference.model_version),
        None => format!("the spec asks for {}; nothing serves yet, so it gets all of the traffic when it is approved and ready", desired.model_version),
    };
    remember(status, scene.decision("RolloutStarted", desired, 0, why));
    status.candidate = Some(Candidate {
        reference: desired.clone(),
        step: 0,
        weight: 0,
        started_at: scene.now.clone(),
        step_started_at: scene.now.clone(),
        baseline_since: status.stable.as_ref().map(|stable| before(scene.now, stable)),
        verdict: None,
    });
}

/// Where the stable revision's counts start for a candidate that never shares the traffic with it: a while before the rollout.
fn before(now: &Time, stable: &StableRevision) -> Time {
    Time(now.0.checked_sub(BASELINE).unwrap_or(now.0).max(stable.since.0))
}

fn enter(status: &mut ModelDeploymentStatus, entry: Entry, scene: &Scene<'_>) {
    let Some(mut candidate) = status.candidate.take() else { return };
    if scene.resumed {
        consume_resume(status, scene);
        let why = format!("a person ended the pause of step {}", candidate.step);
        remember(status, scene.decision("Resumed", &candidate.reference, entry.weight, why));
    }
    let numbers = candidate.verdict.take().map(|verdict| format!(": {}", verdict.message)).unwrap_or_default();
    let why = format!("step {} begins at {} %{numbers}", entry.step, entry.weight / PER_PERCENT);
    remember(status, scene.decision("StepCompleted", &candidate.reference, entry.weight, why));
    if entry.weight != candidate.weight {
        status.checks.clear();
    }
    candidate.step = entry.step;
    candidate.weight = entry.weight;
    candidate.step_started_at = scene.now.clone();
    if entry.weight > 0 && entry.weight < FULL {
        candidate.baseline_since = Some(scene.now.clone());
    }
    status.candidate = Some(candidate);
}

fn promote(status: &mut ModelDeploymentStatus, scene: &Scene<'_>) {
    let Some(candidate) = status.candidate.take() else { return };
    let numbers = candidate.verdict.map_or_else(|| "approved and ready".to_owned(), |verdict| verdict.message);
    if scene.resumed {
        consume_resume(status, scene);
    }
    remember(status, scene.decision("Promoted", &candidate.reference, FULL, numbers));
    if let Some(old) = status.stable.take() {
        retire(status, &old, format!("{} took over", candidate.reference.model_version), scene);
        status.previous = Some(StableRevision { baseline_since: candidate.baseline_since, ..old });
    }
    status.checks.clear();
    status.stable = Some(StableRevision { reference: candidate.reference, since: scene.now.clone(), baseline_since: None });
}

fn roll_back(status: &mut ModelDeploymentStatus, verdict: &PendingVerdict, scene: &Scene<'_>) {
    let Some(candidate) = status.candidate.take() else { return };
    let check = verdict.check.clone().unwrap_or_default();
    remember(status, scene.decision("RolledBack", &candidate.reference, 0, format!("{check} fails: {}", verdict.message)));
    block(status, &candidate.reference, &check, &verdict.message, scene);
    consume_resume(status, scene);
}

fn drop_candidate(status: &mut ModelDeploymentStatus, cause: &Cause, scene: &Scene<'_>) {
    let Some(candidate) = status.candidate.take() else { return };
    let (what, why) = match cause {
        Cause::Rejected(why) => ("RolledBack", why.clone()),
        Cause::Superseded => ("Superseded", "the spec asks for another version or predictor".to_owned()),
        Cause::Withdrawn | Cause::Restored => ("Superseded", "the spec asks for what is stable".to_owned()),
        Cause::Failed { check, message } => ("RolledBack", format!("{check} fails: {message}")),
    };
    remember(status, scene.decision(what, &candidate.reference, 0, why));
    consume_resume(status, scene);
}

fn return_to_previous(status: &mut ModelDeploymentStatus, cause: &Cause, scene: &Scene<'_>) {
    let (Some(failed), Some(previous)) = (status.stable.take(), status.previous.take()) else { return };
    let why = match cause {
        Cause::Failed { check, message } => {
            block(status, &failed.reference, check, message, scene);
            format!("{check} fails while its predecessor is kept warm: {message}")
        }
        Cause::Superseded => "it lost its pods while its predecessor was warm, and the spec asks for another one".to_owned(),
        Cause::Restored | Cause::Withdrawn => "the spec names its predecessor again".to_owned(),
        Cause::Rejected(why) => why.clone(),
    };
    remember(status, scene.decision("RolledBack", &failed.reference, 0, why.clone()));
    retire(status, &failed, why, scene);
    status.stable = Some(StableRevision { reference: previous.reference, since: scene.now.clone(), baseline_since: None });
}

fn hold(status: &mut ModelDeploymentStatus, which: &str, scene: &Scene<'_>) {
    let Some(candidate) = status.candidate.clone() else { return };
    let known = status.decisions.iter().take_while(|known| known.at.0 >= candidate.step_started_at.0).any(|known| known.what == "Held");
    if !known {
        let why = format!("the pause is over, and the weight stays until every check passes: {which}");
        remember(status, scene.decision("Held", &candidate.reference, candidate.weight, why));
    }
}

fn block(status: &mut ModelDeploymentStatus, pair: &RevisionReference, check: &str, reason: &str, scene: &Scene<'_>) {
    let mut rest = lift(&status.blocked, pair);
    let definition = scene.checks.iter().find(|known| known.name == check).map(check_hash).unwrap_or_default();
    rest.insert(
        0,
        Blocked {
            content_digest: pair.content_digest.clone(),
            runtime_digest: pair.runtime_digest.clone(),
            model_version: pair.model_version.clone(),
            check: check.to_owned(),
            check_hash: definition,
            reason: reason.to_owned(),
            at: scene.now.clone(),
        },
    );
    rest.truncate(BLOCKED);
    status.blocked = rest;
}

fn retire(status: &mut ModelDeploymentStatus, old: &StableRevision, reason: String, scene: &Scene<'_>) {
    let entry = HistoryEntry {
        revision: old.reference.revision.clone(),
        model_version: old.reference.model_version.clone(),
        promoted_at: old.since.clone(),
        ended_at: scene.now.clone(),
        reason,
    };
    status.history.insert(0, entry);
    status.history.truncate(HISTORY);
}

/// An annotation counts once: not again in this step, nor when the same revision is tried another time.
fn consume_resume(status: &mut ModelDeploymentStatus, scene: &Scene<'_>) {
    if let Some(resume) = scene.resume {
        status.last_handled_resume = Some(resume.to_owned());
    }
}

fn remember(status: &mut ModelDeploymentStatus, decision: DecisionRecord) {
    status.decisions.insert(0, decision);
    status.decisions.truncate(DECISIONS);
}
