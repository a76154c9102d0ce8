//! TrainingJob: attempts until there is a result, and the ModelVersion that follows from it.
//!
//! | file | idea |
//! |---|---|
//! | `observe` | every read |
//! | `plan` | what follows from what was read |
//! | `spec` | what the API server cannot check about a spec |
//! | `attempts` | the budget of attempts, and the waits between them |
//! | `outcome` | how an attempt stands, from its Job and pods |
//! | `job` | the Job, its pod and its configuration |
//! | `version` | the ModelVersion of a result |
//! | `report` | conditions and events |
//!
//! **Invariant I1:** at most one attempt lives: an attempt is a create-only Job with a name that follows from its number, and the
//! next one is made only when no Job and no pod of the run is left running. A finished run is never run again.
//! This module must not know data, metrics of models or how training is done.

mod attempts;
mod job;
mod observe;
mod outcome;
mod plan;
mod report;
mod spec;
mod version;

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use plimsoll_crds::TrainingJob;
use plimsoll_crds::names::LABEL_TRAINING_JOB;

use crate::read::get;
use crate::{Context, Error};
use observe::observe;
use plan::plan;

/// Reconciles at a time.
const CONCURRENCY: u16 = 8;

/// Runs until `shutdown`.
pub async fn run(context: Context, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let ours = watcher::Config::default().labels(LABEL_TRAINING_JOB);
    let controller = Controller::new(context.watched::<TrainingJob>(), watcher::Config::default());
    let pace = context.pace.clone();
    controller
        .owns(context.watched::<Job>(), ours.clone())
        // Pods belong to Jobs; their label says whose they are.
        .watches(context.watched::<Pod>(), ours, |pod| {
            let name = pod.labels().get(LABEL_TRAINING_JOB).cloned();
            name.zip(pod.namespace()).map(|(name, namespace)| ObjectRef::new(&name).within(&namespace))
        })
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |job, _, context| context.pace.retry(job.metadata.uid.as_deref()), Arc::new(context))
        .filter_map(|outcome| std::future::ready(outcome.err()))
        .for_each(|error| {
            pace.queue(&error);
            std::future::ready(())
        })
        .await;
}

#[tracing::instrument(name = "reconcile", skip_all, fields(kind = "TrainingJob", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<TrainingJob>, context: Arc<Context>) -> Result<Action, Error> {
    context.pace.timed(seen.metadata.uid.as_deref(), reconcile(&seen, &context)).await
}

/// One pass: read, plan, write, tell.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn reconcile(seen: &TrainingJob, context: &Context) -> Result<Action, Error> {
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    // The status that we wrote last, not the one that a cache has.
    let job = match get::<TrainingJob>(&context.client, &namespace, &seen.name_any()).await? {
        Some(job) if job.metadata.deletion_timestamp.is_none() => job,
        // Its children are collected with it.
        Some(_) | None => return Ok(Action::await_change()),
    };
    let observed = observe(&context.client, &job, &namespace).await?;
    let plan = plan(&job, &observed, &context.configuration.images.trainer, Timestamp::now());
    let applied = context.io.apply(&namespace, &plan.changes).await;
    let status = match &applied {
        Ok(()) => plan.status,
        // The memory stays as it was: what was not written did not happen.
        Err(error) => report::with_failure(&job, error, Timestamp::now()),
    };
    context.io.write_status(&job, job.status.as_ref(), &status).await?;
    applied?;
    context.io.publish(&job, &plan.notes).await;
    Ok(context.pace.wake(job.metadata.uid.as_deref(), plan.wake))
}

#[cfg(test)]
mod tests;
