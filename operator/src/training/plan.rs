//! What follows from what was read: pure and total.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use plimsoll_crds::training_job::{Attempt, Resolved};
use plimsoll_crds::{TrainingJob, TrainingJobStatus, condition, names};

use super::job;
use super::observe::Observed;
use super::outcome::{Ending, Outcome, outcome};
use super::report::{Stage, facts};
use super::version::model_version;
use crate::change::{Change, Reference};
use crate::kube_io::Note;

/// The wait before the second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait between attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
/// Endings that do not count against run.maxAttempts.
const FREE: [&str; 2] = ["Disrupted", "Suspended"];

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Writes, in order.
    pub changes: Vec<Change>,
    /// The status after them.
    pub status: TrainingJobStatus,
    /// What people are told.
    pub notes: Vec<Note>,
    /// When to look again although nothing happened.
    pub wake: Option<Duration>,
}

/// Plans one pass.
pub fn plan(job: &TrainingJob, observed: &Observed, image: &str, now: Timestamp) -> Plan {
    let mut plan = Plan { changes: Vec::new(), status: job.status.clone().unwrap_or_default(), notes: Vec::new(), wake: None };
    let stage = plan.advance(job, observed, image, now);
    let generation = job.metadata.generation.unwrap_or_default();
    plan.tell(&stage);
    plan.status.observed_generation = Some(generation);
    plan.status.conditions = condition::merge(&plan.status.conditions, &facts(&stage), generation, &Time(now));
    plan
}

impl Plan {
    fn advance(&mut self, job: &TrainingJob, observed: &Observed, image: &str, now: Timestamp) -> Stage {
        // Terminal is terminal: nothing about the spec matters any more.
        if let Some(result) = self.status.result.clone() {
            return self.record(job, observed, Box::new(result));
        }
        if let Some(failed) = self.failed_for_good() {
            return failed;
        }
        if let Some(problem) = problem(job) {
            return Stage::Refused(problem);
        }
        match self.status.attempts.last().filter(|attempt| attempt.ended.is_none()).cloned() {
            Some(attempt) => self.follow(job, observed, &attempt, now),
            None => self.start(job, observed, image, now),
        }
    }

    /// Follows an attempt that was started.
    fn follow(&mut self, job: &TrainingJob, observed: &Observed, attempt: &Attempt, now: Timestamp) -> Stage {
        let child = observed.jobs.iter().find(|child| child.name_any() == attempt.job);
        let pods: Vec<_> = observed.pods.iter().filter(|pod| child.and_then(Job::uid).is_some_and(|uid| crate::read::owned_by(*pod, &uid))).collect();
        let outcome = outcome(child, &pods);
        let under_way = matches!(outcome, Outcome::Running | Outcome::Waiting(_));
        if job.spec.run.suspend && under_way {
            self.changes.extend(child.map(delete));
            self.end(Ending { reason: "Suspended".to_owned(), message: "spec.run.suspend is true".to_owned() }, now);
            return Stage::Suspended;
        }
        match outcome {
            Outcome::Running => Stage::Running { number: attempt.number, message: "the pod runs".to_owned() },
            Outcome::Waiting(why) => Stage::Running { number: attempt.number, message: why.unwrap_or_else(|| "the pod is being started".to_owned()) },
            Outcome::Succeeded(result) => {
                self.end(Ending { reason: "Succeeded".to_owned(), message: String::new() }, now);
                self.status.result = Some(*result.clone());
                self.wake = Some(Duration::ZERO);
                Stage::Finished(result)
            }
            Outcome::Permanent(ending) => {
                let message = ending.message.clone();
                self.end(ending, now);
                Stage::Failed { reason: "Permanent", message }
            }
            Outcome::Retry(ending) | Outcome::Free(ending) => {
                self.end(ending, now);
                self.next_or_give_up(job, now)
            }
        }
    }

    /// Starts an attempt, unless the run is held, exhausted, or has to wait.
    fn start(&mut self, job: &TrainingJob, observed: &Observed, image: &str, now: Timestamp) -> Stage {
        if job.spec.run.suspend {
            return Stage::Suspended;
        }
        let stage = self.next_or_give_up(job, now);
        if !matches!(stage, Stage::Running { .. }) || self.wake.is_some() {
            return stage;
        }
        // A Job of this run that still lives (a crash before its attempt was written down excepted, which has this very name).
        let number = self.next_number();
        let name = names::attempt(&job.name_any(), number);
        if observed.jobs.iter().any(|child| child.name_any() != name && lives(child)) {
            self.wake = Some(FIRST_BACKOFF);
            return Stage::Running { number, message: "an earlier attempt is still ending".to_owned() };
        }
        if !observed.configured {
            self.changes.push(Change::Create(job::configuration(job)));
        }
        self.changes.push(Change::Create(job::attempt(job, number, image)));
        self.status.resolved = Some(Resolved { window: job.spec.data.window.clone() });
        self.status.attempts.push(Attempt { number, job: name, started: Some(Time(now)), ended: None, reason: None, message: None });
        stage
    }

    fn next_or_give_up(&mut self, job: &TrainingJob, now: Timestamp) -> Stage {
        let counted = self.status.attempts.iter().filter(|attempt| !attempt.reason.as_deref().is_some_and(|reason| FREE.contains(&reason))).count();
        let last = self.status.attempts.last();
        let said = last.map(|attempt| format!("{}: {}", attempt.reason.as_deref().unwrap_or_default(), attempt.message.as_deref().unwrap_or_default())).unwrap_or_default();
        if counted >= usize::try_from(job.spec.run.max_attempts).unwrap_or(1) {
            return Stage::Failed { reason: "AttemptsExhausted", message: format!("{counted} of {counted} attempts failed; the last one: {said}") };
        }
        let wait = if counted == 0 { Duration::ZERO } else { backoff(counted) };
        let ended = last.and_then(|attempt| attempt.ended.as_ref()).map(|time| time.0);
        let passed = ended.map_or(wait, |ended| Duration::try_from(now.duration_since(ended)).unwrap_or_default());
        if passed < wait {
            self.wake = Some(wait.saturating_sub(passed));
            return Stage::Running { number: self.next_number(), message: format!("waits before it is tried again; the last one: {said}") };
        }
        Stage::Running { number: self.next_number(), message: "the pod is being started".to_owned() }
    }

    /// Makes the ModelVersion of a result whose gates passed.
    fn record(&mut self, job: &TrainingJob, observed: &Observed, result: Box<plimsoll_crds::training_job::result::TrainingResult>) -> Stage {
        match &observed.version {
            _ if !result.gates_passed => Stage::Recorded(result),
            Some(version) if version.spec.digest == result.digest => Stage::Recorded(result),
            Some(_) => Stage::Failed {
                reason: "NameTaken",
                message: format!("a ModelVersion {} with another digest exists: two digests share their first digits", result.model_version),
            },
            // Recorded once: a ModelVersion that a person deleted afterwards is not made again.
            None if condition::is_true(&self.status.conditions, condition::ConditionType::Ready) => Stage::Recorded(result),
            None => {
                self.changes.push(Change::Create(model_version(job, &result)));
                self.wake = Some(Duration::ZERO);
                Stage::Finished(result)
            }
        }
    }

    fn end(&mut self, ending: Ending, now: Timestamp) {
        if let Some(attempt) = self.status.attempts.last_mut() {
            attempt.ended = Some(Time(now));
            attempt.reason = Some(ending.reason);
            attempt.message = Some(ending.message).filter(|message| !message.is_empty());
        }
    }

    fn next_number(&self) -> i32 {
        i32::try_from(self.status.attempts.len()).unwrap_or(i32::MAX).saturating_add(1)
    }

    /// The stage of a run that failed earlier.
    fn failed_for_good(&self) -> Option<Stage> {
        let failed = condition::find(&self.status.conditions, condition::ConditionType::Failed).filter(|failed| failed.status == "True")?;
        let reason = ["Permanent", "AttemptsExhausted", "NameTaken"].into_iter().find(|known| *known == failed.reason).unwrap_or("Permanent");
        Some(Stage::Failed { reason, message: failed.message.clone() })
    }

    /// Events for what is new.
    fn tell(&mut self, stage: &Stage) {
        let is = |kind| condition::is_true(&self.status.conditions, kind);
        let note = match stage {
            Stage::Failed { reason, message } if !is(condition::ConditionType::Failed) => Note { warning: true, reason, message: message.clone() },
            Stage::Recorded(result) if result.gates_passed && !is(condition::ConditionType::Ready) => {
                Note { warning: false, reason: "ModelVersionCreated", message: format!("ModelVersion {}", result.model_version) }
            }
            Stage::Finished(result) if !result.gates_passed => {
                Note { warning: true, reason: "GatesFailed", message: format!("artifact {} did not pass its gates", result.digest) }
            }
            _ => return,
        };
        self.notes.push(note);
    }
}

/// What CEL cannot see.
fn problem(job: &TrainingJob) -> Option<String> {
    let spec = &job.spec;
    let label = match &spec.task {
        plimsoll_crds::training_job::Task::BinaryClassification(task) => &task.label,
    };
    if spec.features.iter().any(|feature| feature.name == *label) {
        return Some(format!("features: {label:?} is the label; a model that sees it learns nothing"));
    }
    if spec.data.window.from >= spec.data.window.to {
        return Some(format!("data.window: from ({}) must lie before to ({})", spec.data.window.from, spec.data.window.to));
    }
    let durations = [("run.activeDeadline", &spec.run.active_deadline), ("run.timeToLive", &spec.run.time_to_live)];
    durations.iter().find(|(_, text)| text.to_std().is_none()).map(|(field, text)| format!("{field}: {:?} is no duration; write 30s, 5m, 2h or 1d", text.as_str()))
}

fn backoff(counted: usize) -> Duration {
    let doublings = u32::try_from(counted.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

fn lives(job: &Job) -> bool {
    let finished = |condition: &k8s_openapi::api::batch::v1::JobCondition| condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed");
    !job.status.iter().flat_map(|status| status.conditions.iter().flatten()).any(finished)
}

fn delete(job: &Job) -> Change {
    Change::Delete(Reference { kind: "Job".to_owned(), name: job.name_any(), uid: job.uid().unwrap_or_default() })
}

#[cfg(test)]
mod tests;
