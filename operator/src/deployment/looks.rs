//! When checks are looked at, and about whom.
//!
//! A look is made while a candidate has traffic, and while its predecessor is kept warm after it got all of it: in steps, pauses and
//! waits for a person alike (I7). It is due each `checkInterval`, when a timed pause has ended since the last one, and when an alert
//! asks for it; never while a verdict waits to be acted on.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;

use super::rollout::{Signals, StepState, failed_in_bake, step_state};
use super::rules::Rules;
use crate::analysis::{Comparison, Look};

/// What happened since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// When checks were looked at last.
    pub looked_at: Option<Timestamp>,
    /// Whether an alert asks for a look.
    pub poked: bool,
    /// The time.
    pub now: Timestamp,
}

/// The look that is due now.
pub fn due(deployment: &ModelDeployment, rules: &Rules, clock: Clock) -> Option<Look> {
    let status = deployment.status.as_ref()?;
    let subject = subject(status)?;
    if rules.checks.is_empty() || wait(&subject, status, rules, clock) > Duration::ZERO {
        return None;
    }
    Some(Look {
        namespace: deployment.metadata.namespace.clone().unwrap_or_default(),
        deployment: deployment.metadata.name.clone().unwrap_or_default(),
        number: number(&subject, rules, clock.now),
        maturity: rules.outcomes.map(|outcomes| outcomes.maturity),
        began: began(status, &subject),
        of: subject,
        checks: rules.checks.clone(),
    })
}

/// How long until the next look.
pub fn next_in(status: &ModelDeploymentStatus, rules: &Rules, clock: Clock) -> Option<Duration> {
    let subject = subject(status).filter(|_| !rules.checks.is_empty())?;
    Some(wait(&subject, status, rules, clock))
}

/// When the rollout began. After a promotion only the last step that shared the traffic is remembered.
fn began(status: &ModelDeploymentStatus, subject: &Comparison) -> Timestamp {
    status.candidate.as_ref().map_or_else(|| subject.stable.since.min(subject.candidate.since), |candidate| candidate.started_at.0)
}

/// The how-many-eth look this is, by the clock: a restart does not begin to count again.
fn number(subject: &Comparison, rules: &Rules, now: Timestamp) -> u64 {
    let (passed, interval) = (now.duration_since(subject.candidate.since).as_secs(), rules.check_interval.as_secs().max(1));
    u64::try_from(passed).unwrap_or(0) / interval + 1
}

/// Nobody is judged while a verdict waits to be acted on, nor before there is traffic.
fn subject(status: &ModelDeploymentStatus) -> Option<Comparison> {
    let judged = match &status.candidate {
        Some(candidate) => candidate.weight > 0 && candidate.verdict.is_none(),
        None => failed_in_bake(status).is_none(),
    };
    Comparison::of(status).filter(|_| judged)
}

fn wait(subject: &Comparison, status: &ModelDeploymentStatus, rules: &Rules, clock: Clock) -> Duration {
    if clock.poked || pause_ended_unseen(status, rules, clock) {
        return Duration::ZERO;
    }
    // Right after a step has begun there is nothing to see: the first look comes an interval later.
    let last = clock.looked_at.map_or(subject.candidate.since, |looked_at| looked_at.max(subject.candidate.since));
    let interval = SignedDuration::try_from(rules.check_interval).unwrap_or(SignedDuration::MAX);
    let passed = clock.now.duration_since(last);
    interval.checked_sub(passed).and_then(|left| Duration::try_from(left).ok()).unwrap_or(Duration::ZERO)
}

fn pause_ended_unseen(status: &ModelDeploymentStatus, rules: &Rules, clock: Clock) -> bool {
    let Some(candidate) = &status.candidate else { return false };
    let state_at = |now| step_state(rules, candidate, Signals { verified: false, resumed: false, now });
    let unseen = clock.looked_at.is_none_or(|looked_at| matches!(state_at(looked_at), StepState::PausedUntil(_)));
    let is_timed = matches!(state_at(Timestamp::MIN), StepState::PausedUntil(_));
    is_timed && unseen && state_at(clock.now) == StepState::Over
}
