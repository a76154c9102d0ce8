//! How an attempt stands, from its Job and its pod alone.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use plimsoll_crds::training_job::result::{EXIT_PERMANENT, TrainingOutcome, TrainingResult};

use crate::reasons::Reason;

/// How long a pod or its container may be missing before that is worth a word: usually it takes a second.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How an attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its pod is not running yet.
    Pending(Reason, String),
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
    /// A word of `reasons`, or the trainer's.
    pub reason: String,
    /// What the pod said.
    pub message: String,
}

impl Ending {
    /// An ending that the operator has a word for.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: reason.as_str().to_owned(), message: message.into() }
    }
}

/// Judges an attempt by its Job and the newest of the Job's pods, as far as they are still there.
pub fn outcome(job: Option<&Job>, pod: Option<&Pod>, now: Timestamp) -> Outcome {
    let Some(job) = job else { return Outcome::Retry(Ending::new(Reason::JobGone, "the attempt's Job was deleted")) };
    let ended = |kind: &str| conditions(job).find(|condition| condition.type_ == kind && condition.status == "True");
    match (ended("Complete"), ended("Failed")) {
        (Some(_), _) => succeeded(pod),
        (None, Some(failed)) if failed.reason.as_deref() == Some("DeadlineExceeded") => {
            Outcome::Retry(Ending::new(Reason::DeadlineExceeded, "the attempt took longer than run.activeDeadline"))
        }
        (None, Some(failed)) => failure(failed.message.as_deref().unwrap_or_default(), pod),
        (None, None) => alive(job, pod, now),
    }
}

/// Whether a Job may still have a running pod.
pub fn lives(job: &Job) -> bool {
    !conditions(job).any(|condition| condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed"))
}

/// Whether a pod may still be running.
pub fn runs(pod: &Pod) -> bool {
    !matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

fn conditions(job: &Job) -> impl Iterator<Item = &k8s_openapi::api::batch::v1::JobCondition> {
    job.status.iter().flat_map(|status| status.conditions.iter().flatten())
}

fn succeeded(pod: Option<&Pod>) -> Outcome {
    let message = pod.and_then(terminated).filter(|state| state.exit_code == 0).and_then(|state| state.message.as_deref());
    match message.map(serde_json::from_str::<TrainingOutcome>) {
        Some(Ok(TrainingOutcome::Result(result))) => Outcome::Succeeded(result),
        // The next attempt finds the result in the store and hands it over at once.
        _ => Outcome::Retry(Ending::new(Reason::ResultLost, "the pod ended well, but its message with the result is gone or cut")),
    }
}

fn failure(message: &str, pod: Option<&Pod>) -> Outcome {
    let Some(status) = pod.and_then(|pod| pod.status.as_ref()) else { return Outcome::Retry(Ending::new(Reason::Crashed, message)) };
    if status.conditions.iter().flatten().any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True") {
        return Outcome::Free(Ending::new(Reason::Disrupted, "the pod was evicted from its node, preempted, or the node went away"));
    }
    if status.reason.as_deref() == Some("Evicted") {
        return Outcome::Retry(Ending::new(Reason::Evicted, evicted(status.message.as_deref().unwrap_or_default().trim())));
    }
    let Some(state) = pod.and_then(terminated) else { return Outcome::Retry(Ending::new(Reason::Crashed, message)) };
    let said = state.message.as_deref().unwrap_or_default();
    let ending = match serde_json::from_str(said) {
        Ok(TrainingOutcome::Failure(failure)) => Ending { reason: failure.reason, message: failure.message },
        _ if state.reason.as_deref() == Some("OOMKilled") => Ending::new(
            Reason::OutOfMemory,
            "the pod used more memory than workers.resources.limits.memory, or than its node had: raise the limit, or train on less data",
        ),
        _ => Ending::new(
            Reason::Crashed,
            format!("the trainer ended with exit code {} and said nothing that is understood: look at the pod's log", state.exit_code),
        ),
    };
    if EXIT_PERMANENT.contains(&state.exit_code) { Outcome::Permanent(ending) } else { Outcome::Retry(ending) }
}

/// What the kubelet says about a pod that it ended, and which field gives more.
fn evicted(said: &str) -> String {
    let advice = if said.contains("EmptyDir volume \"scratch\"") {
        " Raise workers.scratch.size."
    } else if said.contains("ephemeral") {
        " Raise ephemeral-storage in workers.resources."
    } else {
        ""
    };
    format!("the kubelet ended the pod: {said}{advice}")
}

fn alive(job: &Job, pod: Option<&Pod>, now: Timestamp) -> Outcome {
    let starting = || Outcome::Pending(Reason::Starting, "the pod is being started".to_owned());
    let Some(status) = pod.and_then(|pod| pod.status.as_ref()) else {
        let told = format!(
            "its Job has made no pod: `kubectl describe job {} -n {}` says why (a quota or a policy)",
            job.name_any(),
            job.namespace().unwrap_or_default()
        );
        return if is_late(job.creation_timestamp().as_ref(), now) { Outcome::Pending(Reason::PodNotCreated, told) } else { starting() };
    };
    if status.phase.as_deref() == Some("Running") {
        return Outcome::Running;
    }
    let why = unscheduled(status).or_else(|| not_started(status)).or_else(|| pod.and_then(|pod| volumes(pod, status, now)));
    why.map_or_else(starting, |(reason, message)| Outcome::Pending(reason, message))
}

fn is_late(since: Option<&Time>, now: Timestamp) -> bool {
    since.and_then(|since| Duration::try_from(now.duration_since(since.0)).ok()).is_some_and(|passed| passed >= PATIENCE)
}

fn unscheduled(status: &PodStatus) -> Option<(Reason, String)> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some((Reason::Unschedulable, format!("no node takes the pod: {}", condition.message.as_deref().unwrap_or_default())))
}

fn not_started(status: &PodStatus) -> Option<(Reason, String)> {
    let waiting = status.container_statuses.iter().flatten().find_map(|container| container.state.as_ref()?.waiting.as_ref())?;
    let reason = waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
    Some((Reason::ContainerNotStarted, format!("the container does not start: {reason}: {}", waiting.message.as_deref().unwrap_or_default())))
}

/// The kubelet does not say in the pod's status that a Secret is missing; a pod that is not started for a while says it.
fn volumes(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<(Reason, String)> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
    let mut secrets: Vec<&str> = secrets.collect();
    secrets.dedup();
    let told = || {
        let (names, namespace) = (secrets.join(" "), pod.namespace().unwrap_or_default());
        format!(
            "the pod waits for its volumes; the usual cause is a missing Secret: `kubectl get secret {names} -n {namespace}`, `kubectl describe pod {} -n {namespace}`",
            pod.name_any()
        )
    };
    (!secrets.is_empty() && is_late(status.start_time.as_ref(), now)).then(|| (Reason::VolumesNotReady, told()))
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find_map(|container| container.state.as_ref()?.terminated.as_ref())
}

#[cfg(test)]
mod tests;
