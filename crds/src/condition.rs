//! Conditions: their names, their reasons, and how a list of them changes.
//!
//! `Ready`, `Reconciling` and `Stalled` follow kstatus: the last two are there only when they are true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Every condition type of every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The spec was understood.
    Accepted,
    /// A run is going on.
    Running,
    /// The run is held by its author.
    Suspended,
    /// The run ended with a result.
    Complete,
    /// The run ended without a result and will not be tried again.
    Failed,
    /// Every gate of the evaluation passed.
    GatesPassed,
    /// A valid approval stands.
    Approved,
    /// The stable revision has ready pods.
    Available,
    /// A rollout is going on.
    Progressing,
    /// A step waits for time or for a person.
    Paused,
    /// The candidate waits for the gatekeeper.
    AwaitingApproval,
    /// Routers report the weights that were asked for.
    TrafficVerified,
    /// A drift check fails.
    DriftDetected,
    /// The newest candidate was taken out of traffic.
    RolledBack,
    /// The spec's model has all of the traffic.
    Promoted,
    /// Outcomes can be reported and are counted.
    OutcomesCollected,
    /// What users wait for.
    Ready,
    /// kstatus: work is going on.
    Reconciling,
    /// kstatus: no progress without a person.
    Stalled,
}

impl ConditionType {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::GatesPassed => "GatesPassed",
            Self::Approved => "Approved",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::TrafficVerified => "TrafficVerified",
            Self::DriftDetected => "DriftDetected",
            Self::RolledBack => "RolledBack",
            Self::Promoted => "Promoted",
            Self::OutcomesCollected => "OutcomesCollected",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }

    /// Whether the condition is left out unless it is true.
    fn only_when_true(self) -> bool {
        matches!(self, Self::Reconciling | Self::Stalled)
    }
}

/// One fact about an object, before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Which condition.
    pub kind: ConditionType,
    /// `None` is `Unknown`.
    pub holds: Option<bool>,
    /// A PascalCase word from a bounded set.
    pub reason: &'static str,
    /// A sentence for people: what is so, and what to do next.
    pub message: String,
}

impl Fact {
    /// A fact that is known.
    pub fn new(kind: ConditionType, holds: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(holds), reason, message: message.into() }
    }
}

/// The new list: each fact once, times kept where the status did not change, conditions without a fact dropped.
pub fn merge(old: &[Condition], facts: &[Fact], generation: i64, now: &Time) -> Vec<Condition> {
    facts
        .iter()
        .filter(|fact| !fact.kind.only_when_true() || fact.holds == Some(true))
        .map(|fact| {
            let status = match fact.holds {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let since = find(old, fact.kind).filter(|c| c.status == status).map_or_else(|| now.clone(), |c| c.last_transition_time.clone());
            Condition {
                type_: fact.kind.as_str().to_owned(),
                status: status.to_owned(),
                observed_generation: Some(generation),
                last_transition_time: since,
                reason: fact.reason.to_owned(),
                message: fact.message.clone(),
            }
        })
        .collect()
}

/// The condition of that type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Whether the condition is there and true.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_time_is_kept_while_the_status_is() {
        let first = merge(&[], &[Fact::new(ConditionType::Ready, false, "Waiting", "a")], 1, &at(1));
        let second = merge(&first, &[Fact::new(ConditionType::Ready, false, "Waiting", "b")], 2, &at(2));
        assert_eq!(second[0].last_transition_time, at(1));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = merge(&second, &[Fact::new(ConditionType::Ready, true, "Done", "c")], 2, &at(3));
        assert_eq!(third[0].last_transition_time, at(3));
    }

    #[test]
    fn reconciling_and_stalled_are_there_only_when_true() {
        let facts = [Fact::new(ConditionType::Reconciling, false, "Done", ""), Fact::new(ConditionType::Stalled, true, "BadSpec", "")];
        let list = merge(&[], &facts, 1, &at(1));
        assert_eq!(list.len(), 1);
        assert!(is_true(&list, ConditionType::Stalled));
    }
}
