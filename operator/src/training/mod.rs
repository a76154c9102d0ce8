//! TrainingJob: attempts until there is a result, and the ModelVersion that follows from it.
//!
//! | file | idea |
//! |---|---|
//! | `observe` | every read |
//! | `plan` | what follows from what was read |
//! | `outcome` | how an attempt ended, from its Job and pods |
//! | `job` | the Job, its pod and its configuration |
//! | `version` | the ModelVersion of a result |
//! | `report` | conditions |
//!
//! **Invariant I1:** at most one attempt lives: an attempt is a create-only Job with a name that follows from its number, and the
//! next one is made only when no Job of the run is left running. A finished run is never run again.
//! This module must not know data, metrics of models or how training is done.

mod job;
mod observe;
mod outcome;
mod plan;
mod report;
mod version;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use plimsoll_crds::TrainingJob;
use plimsoll_crds::names::LABEL_TRAINING_JOB;

use crate::read::get;
use crate::{Context, Error};
use observe::observe;
use plan::plan;

/// Reconciles at a time.
const CONCURRENCY: u16 = 8;
/// The longest reconcile.
const TIMEOUT_SECONDS: u64 = 60;
/// A failed reconcile is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// An object is looked at again after this long although nothing happened.
const BACKSTOP: Duration = Duration::from_secs(900);
/// The name of the controller in metrics.
const CONTROLLER: &str = "training";

/// Runs until `shutdown`.
pub async fn run(context: Context, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let client = context.client.clone();
    let (jobs, children, pods): (Api<TrainingJob>, Api<Job>, Api<Pod>) = match &context.configuration.watch_namespace {
        Some(namespace) => (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace), Api::namespaced(client, namespace)),
        None => (Api::all(client.clone()), Api::all(client.clone()), Api::all(client)),
    };
    let ours = watcher::Config::default().labels(LABEL_TRAINING_JOB);
    Controller::new(jobs, watcher::Config::default())
        .owns(children, ours.clone())
        // Pods belong to Jobs; their label says whose they are.
        .watches(pods, ours, |pod| {
            let name = pod.labels().get(LABEL_TRAINING_JOB).cloned();
            name.zip(pod.namespace()).map(|(name, namespace)| ObjectRef::new(&name).within(&namespace))
        })
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |_, _, _| Action::requeue(RETRY_AFTER), Arc::new(context))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(%error, "reconcile queue");
            }
        })
        .await;
}

#[tracing::instrument(name = "reconcile", skip_all, fields(kind = "TrainingJob", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<TrainingJob>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let limit = Duration::from_secs(TIMEOUT_SECONDS);
    let result = tokio::time::timeout(limit, reconcile(&seen, &context)).await.unwrap_or(Err(Error::Timeout { seconds: TIMEOUT_SECONDS }));
    context.metrics.reconciled(CONTROLLER, start.elapsed().as_secs_f64(), result.as_ref().err());
    if let Err(error) = &result {
        tracing::warn!(%error, "reconcile failed");
    }
    result
}

/// One pass: read, plan, write, tell.
///
/// # Errors
/// The API server refused or could not be reached.
async fn reconcile(seen: &TrainingJob, context: &Context) -> Result<Action, Error> {
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    let job = match get::<TrainingJob>(&context.client, &namespace, &seen.name_any()).await? {
        Some(job) if job.metadata.deletion_timestamp.is_none() => job,
        Some(_) | None => return Ok(Action::await_change()),
    };
    let observed = observe(context, &job, &namespace).await?;
    let plan = plan(&job, &observed, &context.configuration.images.trainer, Timestamp::now());
    context.io.apply(&namespace, &plan.changes).await?;
    context.io.write_status(&job, job.status.as_ref(), &plan.status).await?;
    context.io.publish(&job, &plan.notes).await;
    Ok(Action::requeue(plan.wake.unwrap_or(BACKSTOP)))
}
