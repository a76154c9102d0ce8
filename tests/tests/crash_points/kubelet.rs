//! Everybody else of a cluster, for all namespaces at once: the Job and Deployment controllers, the scheduler and the kubelet, and
//! the trainer inside a pod.
//!
//! They answer what is there when they see it, in the order of events, and may see an object many times. This module must not know
//! rollouts.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, wait, watcher};
use kube::{Client, ResourceExt};
use plimsoll_crds::condition::{ConditionType, is_true};
use plimsoll_crds::names::{self, LABEL_TRAINING_JOB};
use plimsoll_crds::training_job::Metric;
use plimsoll_crds::training_job::result::{ReportReference, RowCounts, TrainingOutcome, TrainingResult};
use plimsoll_crds::{TrainingJob, TrainingJobSpec};
use serde_json::{Value, json};

use crate::run::addresses;

/// How long an operator may take to see that a pod runs; a killed one has to come back first.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// When everything in a pod happened, as far as anybody is told.
const THEN: &str = "2026-01-01T00:00:00Z";

/// Plays them for ever.
pub async fn play(client: Client) -> anyhow::Result<()> {
    tokio::try_join!(jobs(client.clone()), deployments(client))?;
    Ok(())
}

async fn jobs(client: Client) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    let mut events = watcher(Api::<Job>::all(client.clone()), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(job) = events.try_next().await? {
        if seen.insert(job.uid()) {
            let client = client.clone();
            tokio::spawn(async move {
                if let Err(error) = run(&client, &job).await {
                    eprintln!("Job {}/{}: {error:#}", job.namespace().unwrap_or_default(), job.name_any());
                }
            });
        }
    }
    Ok(())
}

/// A Job from its first pod to its end.
async fn run(client: &Client, job: &Job) -> anyhow::Result<()> {
    let namespace = job.namespace().context("a Job has a namespace")?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let name = format!("{}-0", job.name_any());
    let template = json!(job.spec.as_ref().context("a Job has a spec")?.template);
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid(), "controller": true});
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    create(&pods, &name, &template, &owner).await?;
    let containers = |state: Value| json!([{"name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    status(&pods, &name, json!({"phase": "Running", "startTime": THEN, "containerStatuses": containers(json!({"running": {"startedAt": THEN}}))})).await?;
    status(&jobs, &job.name_any(), json!({"active": 1, "ready": 1, "startTime": THEN, "uncountedTerminatedPods": {}})).await?;
    // A real run takes longer than an operator to see it.
    let training = job.labels().get(LABEL_TRAINING_JOB).context("a Job has its label")?;
    let runs =
        |seen: Option<&TrainingJob>| seen.and_then(|seen| seen.status.as_ref()).is_some_and(|status| is_true(&status.conditions, ConditionType::Running));
    let runs = wait::await_condition(Api::namespaced(client.clone(), &namespace), training, runs);
    tokio::time::timeout(SEEN_WITHIN, runs).await.context("nobody sees that it runs")??;
    let message = json!(TrainingOutcome::Result(Box::new(train(client, &namespace, training).await?))).to_string();
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": THEN, "finishedAt": THEN}});
    status(&pods, &name, json!({"phase": "Succeeded", "containerStatuses": containers(ended)})).await?;
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": THEN, "lastTransitionTime": THEN, "reason": "CompletionsReached"});
    let done = json!({"active": 0, "ready": 0, "succeeded": 1, "completedIndexes": "0", "completionTime": THEN, "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]});
    status(&jobs, &job.name_any(), done).await
}

/// What the trainer hands back, from the configuration that it is given. Its digest comes from the run's name.
async fn train(client: &Client, namespace: &str, name: &str) -> anyhow::Result<TrainingResult> {
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let config = configs.get(&names::trainer_config(name)).await?;
    let text = config.data.as_ref().and_then(|data| data.get("job.json")).context("the configuration has a file")?;
    let file: Value = serde_json::from_str(text)?;
    let spec: TrainingJobSpec = serde_json::from_value(file["spec"].clone())?;
    let hex = name.chars().last().context("a name")?.to_string().repeat(64);
    let digest = format!("sha256:{hex}");
    Ok(TrainingResult {
        model_version: names::model_version(&spec.model, &digest),
        content_digest: digest.clone(),
        uri: format!("{}/{hex}", spec.output.uri),
        report: ReportReference { uri: format!("{}/reports/{hex}", spec.output.uri), digest: digest.clone() },
        digest,
        metrics: [(Metric::Auc, 0.75)].into(),
        gates: Vec::new(),
        gates_passed: true,
        data_digests: spec.data.sources.iter().map(|source| (source.name.clone(), format!("sha256:{}", "a".repeat(64)))).collect(),
        window: spec.data.window,
        rows: RowCounts { train: 1_000, validation: 100, test: 100 },
        device: "Cpu".to_owned(),
        software_version: "0.1.0".to_owned(),
        seconds: 1.5,
    })
}

async fn deployments(client: Client) -> anyhow::Result<()> {
    let mut events = watcher(Api::<Deployment>::all(client.clone()), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(deployment) = events.try_next().await? {
        if let Err(error) = scale(&client, &deployment).await {
            eprintln!("Deployment {}/{}: {error:#}", deployment.namespace().unwrap_or_default(), deployment.name_any());
        }
    }
    Ok(())
}

/// Makes the pods that a Deployment asks for, all of them ready at once, and says so.
async fn scale(client: &Client, deployment: &Deployment) -> anyhow::Result<()> {
    let namespace = deployment.namespace().context("a Deployment has a namespace")?;
    let name = deployment.name_any();
    let generation = deployment.metadata.generation.unwrap_or(0);
    if deployment.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0) >= generation {
        return Ok(());
    }
    let spec = deployment.spec.as_ref().context("a Deployment has a spec")?;
    let wanted = spec.replicas.unwrap_or(1);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment.uid(), "controller": true});
    for number in 0..wanted {
        let pod = format!("{name}-{number}");
        create(&pods, &pod, &json!(spec.template), &owner).await?;
        let address = if name.ends_with("-router") { addresses(&namespace).router } else { addresses(&namespace).model };
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": THEN}]);
        status(&pods, &pod, json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready})).await?;
    }
    let there = pods.list(&ListParams::default()).await?;
    let ours = |pod: &&Pod| pod.owner_references().iter().any(|owner| Some(&owner.uid) == deployment.metadata.uid.as_ref());
    let beyond = |pod: &&Pod| !(0..wanted).any(|number| pod.name_any() == format!("{name}-{number}"));
    for pod in there.items.iter().filter(ours).filter(beyond) {
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let counts = json!({"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted});
    status(&deployments, &name, counts).await
}

/// Makes a pod from a template as a controller would, once.
async fn create(pods: &Api<Pod>, name: &str, template: &Value, owner: &Value) -> anyhow::Result<()> {
    let metadata =
        json!({"name": name, "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"], "ownerReferences": [owner]});
    let pod = serde_json::from_value(json!({"metadata": metadata, "spec": template["spec"]}))?;
    match pods.create(&PostParams::default(), &pod).await {
        Err(kube::Error::Api(refused)) if refused.is_already_exists() => Ok(()),
        other => other.map(drop).with_context(|| format!("pod {name}")),
    }
}

async fn status<K>(api: &Api<K>, name: &str, status: Value) -> anyhow::Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.map(drop).with_context(|| format!("status of {name}"))
}
