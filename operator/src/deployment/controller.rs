//! Wiring: what wakes a reconcile, and the reconcile itself as a list of phases.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use plimsoll_crds::names::{LABEL_DEPLOYMENT, LABEL_MANAGED_BY, PLIMSOLL};
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion};
use serde::de::DeserializeOwned;
use tracing::{debug, instrument, warn};

use super::looks::{Clock, due};
use super::mappers::{of_approval, of_version};
use super::observe::{now, observe};
use super::observed::{Settings, owner};
use super::plan::{Plan, Wake, plan};
use super::pokes::Pokes;
use super::rules::Rules;
use super::status::with_failure;
use crate::read::get;
use crate::{Context, Error};

/// Reconciles at a time.
const CONCURRENCY: u16 = 8;
/// The shortest time after which an object is looked at again although nothing happened.
const BACKSTOP_SECONDS: u64 = 600;
/// Backstops are spread over this much more.
const BACKSTOP_SPREAD_SECONDS: u64 = 1_200;
/// The longest reconcile. Longer than any of its calls should take, shorter than a person's patience.
const TIMEOUT_SECONDS: u64 = 60;
/// A failed reconcile is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The name of the controller in metrics.
const CONTROLLER: &str = "deployment";

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
    let scope = Scope { context: work.context.clone() };
    let controller = Controller::new(scope.api::<ModelDeployment>(), watcher::Config::default());
    let (for_versions, for_approvals) = (controller.store(), controller.store());
    let children = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={PLIMSOLL},{LABEL_DEPLOYMENT}"));
    controller
        .owns(scope.api::<Deployment>(), children.clone())
        .owns(scope.api::<ControllerRevision>(), children.clone())
        .owns(scope.api::<Service>(), children.clone())
        .owns(scope.api::<ConfigMap>(), children.clone())
        .owns(scope.api::<ServiceAccount>(), children.clone())
        .owns(scope.api::<Role>(), children.clone())
        .owns(scope.api::<RoleBinding>(), children.clone())
        .owns(scope.api::<PodDisruptionBudget>(), children.clone())
        .owns(scope.api::<NetworkPolicy>(), children)
        .watches(scope.api::<ModelVersion>(), watcher::Config::default(), move |version| of_version(&for_versions.state(), &version))
        .watches(scope.api::<ModelApproval>(), watcher::Config::default(), move |approval| of_approval(&for_approvals.state(), &approval))
        .reconcile_all_on(work.pokes.stream())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |_, _, _| Action::requeue(RETRY_AFTER), Arc::new(work))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                debug!(%error, "reconcile queue");
            }
        })
        .await;
}

struct Scope {
    context: Context,
}

impl Scope {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let client = self.context.client.clone();
        match &self.context.configuration.watch_namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }
}

#[instrument(name = "reconcile", skip_all, fields(kind = "ModelDeployment", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<ModelDeployment>, work: Arc<Work>) -> Result<Action, Error> {
    let start = Instant::now();
    let limit = Duration::from_secs(TIMEOUT_SECONDS);
    let result = tokio::time::timeout(limit, reconcile(&seen, &work)).await.unwrap_or(Err(Error::Timeout { seconds: TIMEOUT_SECONDS }));
    work.context.metrics.reconciled(CONTROLLER, start.elapsed().as_secs_f64(), result.as_ref().err());
    if let Err(error) = &result {
        warn!(%error, "reconcile failed");
    }
    result
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
    look(&deployment, work, &mut observed).await;
    let plan = plan(&deployment, &observed, &settings(context), now());
    if let Err(error) = context.io.apply(&namespace, &plan.changes).await {
        // The memory stays as it was: what was not written did not happen.
        let failed = with_failure(&deployment, &error.to_string(), now());
        context.io.write_status(&deployment, deployment.status.as_ref(), &failed).await?;
        return Err(error);
    }
    context.io.write_status(&deployment, deployment.status.as_ref(), &plan.status).await?;
    context.io.publish(&deployment, &plan.notes).await;
    Ok(action(&deployment, &plan))
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
        metrics_namespaces: vec![configuration.operator_namespace.clone(), configuration.monitoring_namespace.clone()],
    }
}

fn action(deployment: &ModelDeployment, plan: &Plan) -> Action {
    match plan.wake {
        Wake::Now => Action::requeue(Duration::ZERO),
        Wake::After(left) => Action::requeue(left),
        Wake::OnChange => Action::requeue(backstop(deployment.uid().unwrap_or_default())),
    }
}

/// Different for each object, so that they do not wake together.
fn backstop(uid: String) -> Duration {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    Duration::from_secs(BACKSTOP_SECONDS.saturating_add(hasher.finish() % BACKSTOP_SPREAD_SECONDS))
}
