//! Every read of a reconcile.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Client, ResourceExt};
use plimsoll_crds::{ModelVersion, TrainingJob, names};

use crate::Error;
use crate::read::{get, list, owned_by};

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The Jobs of this run.
    pub jobs: Vec<Job>,
    /// Every pod with the run's label, also those whose Job is gone.
    pub pods: Vec<Pod>,
    /// The trainer's configuration, if it is there.
    pub configuration: Option<ConfigMap>,
    /// The ModelVersion that the result names, if it is there.
    pub version: Option<ModelVersion>,
}

/// Reads everything that a plan needs.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn observe(client: &Client, job: &TrainingJob, namespace: &str) -> Result<Observed, Error> {
    let name = job.name_any();
    let uid = job.uid().ok_or(Error::Incomplete { what: "UID" })?;
    let selector = format!("{}={name}", names::LABEL_TRAINING_JOB);
    let mut jobs: Vec<Job> = list(client, namespace, &selector).await?;
    jobs.retain(|child| owned_by(child, &uid));
    let pods = list(client, namespace, &selector).await?;
    let configuration = get(client, namespace, &names::trainer_config(&name)).await?;
    let version = match job.status.as_ref().and_then(|status| status.result.as_ref()) {
        Some(result) => get(client, namespace, &result.model_version).await?,
        None => None,
    };
    Ok(Observed { jobs, pods, configuration, version })
}

impl Observed {
    /// The Job with this name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name_any() == name)
    }

    /// The newest pod that the Job made: an older one was evicted, and the newest is in its place.
    pub fn newest_pod(&self, job: &Job) -> Option<&Pod> {
        let uid = job.uid()?;
        self.pods.iter().filter(|pod| owned_by(*pod, &uid)).max_by_key(|pod| pod.creation_timestamp().map(|time| time.0))
    }
}
