//! Why a pod is not ready, in the words of the kubelet and of the pod's containers.
//!
//! A pod that starts as usual has no trouble: only what a person should read is told. A container that failed and runs again
//! is still told about, so that conditions do not change with every try. This module must not know rollouts.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::children::EVALUATOR;

/// How long a pod may wait for its volumes before that is worth a word: usually it takes a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// The exit code with which fetching a model says that trying again will not help (`plimsoll-artifact`).
const EXIT_PERMANENT: i32 = 65;
/// Characters of what a container said: the first lines name the cause.
const SAID: usize = 1_000;
/// Kubelets wait so long at most between two tries.
const AGAIN: &str = "it is tried again by itself, after five minutes at the latest";

/// Why a pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason of conditions.
    pub reason: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// Whether it stays until a person does something.
    pub lasting: bool,
}

/// The trouble of the pods with this label: the first by name, what stays before what may pass.
pub fn trouble(pods: &[Pod], (key, value): (&str, &str), now: Timestamp) -> Option<Trouble> {
    let ours = pods.iter().filter(|pod| pod.labels().get(key).is_some_and(|label| label == value));
    let mut found: Vec<(String, Trouble)> = ours.filter_map(|pod| Some((pod.name_any(), of_pod(pod, now)?))).collect();
    found.sort_by_key(|(name, trouble)| (!trouble.lasting, name.clone()));
    found.into_iter().next().map(|(_, trouble)| trouble)
}

/// How long until a pod that is still being started has taken too long.
pub fn patience_left(pods: &[Pod], now: Timestamp) -> Option<Duration> {
    let left = |pod: &Pod| {
        let status = pod.status.as_ref().filter(|status| is_pending(status))?;
        waited(status, now).and_then(|waited| PATIENCE.checked_sub(waited)).filter(|left| !left.is_zero())
    };
    pods.iter().filter_map(left).min()
}

fn of_pod(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let name = pod.name_any();
    unscheduled(status)
        .or_else(|| status.init_container_statuses.iter().flatten().find_map(|container| failed(&name, container, "ModelNotFetched")))
        .or_else(|| status.container_statuses.iter().flatten().find_map(|container| failed(&name, container, "ServerCrashing")))
        .or_else(|| volumes(pod, status, now))
}

fn unscheduled(status: &PodStatus) -> Option<Trouble> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let message = format!("no node takes the pod: {}", condition.message.as_deref().unwrap_or_default());
    Some(Trouble { reason: "Unschedulable", message, lasting: false })
}

/// A container that cannot be started, or that ended badly and has not succeeded since.
fn failed(pod: &str, container: &ContainerStatus, reason: &'static str) -> Option<Trouble> {
    let state = container.state.clone().unwrap_or_default();
    if container.ready || state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0) {
        return None;
    }
    let what = format!("container {} of pod {pod}", container.name);
    let waiting = state.waiting.as_ref().and_then(|waiting| Some((waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default())));
    if let Some((why, said)) = waiting.filter(|(why, _)| !matches!(*why, "ContainerCreating" | "PodInitializing" | "CrashLoopBackOff")) {
        return Some(Trouble { reason: "ContainerNotStarted", message: format!("{what} does not start: {why}: {said}"), lasting: false });
    }
    let last = || container.last_state.as_ref().and_then(|state| state.terminated.clone());
    let ended = state.terminated.or_else(last).filter(|ended| ended.exit_code != 0)?;
    let field = if container.name == EVALUATOR { "outcomes.resources" } else { "predictor.resources" };
    Some(Trouble { reason, message: format!("{what} failed: {}; {AGAIN}", said(&ended, field)), lasting: ended.exit_code == EXIT_PERMANENT })
}

fn said(ended: &ContainerStateTerminated, field: &str) -> String {
    let message: String = ended.message.as_deref().unwrap_or_default().trim().chars().take(SAID).collect();
    if ended.reason.as_deref() == Some("OOMKilled") {
        return format!("it used more memory than {field}.limits.memory: raise it");
    }
    if message.is_empty() { format!("exit code {} without a word", ended.exit_code) } else { message }
}

/// The kubelet does not say in the pod's status that a Secret is missing; a pod that is not started for a while says it.
fn volumes(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Trouble> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
    let secrets = secrets.collect::<Vec<_>>().join(" ");
    let is_late = is_pending(status) && waited(status, now).is_some_and(|waited| waited >= PATIENCE);
    let namespace = pod.namespace().unwrap_or_default();
    let message = format!(
        "pod {0} waits for its volumes; the usual cause is a missing Secret: `kubectl get secret {secrets} -n {namespace}`, `kubectl describe pod {0} -n {namespace}`",
        pod.name_any()
    );
    (is_late && !secrets.is_empty()).then_some(Trouble { reason: "VolumesNotReady", message, lasting: false })
}

/// Whether no container has been started yet.
fn is_pending(status: &PodStatus) -> bool {
    let started = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    status.phase.as_deref() == Some("Pending") && !status.init_container_statuses.iter().chain(status.container_statuses.iter()).flatten().any(started)
}

fn waited(status: &PodStatus, now: Timestamp) -> Option<Duration> {
    let since = status.start_time.as_ref()?;
    Duration::try_from(now.duration_since(since.0)).ok()
}

#[cfg(test)]
mod tests {
    use plimsoll_crds::names::LABEL_REVISION;
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "labels": {LABEL_REVISION: "r"}},
            "spec": {"containers": [], "volumes": [{"name": "model", "emptyDir": {}}, {"name": "credentials", "secret": {"secretName": "store"}}]},
            "status": status
        }))
        .unwrap()
    }

    fn fetch(state: Value, last: Value) -> Value {
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        json!({
            "phase": "Pending", "startTime": "1970-01-01T00:00:00Z",
            "initContainerStatuses": [{"name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state, "lastState": last}],
            "containerStatuses": [{"name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting}]
        })
    }

    fn ended(code: i32, message: &str) -> Value {
        json!({"terminated": {"exitCode": code, "message": message}})
    }

    fn server(state: Value, last: Value) -> Value {
        json!({"phase": "Running", "containerStatuses": [{"name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state, "lastState": last}]})
    }

    #[test]
    fn what_keeps_a_pod_from_being_ready_is_told() {
        let (none, running) = (json!({}), json!({"running": {}}));
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "not found"}});
        let differs = || ended(65, "ArtifactMismatch: s3://m/weights.safetensors: has 1 bytes");
        let down = || ended(75, "StoreUnavailable: s3://m/manifest.json: the store cannot be reached");
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]});
        let table = [
            ("starting", fetch(waiting("PodInitializing"), none.clone()), 29, None),
            ("no secret", fetch(waiting("PodInitializing"), none.clone()), 30, Some(("VolumesNotReady", "kubectl get secret store -n n", false))),
            ("fetching", fetch(running.clone(), none.clone()), 60, None),
            ("fetched", fetch(ended(0, ""), differs()), 60, None),
            ("other bytes", fetch(differs(), none.clone()), 0, Some(("ModelNotFetched", "fetch of pod p failed: ArtifactMismatch: s3://m/weights", true))),
            ("other bytes, waiting", fetch(waiting("CrashLoopBackOff"), differs()), 0, Some(("ModelNotFetched", "ArtifactMismatch", true))),
            ("other bytes, again", fetch(running.clone(), differs()), 0, Some(("ModelNotFetched", "ArtifactMismatch", true))),
            (
                "store down",
                fetch(running.clone(), down()),
                0,
                Some(("ModelNotFetched", "StoreUnavailable: s3://m/manifest.json: the store cannot be reached; it is tried again", false)),
            ),
            ("no image", fetch(waiting("ErrImagePull"), none.clone()), 0, Some(("ContainerNotStarted", "does not start: ErrImagePull: not found", false))),
            ("no node", unscheduled, 0, Some(("Unschedulable", "0/1 nodes", false))),
            ("crash", server(waiting("CrashLoopBackOff"), ended(101, "")), 0, Some(("ServerCrashing", "exit code 101", false))),
            (
                "memory",
                server(running.clone(), json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
                0,
                Some(("ServerCrashing", "predictor.resources.limits.memory", false)),
            ),
            ("loading", server(running, none), 600, None),
        ];
        for (what, status, after, expected) in table {
            let now = Timestamp::from_second(after).unwrap();
            let found = trouble(&[pod("p", status)], (LABEL_REVISION, "r"), now);
            assert_eq!(found.as_ref().map(|found| (found.reason, found.lasting)), expected.map(|(reason, _, lasting)| (reason, lasting)), "{what}");
            let (message, named) = (found.map(|found| found.message).unwrap_or_default(), expected.map_or("", |(_, named, _)| named));
            assert!(message.contains(named), "{what}: {message}");
        }
    }

    #[test]
    fn what_stays_is_told_before_what_may_pass_and_only_of_the_revision_itself() {
        let pods = [pod("a", fetch(ended(75, "down"), json!({}))), pod("b", fetch(ended(65, "differs"), json!({})))];
        assert!(trouble(&pods, (LABEL_REVISION, "r"), Timestamp::UNIX_EPOCH).unwrap().message.contains("differs"));
        assert_eq!(trouble(&pods, (LABEL_REVISION, "other"), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_pod_that_is_being_started_is_looked_at_again_once() {
        let starting = [pod("a", fetch(json!({"waiting": {"reason": "PodInitializing"}}), json!({})))];
        let left = |after: i64| patience_left(&starting, Timestamp::from_second(after).unwrap());
        assert_eq!((left(10), left(30), left(600)), (Some(Duration::from_secs(20)), None, None));
        assert_eq!(patience_left(&[pod("a", fetch(json!({"running": {}}), json!({})))], Timestamp::UNIX_EPOCH), None);
    }
}
