//! Every read of a reconcile.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use plimsoll_crds::{ModelVersion, TrainingJob, names};

use crate::read::{get, list, owned_by};
use crate::{Context, Error};

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The Jobs of this run.
    pub jobs: Vec<Job>,
    /// Their pods.
    pub pods: Vec<Pod>,
    /// Whether the trainer's configuration is there.
    pub configured: bool,
    /// The ModelVersion that the result names, if it is there.
    pub version: Option<ModelVersion>,
}

/// Reads everything that a plan needs.
pub async fn observe(context: &Context, job: &TrainingJob, namespace: &str) -> Result<Observed, Error> {
    let (client, name) = (&context.client, job.name_any());
    let uid = job.uid().ok_or(Error::Incomplete { what: "UID" })?;
    let selector = format!("{}={name}", names::LABEL_TRAINING_JOB);
    let mut jobs: Vec<Job> = list(client, namespace, &selector).await?;
    jobs.retain(|child| owned_by(child, &uid));
    let mut pods: Vec<Pod> = list(client, namespace, &selector).await?;
    // A pod speaks for a run only when a Job of this run made it.
    pods.retain(|pod| jobs.iter().any(|job| job.uid().is_some_and(|uid| owned_by(pod, &uid))));
    let configured = get::<ConfigMap>(client, namespace, &names::trainer_config(&name)).await?.is_some();
    let version = match job.status.as_ref().and_then(|status| status.result.as_ref()) {
        Some(result) => get::<ModelVersion>(client, namespace, &result.model_version).await?,
        None => None,
    };
    Ok(Observed { jobs, pods, configured, version })
}
