//! ModelVersion: its status says whether it may serve, and where it does. The object itself is never changed.
//!
//! This module must not know rollouts: a ModelDeployment asks for the gatekeepers' word itself.

mod plan;

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use plimsoll_crds::names::LABEL_APPROVAL;
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion};

use crate::read::{get, list};
use crate::{Context, Error};
use plan::{Observed, plan};

/// Reconciles at a time.
const CONCURRENCY: u16 = 4;

/// Runs until `shutdown`.
pub async fn run(context: Context, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let controller = Controller::new(context.watched::<ModelVersion>(), watcher::Config::default());
    let (store, pace) = (controller.store(), context.pace.clone());
    controller
        .watches(context.watched::<ModelApproval>(), watcher::Config::default(), |approval| {
            approval.namespace().map(|namespace| ObjectRef::new(&approval.spec.model_version).within(&namespace))
        })
        .watches(context.watched::<ModelDeployment>(), watcher::Config::default(), move |deployment| {
            let of_line = |version: &Arc<ModelVersion>| version.namespace() == deployment.namespace() && version.spec.model == deployment.spec.model.name;
            store.state().into_iter().filter(of_line).map(|version| ObjectRef::from_obj(&*version)).collect::<Vec<_>>()
        })
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |version, _, context| context.pace.retry(version.metadata.uid.as_deref()), Arc::new(context))
        .filter_map(|outcome| std::future::ready(outcome.err()))
        .for_each(|error| {
            pace.queue(&error);
            std::future::ready(())
        })
        .await;
}

#[tracing::instrument(name = "reconcile", skip_all, fields(kind = "ModelVersion", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<ModelVersion>, context: Arc<Context>) -> Result<Action, Error> {
    context.pace.timed(seen.metadata.uid.as_deref(), reconcile(&seen, &context)).await
}

/// One pass: read, plan, write.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn reconcile(seen: &ModelVersion, context: &Context) -> Result<Action, Error> {
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    let Some(version) = get::<ModelVersion>(&context.client, &namespace, &seen.name_any()).await? else { return Ok(Action::await_change()) };
    let observed = observe(&context.client, &namespace).await?;
    let plan = plan(&version, &observed, Timestamp::now());
    context.io.write_status(&version, version.status.as_ref(), &plan.status).await?;
    Ok(context.pace.wake(version.metadata.uid.as_deref(), plan.wake))
}

async fn observe(client: &Client, namespace: &str) -> Result<Observed, Error> {
    let found = Api::<Namespace>::all(client.clone()).get_opt(namespace).await;
    let found = found.map_err(|source| Error::Read { what: format!("Namespace {namespace}"), source: Box::new(source) })?;
    let label = found.and_then(|namespace| namespace.metadata.labels?.remove(LABEL_APPROVAL));
    Ok(Observed {
        approvals: list::<ModelApproval>(client, namespace, "").await?,
        deployments: list::<ModelDeployment>(client, namespace, "").await?,
        optional: label.as_deref() == Some("optional"),
    })
}
