//! What follows from what was read: pure and total.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use plimsoll_crds::condition::{self, ConditionType, is_true};
use plimsoll_crds::training_job::result::TrainingResult;
use plimsoll_crds::training_job::{Attempt, Resolved};
use plimsoll_crds::{TrainingJob, TrainingJobStatus, names};

use super::attempts::{Next, next};
use super::job;
use super::observe::Observed;
use super::outcome::{Ending, Outcome, PATIENCE, lives, outcome, runs};
use super::report::{Stage, facts, notes, with_history};
use super::spec::problem;
use super::version::{model_version, objection};
use crate::change::{Change, Reference, contains};
use crate::kube_io::Note;
use crate::read::{owned_by, to_value};
use crate::reasons::Reason;

/// Endings of a run that are final.
const FINAL: [Reason; 4] = [Reason::Permanent, Reason::AttemptsExhausted, Reason::BadResult, Reason::NameTaken];

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

/// Plans one pass. `image` is the trainer's.
pub fn plan(job: &TrainingJob, observed: &Observed, image: &str, now: Timestamp) -> Plan {
    let old = job.status.clone().unwrap_or_default();
    let mut draft = Draft { job, observed, image, now, changes: keep_for(job, observed), status: old.clone(), wake: None };
    let stage = draft.advance();
    let Draft { changes, mut status, wake, .. } = draft;
    let generation = job.metadata.generation.unwrap_or_default();
    status.observed_generation = Some(generation);
    status.conditions = condition::merge(&status.conditions, &facts(&stage), generation, &Time(now));
    Plan { changes, notes: notes(&old, &status), status, wake }
}

/// A plan in the making.
struct Draft<'a> {
    job: &'a TrainingJob,
    observed: &'a Observed,
    image: &'a str,
    now: Timestamp,
    changes: Vec<Change>,
    status: TrainingJobStatus,
    wake: Option<Duration>,
}

impl Draft<'_> {
    fn advance(&mut self) -> Stage {
        // Terminal is terminal: nothing about the spec matters any more.
        if let Some(failed) = failed_for_good(&self.status) {
            return failed;
        }
        if let Some(result) = self.status.result.clone() {
            return self.record(Box::new(result));
        }
        if let Some(problem) = problem(&self.job.spec) {
            return Stage::Refused(problem);
        }
        match self.status.attempts.last().filter(|attempt| attempt.ended.is_none()).cloned() {
            Some(attempt) => self.follow(&attempt),
            None => self.start(),
        }
    }

    /// Follows an attempt that was started.
    fn follow(&mut self, attempt: &Attempt) -> Stage {
        let child = self.observed.job(&attempt.job);
        let outcome = outcome(child, child.and_then(|child| self.observed.newest_pod(child)), self.now);
        // A Job that is gone already was deleted for this, by a pass that was not there any more to write it down.
        if self.job.spec.run.suspend && (child.is_none() || matches!(outcome, Outcome::Running | Outcome::Pending(..))) {
            self.changes.extend(child.map(delete));
            self.end(Ending::new(Reason::Suspended, "spec.run.suspend is true"));
            return Stage::Suspended;
        }
        match outcome {
            Outcome::Running => Stage::Running(attempt.number),
            Outcome::Pending(reason, message) => {
                // Only time tells that a pod which says nothing is late.
                self.wake = (reason == Reason::Starting).then_some(PATIENCE);
                Stage::Pending(reason, format!("attempt {}: {message}", attempt.number))
            }
            Outcome::Succeeded(result) => self.accept(result),
            Outcome::Permanent(ending) => self.fail(Reason::Permanent, ending),
            Outcome::Retry(ending) | Outcome::Free(ending) => {
                self.end(with_history(ending, &self.status));
                self.start()
            }
        }
    }

    fn accept(&mut self, result: Box<TrainingResult>) -> Stage {
        if let Some(objection) = objection(self.job, &result) {
            return self.fail(Reason::BadResult, Ending::new(Reason::BadResult, objection));
        }
        self.end(Ending::new(Reason::Succeeded, ""));
        self.status.result = Some(*result.clone());
        // The result is written down before anything rests on it.
        self.wake = Some(Duration::ZERO);
        Stage::Finished(result)
    }

    fn fail(&mut self, reason: Reason, ending: Ending) -> Stage {
        let message = if ending.reason == reason.as_str() { ending.message.clone() } else { format!("{}: {}", ending.reason, ending.message) };
        self.end(ending);
        Stage::Failed(reason, message)
    }

    /// Starts an attempt, unless the run is held, exhausted, or has to wait.
    fn start(&mut self) -> Stage {
        if self.job.spec.run.suspend {
            // A Job that was made just before a crash is in no status yet.
            self.changes.extend(self.observed.jobs.iter().filter(|job| lives(job) && !is_going(job)).map(delete));
            return Stage::Suspended;
        }
        let number = match next(&self.status.attempts, self.job.spec.run.max_attempts, self.now) {
            Next::Start(number) => number,
            Next::Wait(number, left) => {
                self.wake = Some(left);
                return Stage::Pending(Reason::WaitingToRetry, format!("attempt {number} waits; the last one: {}", self.last_words()));
            }
            Next::GiveUp(failed) => {
                return Stage::Failed(Reason::AttemptsExhausted, format!("{failed} of {failed} attempts failed; the last one: {}", self.last_words()));
            }
        };
        let name = names::attempt(&self.job.name_any(), number);
        if let Some(left) = self.leftover(&name) {
            return Stage::Pending(Reason::EarlierAttemptEnding, format!("attempt {number} waits until {left} has ended"));
        }
        if self.status.attempts.is_empty() && self.status.resolved.is_none() {
            self.status.resolved = Some(Resolved { window: self.job.spec.data.window.clone() });
        }
        self.configure();
        if self.observed.job(&name).is_none() {
            self.changes.push(Change::Create(job::attempt(self.job, number, self.image)));
        }
        self.status.attempts.push(Attempt { number, job: name, started: Some(Time(self.now)), ended: None, reason: None, message: None });
        self.wake = Some(PATIENCE);
        Stage::Pending(Reason::Starting, format!("attempt {number}: the pod is being started"))
    }

    /// A Job or a pod of this run that may still run, and is not of the attempt `name` (I1).
    fn leftover(&self, name: &str) -> Option<String> {
        let job = self.observed.jobs.iter().find(|job| lives(job) && (job.name_any() != name || is_going(job)));
        let own = self.observed.job(name).and_then(Job::uid);
        let is_own = |pod: &k8s_openapi::api::core::v1::Pod| own.as_ref().is_some_and(|uid| owned_by(pod, uid));
        let pod = || self.observed.pods.iter().find(|pod| runs(pod) && !is_own(pod));
        job.map(|job| format!("Job {}", job.name_any())).or_else(|| pod().map(|pod| format!("pod {}", pod.name_any())))
    }

    /// Makes the trainer's configuration, and replaces one that says something else: its data cannot be changed.
    fn configure(&mut self) {
        let wanted = job::configuration(self.job);
        let live = self.observed.configuration.as_ref();
        if live.is_some_and(|live| contains(&to_value(live), &wanted)) {
            return;
        }
        let ours = live.filter(|live| self.job.uid().is_some_and(|uid| owned_by(*live, &uid)));
        self.changes
            .extend(ours.map(|live| Change::Delete(Reference { kind: "ConfigMap".to_owned(), name: live.name_any(), uid: live.uid().unwrap_or_default() })));
        self.changes.push(Change::Create(wanted));
    }

    /// Makes the ModelVersion of a result whose gates passed.
    fn record(&mut self, result: Box<TrainingResult>) -> Stage {
        match &self.observed.version {
            _ if !result.gates_passed => Stage::Recorded(result),
            Some(version) if version.spec.digest == result.digest => Stage::Recorded(result),
            Some(version) => Stage::Failed(
                Reason::NameTaken,
                format!("ModelVersion {} exists with the digest {}, this run made {}: train again", result.model_version, version.spec.digest, result.digest),
            ),
            // Recorded once: a ModelVersion that a person deleted afterwards is not made again.
            None if is_true(&self.status.conditions, ConditionType::Ready) => Stage::Recorded(result),
            None => {
                self.changes.push(Change::Create(model_version(self.job, &result)));
                self.wake = Some(Duration::ZERO);
                Stage::Finished(result)
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        if let Some(attempt) = self.status.attempts.last_mut() {
            attempt.ended = Some(Time(self.now));
            attempt.reason = Some(ending.reason);
            attempt.message = Some(ending.message).filter(|message| !message.is_empty());
        }
    }

    fn last_words(&self) -> String {
        let word = |text: &Option<String>| text.clone().unwrap_or_default();
        self.status.attempts.last().map(|attempt| format!("{}: {}", word(&attempt.reason), word(&attempt.message))).unwrap_or_default()
    }
}

/// The stage of a run that failed earlier.
fn failed_for_good(status: &TrainingJobStatus) -> Option<Stage> {
    let failed = condition::find(&status.conditions, ConditionType::Failed).filter(|failed| failed.status == "True")?;
    let reason = FINAL.into_iter().find(|known| known.as_str() == failed.reason).unwrap_or(Reason::Permanent);
    Some(Stage::Failed(reason, failed.message.clone()))
}

/// How long finished Jobs are kept may be changed at any time.
fn keep_for(job: &TrainingJob, observed: &Observed) -> Vec<Change> {
    let wanted = job::time_to_live(job);
    let kept = |child: &&Job| child.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished).map(i64::from);
    let differing = observed.jobs.iter().filter(|child| wanted.is_some() && kept(child) != wanted && !is_going(child));
    differing.map(|child| Change::Apply(job::kept_for(&child.name_any(), wanted.unwrap_or_default()))).collect()
}

fn is_going(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

fn delete(job: &Job) -> Change {
    Change::Delete(Reference { kind: "Job".to_owned(), name: job.name_any(), uid: job.uid().unwrap_or_default() })
}
