//! What people are told: conditions and events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::condition::{self, ConditionType, Fact, find, is_true};
use plimsoll_crds::training_job::result::TrainingResult;
use plimsoll_crds::{TrainingJob, TrainingJobStatus};

use super::outcome::Ending;
use crate::Error;
use crate::kube_io::Note;
use crate::reasons::Reason;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The spec cannot be carried out.
    Refused(String),
    /// Held by its author.
    Suspended,
    /// No pod runs, but one will.
    Pending(Reason, String),
    /// The attempt with this number runs.
    Running(i32),
    /// No attempt is left, or trying again would not help.
    Failed(Reason, String),
    /// There is a result, and its ModelVersion is about to be made.
    Finished(Box<TrainingResult>),
    /// There is a result, and what follows from it has happened.
    Recorded(Box<TrainingResult>),
}

/// The conditions of a stage.
pub fn facts(stage: &Stage) -> Vec<Fact> {
    use ConditionType::{Accepted, Failed, Ready, Reconciling, Running, Stalled, Suspended};
    let fact = |kind, holds, reason: Reason, message: &str| Fact::new(kind, holds, reason.as_str(), message);
    let accepted = fact(Accepted, true, Reason::Valid, "the spec was understood");
    match stage {
        Stage::Refused(why) => {
            let told = format!("{why} (the spec is immutable: create another TrainingJob)");
            vec![fact(Accepted, false, Reason::BadSpec, &told), fact(Ready, false, Reason::BadSpec, &told), fact(Stalled, true, Reason::BadSpec, &told)]
        }
        Stage::Suspended => vec![
            accepted,
            fact(Running, false, Reason::Suspended, "no attempt is running"),
            fact(Suspended, true, Reason::Suspended, "spec.run.suspend is true"),
            fact(Ready, false, Reason::Suspended, "set spec.run.suspend to false to go on"),
        ],
        Stage::Pending(reason, message) => {
            vec![accepted, fact(Running, false, *reason, message), fact(Ready, false, *reason, message), fact(Reconciling, true, *reason, message)]
        }
        Stage::Running(number) => {
            let told = format!("attempt {number} runs");
            vec![
                accepted,
                fact(Running, true, Reason::Training, &told),
                fact(Ready, false, Reason::Training, &told),
                fact(Reconciling, true, Reason::Training, &told),
            ]
        }
        Stage::Failed(reason, message) => vec![
            accepted,
            fact(Running, false, Reason::Ended, "no attempt is running"),
            fact(Failed, true, *reason, message),
            fact(Ready, false, *reason, message),
            fact(Stalled, true, *reason, message),
        ],
        Stage::Finished(result) => complete(accepted, result, false),
        Stage::Recorded(result) => complete(accepted, result, true),
    }
}

fn complete(accepted: Fact, result: &TrainingResult, is_recorded: bool) -> Vec<Fact> {
    use ConditionType::{Complete, GatesPassed, Ready, Reconciling, Running, Stalled};
    let gates = gates(result);
    let (ready, reason, message) = match (result.gates_passed, is_recorded) {
        (true, true) => (true, Reason::ModelVersionCreated, format!("ModelVersion {} waits for an approval or serves", result.model_version)),
        (true, false) => (false, Reason::Recording, format!("ModelVersion {} is being made", result.model_version)),
        (false, _) => (false, Reason::GatesFailed, gates.clone()),
    };
    vec![
        accepted,
        Fact::new(Running, false, Reason::Ended.as_str(), "no attempt is running"),
        Fact::new(Complete, true, Reason::ResultWritten.as_str(), format!("artifact {}, report {}", result.digest, result.report.uri)),
        Fact::new(GatesPassed, result.gates_passed, if result.gates_passed { Reason::GatesPassed } else { Reason::GatesFailed }.as_str(), gates.clone()),
        Fact::new(Ready, ready, reason.as_str(), message.clone()),
        Fact::new(Reconciling, result.gates_passed && !is_recorded, reason.as_str(), message),
        Fact::new(Stalled, !result.gates_passed, Reason::GatesFailed.as_str(), gates),
    ]
}

/// Each gate with its numbers.
fn gates(result: &TrainingResult) -> String {
    if result.gates.is_empty() {
        return "there are no gates".to_owned();
    }
    let word = |passed: bool| if passed { "passed" } else { "failed" };
    let gates = result.gates.iter().map(|gate| match result.metrics.get(&gate.metric) {
        // The trainer drops messages when they would not fit; the number is enough then.
        Some(value) if gate.message.is_empty() => format!("{}: {} is {value:.4}", word(gate.passed), gate.metric),
        _ => format!("{}: {}", word(gate.passed), gate.message),
    });
    gates.collect::<Vec<_>>().join("; ")
}

/// Events for what is new in a status.
pub fn notes(old: &TrainingJobStatus, new: &TrainingJobStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    for attempt in &new.attempts {
        let before = old.attempts.iter().find(|before| before.number == attempt.number);
        if before.is_none() {
            notes.push(note(false, Reason::AttemptStarted, format!("attempt {}: Job {}", attempt.number, attempt.job)));
        }
        let ended_now = attempt.ended.is_some() && before.is_none_or(|before| before.ended.is_none());
        if let Some(reason) =
            attempt.reason.as_deref().filter(|reason| ended_now && ![Reason::Succeeded, Reason::Suspended].map(Reason::as_str).contains(reason))
        {
            notes.push(note(true, Reason::AttemptFailed, format!("attempt {}: {reason}: {}", attempt.number, attempt.message.as_deref().unwrap_or_default())));
        }
    }
    notes.extend(became(old, new, ConditionType::Failed, true).map(|message| note(true, Reason::AttemptsExhausted, message)));
    notes.extend(became(old, new, ConditionType::Accepted, false).map(|message| note(true, Reason::BadSpec, message)));
    notes.extend(became(old, new, ConditionType::GatesPassed, false).map(|message| note(true, Reason::GatesFailed, message)));
    notes.extend(became(old, new, ConditionType::Ready, true).map(|message| note(false, Reason::ModelVersionCreated, message)));
    notes
}

fn note(warning: bool, reason: Reason, message: String) -> Note {
    Note { warning, reason: reason.as_str(), message }
}

/// The message of a condition that has this status now and did not have it before.
fn became(old: &TrainingJobStatus, new: &TrainingJobStatus, kind: ConditionType, holds: bool) -> Option<String> {
    let now = find(&new.conditions, kind).filter(|_| is_true(&new.conditions, kind) == holds)?;
    let before = find(&old.conditions, kind).is_some() && is_true(&old.conditions, kind) == holds;
    (!before).then(|| now.message.clone())
}

/// The ending with what the pod last waited for, when it never ran: its deadline alone would not help anybody.
pub fn with_history(ending: Ending, old: &TrainingJobStatus) -> Ending {
    let waited =
        find(&old.conditions, ConditionType::Running).filter(|running| running.status == "False" && ending.reason == Reason::DeadlineExceeded.as_str());
    match waited {
        Some(running) => Ending { message: format!("{}; until then: {}", ending.message, running.message), ..ending },
        None => ending,
    }
}

/// The old status with the write that failed.
pub fn with_failure(job: &TrainingJob, error: &Error, now: Timestamp) -> TrainingJobStatus {
    let mut status = job.status.clone().unwrap_or_default();
    let generation = job.metadata.generation.unwrap_or_default();
    let facts = [ConditionType::Ready, ConditionType::Reconciling]
        .map(|kind| Fact::new(kind, kind == ConditionType::Reconciling, Reason::WriteFailed.as_str(), error.to_string()));
    let failure = condition::merge(&status.conditions, &facts, generation, &Time(now));
    status.conditions.retain(|condition| facts.iter().all(|fact| fact.kind.as_str() != condition.type_));
    status.conditions.extend(failure);
    status
}
