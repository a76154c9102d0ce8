//! Wiring: what wakes a reconcile, and the reconcile itself as a list of phases.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use plimsoll_crds::names::{LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_MANAGED_BY, PLIMSOLL};
use plimsoll_crds::{ABTest, ModelApproval, ModelDeployment, ModelVersion};
use tracing::instrument;

use super::children::{EVALUATOR, MODEL_SERVER};
use super::keys::{READ_EVERY, read_keys};
use super::looks::{Clock, due};
use super::mappers::{of_approval, of_pod, of_version};
use super::observe::{now, observe};
use super::observed::{Settings, owner};
use super::plan::{Plan, Wake, plan};
use super::pokes::Pokes;
use super::rules::Rules;
use super::status::with_failure;
use crate::pace::Pace;
use crate::read::get;
use crate::{Context, Error};

/// Reconciles at a time.
const CONCURRENCY: u16 = 8;
/// Traffic may depend on the next try: a failed reconcile waits at most about as long as checks do.
const LONGEST_RETRY: Duration = Duration::from_secs(15);

/// What a reconcile has at hand.
#[derive(Clone)]
pub struct Work {
    /// What every controller has.
    pub context: Context,
    /// When checks were looked at.
    pub pokes: Pokes,
}

/// Runs until `shutdown`.
pub async fn run(work: Work, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let (context, pace) = (work.context.clone(), work.context.pace.clone());
    let controller = Controller::new(context.watched::<ModelDeployment>(), watcher::Config::default());
    let (for_versions, for_approvals) = (controller.store(), controller.store());
    let children = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={PLIMSOLL},{LABEL_DEPLOYMENT}"));
    let pods = watcher::Config::default().labels(&format!("{LABEL_COMPONENT} in ({MODEL_SERVER},{EVALUATOR}),{LABEL_DEPLOYMENT}"));
    controller
        .owns(context.watched::<Deployment>(), children.clone())
        .owns(context.watched::<ControllerRevision>(), children.clone())
        .owns(context.watched::<Service>(), children.clone())
        .owns(context.watched::<ConfigMap>(), children.clone())
        .owns(context.watched::<ServiceAccount>(), children.clone())
        .owns(context.watched::<Role>(), children.clone())
        .owns(context.watched::<RoleBinding>(), children.clone())
        .owns(context.watched::<PodDisruptionBudget>(), children.clone())
        .owns(context.watched::<NetworkPolicy>(), children.clone())
        .owns(context.watched::<PersistentVolumeClaim>(), children)
        .watches(context.watched::<Pod>(), pods, |pod| of_pod(&pod))
        .watches(context.watched::<ModelVersion>(), watcher::Config::default(), move |version| of_version(&for_versions.state(), &version))
        .watches(context.watched::<ModelApproval>(), watcher::Config::default(), move |approval| of_approval(&for_approvals.state(), &approval))
        .watches(context.watched::<ABTest>(), watcher::Config::default(), |test| Some(ObjectRef::new(&test.spec.deployment).within(&test.namespace()?)))
        .reconcile_all_on(work.pokes.stream())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |deployment, _, work| work.context.pace.retry_within(LONGEST_RETRY, deployment.metadata.uid.as_deref()), Arc::new(work))
        .for_each(|outcome| {
            if let Err(error) = outcome {
                pace.queue(&error);
            }
            std::future::ready(())
        })
        .await;
}

#[instrument(name = "reconcile", skip_all, fields(kind = "ModelDeployment", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<ModelDeployment>, work: Arc<Work>) -> Result<Action, Error> {
    work.context.pace.timed(seen.metadata.uid.as_deref(), reconcile(&seen, &work)).await
}

/// One pass: read, look, plan, write, tell.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn reconcile(seen: &ModelDeployment, work: &Work) -> Result<Action, Error> {
    let context = &work.context;
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    // The status that we wrote last, not the one that a cache has.
    let deployment = match get::<ModelDeployment>(&context.client, &namespace, &seen.name_any()).await? {
        Some(deployment) if deployment.metadata.deletion_timestamp.is_none() => deployment,
        // Its children are collected with it.
        Some(_) | None => return Ok(Action::await_change()),
    };
    let mut observed = observe(context, &owner(&deployment)).await?;
    if deployment.spec.outcomes.is_some() {
        observed.keys = Some(read_keys(&context.client).await);
    }
    look(&deployment, work, &mut observed).await;
    let plan = plan(&deployment, &observed, &settings(context), now());
    for batch in plan.batches(&deployment) {
        if let Err(error) = context.io.apply(&namespace, batch.changes).await {
            let failed = with_failure(&deployment, batch.memory, &error.to_string(), now());
            context.io.write_status(&deployment, deployment.status.as_ref(), &failed).await?;
            context.io.publish(&deployment, batch.notes).await;
            return Err(error);
        }
    }
    context.io.write_status(&deployment, deployment.status.as_ref(), &plan.status).await?;
    context.io.publish(&deployment, &plan.notes).await;
    Ok(action(&context.pace, &deployment, &plan))
}

async fn look(deployment: &ModelDeployment, work: &Work, observed: &mut super::observed::Observed) {
    let owner = owner(deployment);
    let clock = Clock { looked_at: work.pokes.looked_at(&owner.uid), poked: work.pokes.take(&owner.namespace, &owner.name), now: now() };
    observed.looked_at = clock.looked_at;
    if let Some(look) = due(deployment, &Rules::read(&deployment.spec), clock) {
        observed.reports = Some(work.context.analyst.look(&look).await);
        observed.looked_at = Some(clock.now);
        work.pokes.remember(&owner.uid, clock.now);
    }
}

fn settings(context: &Context) -> Settings {
    let configuration = &context.configuration;
    Settings {
        runtimes: configuration.runtimes.clone(),
        router_image: configuration.images.router.clone(),
        evaluator_image: configuration.images.evaluator.clone(),
        metrics_namespaces: vec![configuration.operator_namespace.clone(), configuration.monitoring_namespace.clone()],
    }
}

fn action(pace: &Pace, deployment: &ModelDeployment, plan: &Plan) -> Action {
    let wake = match plan.wake {
        Wake::Now => Some(Duration::ZERO),
        Wake::After(left) => Some(left),
        Wake::OnChange => None,
    };
    let keys = deployment.spec.outcomes.as_ref().map(|_| READ_EVERY);
    let wake = wake.into_iter().chain(keys).min();
    pace.wake(deployment.metadata.uid.as_deref(), wake)
}
