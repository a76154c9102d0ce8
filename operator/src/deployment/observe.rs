//! Every read of a reconcile. Absence is data; only an API server that cannot be asked is an error.
//!
//! Everything is read from the API server and nothing from a cache: a plan made from an old status would move traffic back.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::{NamespaceResourceScope, jiff::Timestamp};
use kube::{Api, Client, Resource};
use plimsoll_crds::names::{LABEL_APPROVAL, LABEL_COMPONENT};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::children::{EVALUATOR, MODEL_SERVER, Owner, ROUTER};
use super::observed::{Observed, child_selector};
use super::routes::RouterReport;
use crate::read::{is_ready, list, metrics_url, owned_by, to_value};
use crate::{Context, Error};

/// How long a router may take to say which routes it runs.
const ROUTER_TIMEOUT: Duration = Duration::from_secs(1);
/// The value of the namespace's label with which approvals are not needed.
const OPTIONAL: &str = "optional";

/// Reads everything that a plan needs, the look at the checks and the API server's keys excepted.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn observe(context: &Context, owner: &Owner) -> Result<Observed, Error> {
    let client = &context.client;
    let namespace = &owner.namespace;
    let (versions, approvals, tests, approval_required, children, pods, routers) = tokio::try_join!(
        list(client, namespace, ""),
        list(client, namespace, ""),
        list(client, namespace, ""),
        approval_required(client, namespace),
        children(client, owner),
        pods(client, owner, &[MODEL_SERVER, EVALUATOR]),
        routers(client, owner),
    )?;
    Ok(Observed { versions, approvals, tests, approval_required, children, pods, routers, ..Observed::default() })
}

/// A namespace that cannot be found asks for approvals.
async fn approval_required(client: &Client, namespace: &str) -> Result<bool, Error> {
    let found = Api::<Namespace>::all(client.clone()).get_opt(namespace).await;
    let found = found.map_err(|source| Error::Read { what: format!("Namespace {namespace}"), source: Box::new(source) })?;
    let label = found.and_then(|namespace| namespace.metadata.labels?.remove(LABEL_APPROVAL));
    Ok(label.as_deref() != Some(OPTIONAL))
}

async fn children(client: &Client, owner: &Owner) -> Result<Vec<Value>, Error> {
    let lists = tokio::try_join!(
        owned::<Deployment>(client, owner),
        owned::<ControllerRevision>(client, owner),
        owned::<Service>(client, owner),
        owned::<ConfigMap>(client, owner),
        owned::<ServiceAccount>(client, owner),
        owned::<Role>(client, owner),
        owned::<RoleBinding>(client, owner),
        owned::<PodDisruptionBudget>(client, owner),
        owned::<NetworkPolicy>(client, owner),
        owned::<PersistentVolumeClaim>(client, owner),
    )?;
    let (a, b, c, d, e, f, g, h, i, j) = lists;
    Ok([a, b, c, d, e, f, g, h, i, j].concat())
}

/// The objects of one kind that belong to the deployment: labelled by us, and owned by it.
async fn owned<K>(client: &Client, owner: &Owner) -> Result<Vec<Value>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let objects: Vec<K> = list(client, &owner.namespace, &child_selector(&owner.name)).await?;
    let ours = objects.iter().filter(|object| owned_by(*object, &owner.uid) && object.meta().deletion_timestamp.is_none());
    Ok(ours.map(to_value).collect())
}

/// The living pods of these components.
async fn pods(client: &Client, owner: &Owner, components: &[&str]) -> Result<Vec<Pod>, Error> {
    let selector = format!("{},{LABEL_COMPONENT} in ({})", child_selector(&owner.name), components.join(","));
    let mut pods: Vec<Pod> = list(client, &owner.namespace, &selector).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

/// What routers say. One that does not answer has no version: absence is data.
async fn routers(client: &Client, owner: &Owner) -> Result<Vec<RouterReport>, Error> {
    let pods = pods(client, owner, &[ROUTER]).await?;
    let http = reqwest::Client::builder().timeout(ROUTER_TIMEOUT).no_proxy().build().ok();
    Ok(join_all(pods.iter().map(|pod| report(http.as_ref(), pod))).await)
}

async fn report(http: Option<&reqwest::Client>, pod: &Pod) -> RouterReport {
    let ready = is_ready(pod);
    let answer = match (http, metrics_url(pod, "/routes")) {
        (Some(http), Some(url)) if ready => ask(http, url).await,
        _ => None,
    };
    let test = answer.as_ref().and_then(|answer| answer.get("test")?.as_str().map(str::to_owned));
    RouterReport { ready, version: answer.and_then(|answer| answer.get("version")?.as_i64()), test }
}

async fn ask(http: &reqwest::Client, url: String) -> Option<Value> {
    let answer = http.get(url).send().await.ok()?;
    answer.error_for_status().ok()?.json::<Value>().await.ok()
}

/// Now, as the API server's clock is not known. The only place where a reconcile looks at a clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}
