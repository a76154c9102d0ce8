//! ModelVersion: its status says whether it may serve, and where it does. The object itself is never changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use plimsoll_crds::condition::{ConditionType, Fact, merge};
use plimsoll_crds::names::LABEL_APPROVAL;
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion, ModelVersionStatus};

use crate::approval::{Standing, standing};
use crate::read::{get, list};
use crate::{Context, Error};

/// A failed reconcile is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// An approval that ends is noticed within this long.
const BACKSTOP: Duration = Duration::from_secs(900);
/// The name of the controller in metrics.
const CONTROLLER: &str = "version";

/// Runs until `shutdown`.
pub async fn run(context: Context, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let client = context.client.clone();
    let (versions, approvals, deployments): (Api<ModelVersion>, Api<ModelApproval>, Api<ModelDeployment>) = match &context.configuration.watch_namespace {
        Some(namespace) => (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace), Api::namespaced(client, namespace)),
        None => (Api::all(client.clone()), Api::all(client.clone()), Api::all(client)),
    };
    let controller = Controller::new(versions, watcher::Config::default());
    let store = controller.store();
    controller
        .watches(approvals, watcher::Config::default(), |approval| approval.namespace().map(|namespace| ObjectRef::new(&approval.spec.model_version).within(&namespace)))
        .watches(deployments, watcher::Config::default(), move |deployment| {
            let (namespace, model) = (deployment.namespace(), deployment.spec.model.name.clone());
            store.state().into_iter().filter(|version| version.namespace() == namespace && version.spec.model == model).map(|version| ObjectRef::from_obj(&*version)).collect::<Vec<_>>()
        })
        .with_config(Config::default().concurrency(4))
        .graceful_shutdown_on(shutdown)
        .run(reconcile, |_, _, _| Action::requeue(RETRY_AFTER), Arc::new(context))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(%error, "reconcile queue");
            }
        })
        .await;
}

async fn reconcile(seen: Arc<ModelVersion>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let result = pass(&seen, &context).await;
    context.metrics.reconciled(CONTROLLER, start.elapsed().as_secs_f64(), result.as_ref().err());
    if let Err(error) = &result {
        tracing::warn!(%error, version = seen.name_any(), "reconcile failed");
    }
    result
}

async fn pass(seen: &ModelVersion, context: &Context) -> Result<Action, Error> {
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    let Some(version) = get::<ModelVersion>(&context.client, &namespace, &seen.name_any()).await? else { return Ok(Action::await_change()) };
    let approvals = list::<ModelApproval>(&context.client, &namespace, "").await?;
    let deployments = list::<ModelDeployment>(&context.client, &namespace, "").await?;
    let found = Api::<Namespace>::all(context.client.clone()).get_opt(&namespace).await;
    let found = found.map_err(|source| Error::Read { what: format!("Namespace {namespace}"), source: Box::new(source) })?;
    let optional = found.and_then(|namespace| namespace.metadata.labels?.remove(LABEL_APPROVAL)).as_deref() == Some("optional");
    let status = plan(&version, &standing(&version, &approvals, optional, Timestamp::now()), &deployments, Timestamp::now());
    context.io.write_status(&version, version.status.as_ref(), &status).await?;
    Ok(Action::requeue(BACKSTOP))
}

/// The status that follows.
fn plan(version: &ModelVersion, standing: &Standing, deployments: &[ModelDeployment], now: Timestamp) -> ModelVersionStatus {
    let old = version.status.clone().unwrap_or_default();
    let approved = match standing {
        Standing::Approved { by, until } => {
            let until = until.map(|end| format!(" until {end}")).unwrap_or_default();
            Fact::new(ConditionType::Approved, true, "Approved", format!("approved by {by}{until}"))
        }
        Standing::NotRequired => Fact::new(ConditionType::Approved, true, "NotRequired", "the namespace needs no approvals"),
        Standing::Rejected { by, why } => Fact::new(ConditionType::Approved, false, "Rejected", format!("rejected by {by}: {why}")),
        Standing::Waiting { why } => Fact::new(ConditionType::Approved, false, "Waiting", why),
    };
    // The object is what it is from the start; whether it may serve is another question, for which nobody's `--wait` should hang.
    let ready = Fact::new(ConditionType::Ready, true, "Recorded", "the model passed its gates");
    let generation = version.metadata.generation.unwrap_or_default();
    let name = version.name_any();
    let serves = |deployment: &&ModelDeployment| {
        deployment.status.as_ref().is_some_and(|status| {
            status.stable.as_ref().is_some_and(|stable| stable.reference.model_version == name)
                || status.candidate.as_ref().is_some_and(|candidate| candidate.reference.model_version == name)
        })
    };
    let mut serving: Vec<String> = deployments.iter().filter(serves).map(ResourceExt::name_any).collect();
    serving.sort();
    ModelVersionStatus { observed_generation: Some(generation), conditions: merge(&old.conditions, &[approved, ready], generation, &Time(now)), serving }
}
