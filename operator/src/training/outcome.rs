//! How an attempt ended, from its Job and its pods alone.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use plimsoll_crds::training_job::result::{EXIT_PERMANENT, TrainingOutcome, TrainingResult};

/// How an attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its pod is not running yet; the text says why, when it is known.
    Waiting(Option<String>),
    /// It runs.
    Running,
    /// It has a result.
    Succeeded(Box<TrainingResult>),
    /// It failed, and the same would happen again.
    Permanent(Ending),
    /// It failed; another attempt may not.
    Retry(Ending),
    /// It ended through no fault of its own: it does not count.
    Free(Ending),
}

/// Why an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// A PascalCase word.
    pub reason: String,
    /// What the pod said.
    pub message: String,
}

impl Ending {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

/// Judges an attempt by its Job (if it is still there) and the Job's pods.
pub fn outcome(job: Option<&Job>, pods: &[&Pod]) -> Outcome {
    let Some(job) = job else {
        return Outcome::Retry(Ending::new("JobGone", "the attempt's Job was deleted"));
    };
    let conditions = || job.status.iter().flat_map(|status| status.conditions.iter().flatten()).filter(|condition| condition.status == "True");
    let failed = conditions().find(|condition| condition.type_ == "Failed");
    let complete = conditions().any(|condition| condition.type_ == "Complete");
    match (complete, failed) {
        (true, _) => succeeded(pods),
        (false, Some(failed)) => failure(failed.reason.as_deref().unwrap_or("Failed"), failed.message.as_deref().unwrap_or_default(), pods),
        (false, None) => alive(pods),
    }
}

fn succeeded(pods: &[&Pod]) -> Outcome {
    let message = pods.iter().filter_map(|pod| terminated(pod)).find(|state| state.exit_code == 0).and_then(|state| state.message.clone());
    match message.as_deref().map(serde_json::from_str::<TrainingOutcome>) {
        Some(Ok(TrainingOutcome::Result(result))) => Outcome::Succeeded(result),
        // The next attempt finds result.json in the store and hands it over at once.
        _ => Outcome::Retry(Ending::new("ResultLost", "the pod ended well, but its message with the result is gone or cut")),
    }
}

fn failure(reason: &str, message: &str, pods: &[&Pod]) -> Outcome {
    if pods.iter().any(|pod| condition(pod, "DisruptionTarget")) {
        return Outcome::Free(Ending::new("Disrupted", "the pod was evicted, preempted or its node went away"));
    }
    if reason == "DeadlineExceeded" {
        return Outcome::Retry(Ending::new("DeadlineExceeded", "the attempt took longer than run.activeDeadline"));
    }
    let Some(state) = pods.iter().find_map(|pod| terminated(pod)) else {
        return Outcome::Retry(Ending::new(reason, message));
    };
    let said = state.message.as_deref().unwrap_or_default();
    let ending = match serde_json::from_str(said) {
        Ok(TrainingOutcome::Failure(failure)) => Ending { reason: failure.reason, message: failure.message },
        _ if state.reason.as_deref() == Some("OOMKilled") => Ending::new("OutOfMemory", "the pod used more memory than workers.resources.limits.memory: raise it"),
        _ => Ending::new("Crashed", format!("exit code {}: {said}", state.exit_code)),
    };
    if EXIT_PERMANENT.contains(&state.exit_code) { Outcome::Permanent(ending) } else { Outcome::Retry(ending) }
}

fn alive(pods: &[&Pod]) -> Outcome {
    let phase = |pod: &&&Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    if pods.iter().any(|pod| phase(&pod) == "Running") {
        return Outcome::Running;
    }
    Outcome::Waiting(pods.iter().find_map(|pod| why_waiting(pod)))
}

/// Why a pod does not run, as far as its status tells.
fn why_waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("no node takes the pod: {}", condition.message.as_deref().unwrap_or_default()));
    }
    let waiting = status.container_statuses.iter().flatten().find_map(|container| container.state.as_ref()?.waiting.as_ref())?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let hint = if reason == "ContainerCreating" { ": if this lasts, a Secret that the spec names may not exist" } else { "" };
    Some(format!("the pod waits ({reason}{}){hint}", waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default()))
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find_map(|container| container.state.as_ref()?.terminated.as_ref())
}

fn condition(pod: &Pod, kind: &str) -> bool {
    pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).any(|condition| condition.type_ == kind && condition.status == "True")
}
