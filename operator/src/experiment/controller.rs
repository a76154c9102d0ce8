//! Wiring: what wakes a pass over a test, and the pass itself.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use plimsoll_crds::{ABTest, ModelDeployment};

use super::evaluator::hand_over;
use super::observe::observe;
use super::plan::plan;
use crate::read::get;
use crate::{Context, Error};

/// Reconciles at a time.
const CONCURRENCY: u16 = 4;

/// Runs until `shutdown`.
pub async fn run(context: Context, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let controller = Controller::new(context.watched::<ABTest>(), watcher::Config::default());
    let (of_deployment, of_test, pace) = (controller.store(), controller.store(), context.pace.clone());
    let about = |store: &kube::runtime::reflector::Store<ABTest>, namespace: Option<String>, deployment: &str| {
        let cares = |test: &Arc<ABTest>| test.namespace() == namespace && test.spec.deployment == deployment;
        store.state().into_iter().filter(cares).map(|test| ObjectRef::from_obj(&*test)).collect::<Vec<_>>()
    };
    controller
        .watches(context.watched::<ModelDeployment>(), watcher::Config::default(), move |deployment| {
            about(&of_deployment, deployment.namespace(), &deployment.name_any())
        })
        // A test that ends or goes lets another one begin.
        .watches(context.watched::<ABTest>(), watcher::Config::default(), move |test| about(&of_test, test.namespace(), &test.spec.deployment))
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(timed, |test, _, context| context.pace.retry(test.metadata.uid.as_deref()), Arc::new(context))
        .filter_map(|outcome| std::future::ready(outcome.err()))
        .for_each(|error| {
            pace.queue(&error);
            std::future::ready(())
        })
        .await;
}

#[tracing::instrument(name = "reconcile", skip_all, fields(kind = "ABTest", ns = seen.namespace(), name = seen.name_any(), generation = seen.metadata.generation))]
async fn timed(seen: Arc<ABTest>, context: Arc<Context>) -> Result<Action, Error> {
    context.pace.timed(seen.metadata.uid.as_deref(), reconcile(&seen, &context)).await
}

/// One pass: read, hand over what the last pass found, plan, write, tell.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn reconcile(seen: &ABTest, context: &Context) -> Result<Action, Error> {
    let namespace = seen.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
    let Some(test) = get::<ABTest>(&context.client, &namespace, &seen.name_any()).await? else { return Ok(Action::await_change()) };
    let mut observed = observe(context, &namespace, &test).await?;
    observed.reported = hand_over(context, &namespace, &test).await;
    let plan = plan(&test, &observed, Timestamp::now());
    context.io.write_status(&test, test.status.as_ref(), &plan.status).await?;
    context.io.publish(&test, &plan.notes).await;
    Ok(context.pace.wake(test.metadata.uid.as_deref(), plan.wake))
}
