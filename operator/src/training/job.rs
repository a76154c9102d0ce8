//! The Job of an attempt, and the configuration that its pod reads.

use kube::ResourceExt;
use plimsoll_crds::names::{self, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_MODEL, LABEL_NAME, LABEL_TRAINING_JOB, METRICS_PORT, PLIMSOLL};
use plimsoll_crds::training_job::{Medium, Run};
use plimsoll_crds::{DurationText, TrainingJob};
use serde_json::{Map, Value, json};

/// The user that images are built for.
const USER: i64 = 65532;
/// What torch.distributed listens on.
const MASTER_PORT: &str = "29500";

/// What the trainer reads, as a ConfigMap that nobody can edit.
pub fn configuration(job: &TrainingJob) -> Value {
    let name = job.name_any();
    let mut spec = job.spec.clone();
    // What its author may change while it runs is nothing to the trainer.
    spec.run.suspend = false;
    spec.run.time_to_live = Run::default().time_to_live;
    let content = json!({"name": name, "namespace": job.namespace(), "uid": job.uid(), "spec": spec, "resolved": {"window": spec.data.window}});
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(job, &names::trainer_config(&name)),
        "immutable": true,
        "data": {"job.json": content.to_string()},
    })
}

/// The Job of an attempt. It makes one pod and never another, except in place of one that its node ended: the budget of
/// attempts lives in the TrainingJob's status.
pub fn attempt(job: &TrainingJob, number: i32, image: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(job, &names::attempt(&job.name_any(), number)),
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": seconds(&job.spec.run.active_deadline),
            "ttlSecondsAfterFinished": time_to_live(job),
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
            "template": pod(job, image),
        },
    })
}

/// How long a Job stays when it has finished, in seconds; `None` when the spec's text is no duration.
pub fn time_to_live(job: &TrainingJob) -> Option<i64> {
    seconds(&job.spec.run.time_to_live)
}

/// The one field of a Job that may change.
pub fn kept_for(name: &str, seconds: i64) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"ttlSecondsAfterFinished": seconds}})
}

fn seconds(text: &DurationText) -> Option<i64> {
    i64::try_from(text.to_std()?.as_secs()).ok()
}

fn metadata(job: &TrainingJob, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": job.namespace(),
        "labels": labels(job),
        "ownerReferences": [{
            "apiVersion": format!("{}/{}", names::GROUP, names::VERSION), "kind": "TrainingJob",
            "name": job.name_any(), "uid": job.uid(), "controller": true,
        }],
    })
}

fn labels(job: &TrainingJob) -> Value {
    json!({
        LABEL_NAME: PLIMSOLL, LABEL_COMPONENT: "trainer", LABEL_MANAGED_BY: PLIMSOLL,
        LABEL_TRAINING_JOB: job.name_any(), LABEL_MODEL: job.spec.model,
    })
}

fn pod(job: &TrainingJob, image: &str) -> Value {
    let workers = &job.spec.workers;
    let mut spec = Map::from_iter([
        ("restartPolicy".to_owned(), json!("Never")),
        ("automountServiceAccountToken".to_owned(), json!(false)),
        ("enableServiceLinks".to_owned(), json!(false)),
        (
            "securityContext".to_owned(),
            json!({"runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}}),
        ),
        ("containers".to_owned(), json!([container(job, image)])),
        ("volumes".to_owned(), volumes(job)),
    ]);
    if !workers.node_selector.is_empty() {
        spec.insert("nodeSelector".to_owned(), json!(workers.node_selector));
    }
    if !workers.tolerations.is_empty() {
        let tolerations = workers.tolerations.iter().map(|toleration| {
            let mut value = json!(toleration);
            let operator = if toleration.value.is_some() { "Equal" } else { "Exists" };
            value.as_object_mut().map(|map| map.insert("operator".to_owned(), json!(operator)));
            value
        });
        spec.insert("tolerations".to_owned(), tolerations.collect());
    }
    let annotations = json!({"prometheus.io/scrape": "true", "prometheus.io/port": METRICS_PORT.1.to_string(), "prometheus.io/path": "/metrics"});
    json!({"metadata": {"labels": labels(job), "annotations": annotations}, "spec": spec})
}

fn container(job: &TrainingJob, image: &str) -> Value {
    let mut mounts = vec![
        json!({"name": "config", "mountPath": "/etc/plimsoll/job.json", "subPath": "job.json", "readOnly": true}),
        json!({"name": "scratch", "mountPath": "/scratch"}),
    ];
    mounts.extend(secrets(job).map(|(what, _)| json!({"name": what, "mountPath": format!("/etc/plimsoll/credentials/{what}"), "readOnly": true})));
    json!({
        "name": "trainer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/trainer"],
        "args": ["run", "--config", "/etc/plimsoll/job.json", "--scratch", "/scratch"],
        "env": environment(),
        "ports": [{"name": METRICS_PORT.0, "containerPort": METRICS_PORT.1}],
        "resources": resources(job),
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    })
}

/// One worker in the words of both torch.distributed and torchrun.
fn environment() -> Value {
    let variables = [
        ("MASTER_ADDR", "localhost"),
        ("MASTER_PORT", MASTER_PORT),
        ("WORLD_SIZE", "1"),
        ("RANK", "0"),
        ("LOCAL_RANK", "0"),
        ("LOCAL_WORLD_SIZE", "1"),
        ("NODE_RANK", "0"),
        ("PET_NNODES", "1"),
        ("PET_NPROC_PER_NODE", "1"),
        ("PET_NODE_RANK", "0"),
        ("PET_MASTER_ADDR", "localhost"),
        ("PET_MASTER_PORT", MASTER_PORT),
        ("OMP_NUM_THREADS", "1"),
        ("TMPDIR", "/scratch"),
    ];
    variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn resources(job: &TrainingJob) -> Value {
    let mut resources = json!(job.spec.workers.resources);
    if let (Some(accelerator), Some(map)) = (&job.spec.workers.accelerator, resources.as_object_mut()) {
        let limits = map.entry("limits").or_insert_with(|| json!({}));
        if let Some(limits) = limits.as_object_mut() {
            limits.insert(accelerator.resource.clone(), json!(accelerator.count.to_string()));
        }
    }
    resources
}

fn volumes(job: &TrainingJob) -> Value {
    let mut volumes =
        vec![json!({"name": "config", "configMap": {"name": names::trainer_config(&job.name_any())}}), json!({"name": "scratch", "emptyDir": scratch(job)})];
    volumes.extend(secrets(job).map(|(what, secret)| json!({"name": what, "secret": {"secretName": secret, "defaultMode": 0o440}})));
    Value::Array(volumes)
}

fn scratch(job: &TrainingJob) -> Value {
    let scratch = &job.spec.workers.scratch;
    match scratch.medium {
        Medium::Disk => json!({"sizeLimit": scratch.size}),
        Medium::Memory => json!({"medium": "Memory", "sizeLimit": scratch.size}),
    }
}

/// The Secrets that the pod mounts; the operator never reads them.
fn secrets(job: &TrainingJob) -> impl Iterator<Item = (&'static str, &String)> {
    let named = [("data", &job.spec.data.credentials_secret), ("output", &job.spec.output.credentials_secret)];
    named.into_iter().filter_map(|(what, secret)| secret.as_ref().map(|secret| (what, secret)))
}

#[cfg(test)]
mod tests;
