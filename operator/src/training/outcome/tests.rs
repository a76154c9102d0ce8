use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::training::tests::fixtures::result;

fn job(condition: Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": "t-1", "namespace": "n", "uid": "u1", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "status": {"conditions": [condition]}
    }))
    .unwrap()
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "t-1-0", "namespace": "n"},
        "spec": {"containers": [], "volumes": [
            {"name": "config", "configMap": {"name": "t-config"}}, {"name": "data", "secret": {"secretName": "store"}}, {"name": "output", "secret": {"secretName": "store"}}
        ]},
        "status": status
    }))
    .unwrap()
}

fn container(state: Value) -> Value {
    json!([{"name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
}

fn ended(state: Value) -> Pod {
    pod(json!({"phase": "Failed", "containerStatuses": container(json!({"terminated": state}))}))
}

fn word(outcome: &Outcome) -> (&'static str, String, String) {
    match outcome {
        Outcome::Pending(reason, message) => ("pending", reason.as_str().to_owned(), message.clone()),
        Outcome::Running => ("running", String::new(), String::new()),
        Outcome::Succeeded(result) => ("succeeded", String::new(), result.digest.clone()),
        Outcome::Permanent(ending) => ("permanent", ending.reason.clone(), ending.message.clone()),
        Outcome::Retry(ending) => ("retry", ending.reason.clone(), ending.message.clone()),
        Outcome::Free(ending) => ("free", ending.reason.clone(), ending.message.clone()),
    }
}

#[test]
fn every_ending_has_its_reason() {
    let now = Timestamp::UNIX_EPOCH;
    let said = |reason: &str| json!({"failure": {"reason": reason, "message": "column late is missing"}}).to_string();
    let complete = || job(json!({"type": "Complete", "status": "True"}));
    let failed = |reason: &str| job(json!({"type": "Failed", "status": "True", "reason": reason, "message": "the Job's words"}));
    let backoff = || failed("BackoffLimitExceeded");
    let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume \"scratch\" exceeds the limit \"20Gi\"."}));
    let disrupted = pod(json!({
        "phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}],
        "containerStatuses": container(json!({"terminated": {"exitCode": 65}}))
    }));
    let table = [
        ("no job", None, None, ("retry", "JobGone", "")),
        ("a result", Some(complete()), Some(ended(json!({"exitCode": 0, "message": result(true).to_string()}))), ("succeeded", "", "sha256:aaa")),
        ("cut", Some(complete()), Some(ended(json!({"exitCode": 0, "message": "{"}))), ("retry", "ResultLost", "")),
        ("pod gone", Some(complete()), None, ("retry", "ResultLost", "")),
        ("bad spec", Some(backoff()), Some(ended(json!({"exitCode": 64, "message": said("BadSpec")}))), ("permanent", "BadSpec", "column late")),
        ("bad data", Some(backoff()), Some(ended(json!({"exitCode": 65, "message": said("BadData")}))), ("permanent", "BadData", "column late")),
        ("no gpu", Some(backoff()), Some(ended(json!({"exitCode": 66, "message": said("NoAccelerator")}))), ("permanent", "NoAccelerator", "")),
        ("end of the range", Some(backoff()), Some(ended(json!({"exitCode": 79}))), ("permanent", "Crashed", "exit code 79")),
        ("store down", Some(backoff()), Some(ended(json!({"exitCode": 80, "message": said("StoreUnavailable")}))), ("retry", "StoreUnavailable", "")),
        ("crash", Some(backoff()), Some(ended(json!({"exitCode": 139}))), ("retry", "Crashed", "exit code 139")),
        ("memory", Some(backoff()), Some(ended(json!({"exitCode": 137, "reason": "OOMKilled"}))), ("retry", "OutOfMemory", "limits.memory")),
        ("full disk", Some(backoff()), Some(evicted), ("retry", "Evicted", "exceeds the limit \"20Gi\". Raise workers.scratch.size")),
        (
            "full node",
            Some(backoff()),
            Some(pod(
                json!({"phase": "Failed", "reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "}),
            )),
            ("retry", "Evicted", "1Gi. Raise ephemeral-storage in workers.resources"),
        ),
        ("drained", Some(backoff()), Some(disrupted), ("free", "Disrupted", "")),
        ("deadline", Some(failed("DeadlineExceeded")), None, ("retry", "DeadlineExceeded", "run.activeDeadline")),
        ("pod deleted", Some(backoff()), None, ("retry", "Crashed", "the Job's words")),
    ];
    for (what, job, pod, (kind, reason, message)) in table {
        let (is, why, says) = word(&outcome(job.as_ref(), pod.as_ref(), now));
        assert_eq!((is, why.as_str()), (kind, reason), "{what}");
        assert!(says.contains(message), "{what}: {says}");
    }
}

#[test]
fn what_a_pod_waits_for_is_told() {
    let creating = || container(json!({"waiting": {"reason": "ContainerCreating"}}));
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}]});
    let no_image = json!({"phase": "Pending", "containerStatuses": container(json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}))});
    let no_key = json!({"phase": "Pending", "containerStatuses": container(json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"store\" not found"}}))});
    let no_secret = json!({"phase": "Pending", "startTime": "1970-01-01T00:00:00Z", "containerStatuses": creating()});
    let table = [
        ("no pod yet", None, 0, ("pending", "Starting", "")),
        ("no pod for long", None, 30, ("pending", "PodNotCreated", "kubectl describe job t-1 -n n")),
        ("unscheduled", Some(unscheduled), 0, ("pending", "Unschedulable", "Insufficient nvidia.com/gpu")),
        ("no image", Some(no_image), 0, ("pending", "ContainerNotStarted", "ErrImagePull: not found")),
        ("bad configuration", Some(no_key), 0, ("pending", "ContainerNotStarted", "secret \"store\"")),
        ("being created", Some(no_secret.clone()), 29, ("pending", "Starting", "")),
        ("no secret", Some(no_secret), 30, ("pending", "VolumesNotReady", "kubectl get secret store -n n")),
        ("running", Some(json!({"phase": "Running"})), 0, ("running", "", "")),
    ];
    for (what, status, after, (kind, reason, message)) in table {
        let (status, now) = (status.map(pod), Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after));
        let (is, why, says) = word(&outcome(Some(&job(json!({"type": "Complete", "status": "False"}))), status.as_ref(), now));
        assert_eq!((is, why.as_str()), (kind, reason), "{what}");
        assert!(says.contains(message), "{what}: {says}");
    }
}
