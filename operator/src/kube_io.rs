//! The only place that writes to the cluster.
//!
//! **Invariants:** writes happen in the plan's order and stop at the first error; a status is patched at one call site per
//! kind and not at all when it is equal (I8); a Job is gone only when its pods are (I1). This module must not know specs or
//! decide anything.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::change::{Change, Reference, contains};
use crate::error::Error;
use crate::telemetry::Metrics;

/// Every kind that may be written: kind, group, version, plural.
const KINDS: [(&str, &str, &str, &str); 12] = [
    ("ConfigMap", "", "v1", "configmaps"),
    ("Service", "", "v1", "services"),
    ("ServiceAccount", "", "v1", "serviceaccounts"),
    ("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    ("Deployment", "apps", "v1", "deployments"),
    ("ControllerRevision", "apps", "v1", "controllerrevisions"),
    ("Job", "batch", "v1", "jobs"),
    ("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    ("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    ("Role", "rbac.authorization.k8s.io", "v1", "roles"),
    ("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings"),
    ("ModelVersion", "plimsoll.dev", "v1alpha1", "modelversions"),
];

/// Writes for one controller.
#[derive(Clone)]
pub struct KubeIo {
    client: Client,
    manager: &'static str,
    metrics: Metrics,
}

/// One event: a transition that people want to see in `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Whether it needs attention.
    pub warning: bool,
    /// A PascalCase word from `reasons`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl KubeIo {
    /// Writes under the field manager `plimsoll-<controller>`.
    pub fn new(client: Client, manager: &'static str, metrics: Metrics) -> Self {
        Self { client, manager, metrics }
    }

    /// The client, for reads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Carries out writes in order, up to the first that fails.
    ///
    /// # Errors
    /// The API server refused a write, or an object of that name belongs to somebody else.
    pub async fn apply(&self, namespace: &str, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Apply(value) => self.apply_one(namespace, value).await?,
                Change::Create(value) => self.create_one(namespace, value).await?,
                Change::Delete(reference) => self.delete_one(namespace, reference).await?,
            }
        }
        Ok(())
    }

    async fn apply_one(&self, namespace: &str, value: &Value) -> Result<(), Error> {
        let (api, name, what) = self.api_of(namespace, value)?;
        let failed = |source| Error::Write { verb: "apply", what: what.clone(), source: Box::new(source) };
        // We own the fields that we apply: a foreign edit of them is undone.
        let parameters = PatchParams::apply(self.manager).force();
        let written = api.patch(&name, &parameters, &Patch::Apply(value)).await.map_err(failed)?;
        let written = serde_json::to_value(written).map_err(|source| Error::Serialize { what: what.clone(), source })?;
        if contains(&written, value) {
            return Ok(());
        }
        // Server-side apply keeps the items that others added to a list, a merge patch replaces the list.
        let parameters = PatchParams { field_manager: Some(self.manager.to_owned()), ..PatchParams::default() };
        api.patch(&name, &parameters, &Patch::Merge(value)).await.map(drop).map_err(failed)
    }

    async fn create_one(&self, namespace: &str, value: &Value) -> Result<(), Error> {
        let (api, name, what) = self.api_of(namespace, value)?;
        let object: DynamicObject = serde_json::from_value(value.clone()).map_err(|source| Error::Serialize { what: what.clone(), source })?;
        let parameters = PostParams { field_manager: Some(self.manager.to_owned()), ..PostParams::default() };
        match api.create(&parameters, &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let live = api.get(&name).await.map_err(|source| Error::Read { what: what.clone(), source: Box::new(source) })?;
                let owners = |object: &DynamicObject| object.owner_references().iter().map(|owner| owner.uid.clone()).collect::<Vec<_>>();
                if owners(&live) == owners(&object) { Ok(()) } else { Err(Error::NotOurs { what }) }
            }
            Err(source) => Err(Error::Write { verb: "create", what, source: Box::new(source) }),
        }
    }

    async fn delete_one(&self, namespace: &str, reference: &Reference) -> Result<(), Error> {
        let what = format!("{} {}", reference.kind, reference.name);
        let api = self.api(namespace, &reference.kind)?;
        let preconditions = Preconditions { uid: Some(reference.uid.clone()), resource_version: None };
        // A Job that vanishes before its pods would hide them from whoever asks whether an attempt still lives.
        let parameters = if reference.kind == "Job" { DeleteParams::foreground() } else { DeleteParams::background() };
        let parameters = parameters.preconditions(preconditions);
        match api.delete(&reference.name, &parameters).await {
            Ok(_) => Ok(()),
            // Gone, or another object by now: what was to be removed is not there.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(source) => Err(Error::Write { verb: "delete", what, source: Box::new(source) }),
        }
    }

    /// Writes the status when it differs.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn write_status<K, S>(&self, object: &K, old: Option<&S>, new: &S) -> Result<bool, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        S: Serialize + PartialEq,
    {
        let count = |result| self.metrics.status_write(self.manager.trim_start_matches("plimsoll-"), result);
        if old == Some(new) {
            count("skipped");
            return Ok(false);
        }
        let what = format!("{} {}", K::kind(&()), object.name_any());
        let namespace = object.namespace().ok_or(Error::Incomplete { what: "namespace" })?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let body = status_patch(object, old, new).map_err(|source| Error::Serialize { what: what.clone(), source })?;
        let parameters = PatchParams { field_manager: Some(self.manager.to_owned()), ..PatchParams::default() };
        match api.patch_status(&object.name_any(), &parameters, &Patch::Merge(body)).await {
            Ok(_) => {
                count("written");
                Ok(true)
            }
            // Deleted in the meantime: nothing to write to.
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                count("gone");
                Ok(false)
            }
            Err(source) => {
                count("failed");
                Err(Error::Write { verb: "patch the status of", what, source: Box::new(source) })
            }
        }
    }

    /// Tells people about transitions. A lost event loses nothing but the message, so failures are only logged.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, notes: &[Note]) {
        for note in notes {
            // A recorder folds events of one reason into one and drops the later messages; each of ours is a transition of its own.
            let recorder = Recorder::new(self.client.clone(), Reporter { controller: self.manager.to_owned(), instance: None });
            let type_ = if note.warning { EventType::Warning } else { EventType::Normal };
            let event = Event { type_, reason: note.reason.to_owned(), note: Some(note.message.clone()), action: note.reason.to_owned(), secondary: None };
            if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
                tracing::warn!(%error, reason = note.reason, "event not published");
            }
        }
    }

    fn api_of(&self, namespace: &str, value: &Value) -> Result<(Api<DynamicObject>, String, String), Error> {
        let kind = value.get("kind").and_then(Value::as_str).ok_or(Error::Incomplete { what: "kind" })?;
        let name = value.pointer("/metadata/name").and_then(Value::as_str).ok_or(Error::Incomplete { what: "name" })?;
        Ok((self.api(namespace, kind)?, name.to_owned(), format!("{kind} {name}")))
    }

    fn api(&self, namespace: &str, kind: &str) -> Result<Api<DynamicObject>, Error> {
        let (kind, group, version, plural) = KINDS.iter().find(|known| known.0 == kind).ok_or(Error::Incomplete { what: "known kind" })?;
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        Ok(Api::namespaced_with(self.client.clone(), namespace, &resource))
    }
}

/// A merge patch that leaves exactly the new status: fields that are no longer there become null. It carries the
/// resourceVersion that was read, so that a decision on an old object is refused instead of overwriting a newer one.
fn status_patch<K: Resource<DynamicType = ()>, S: Serialize>(object: &K, old: Option<&S>, new: &S) -> Result<Value, serde_json::Error> {
    let mut status = serde_json::to_value(new)?;
    if let (Some(old), Some(map)) = (old, status.as_object_mut()) {
        clear(&serde_json::to_value(old)?, map);
    }
    Ok(json!({"metadata": {"resourceVersion": object.meta().resource_version}, "status": status}))
}

fn clear(old: &Value, new: &mut serde_json::Map<String, Value>) {
    for (key, before) in old.as_object().into_iter().flatten() {
        match new.get_mut(key) {
            None => {
                new.insert(key.clone(), Value::Null);
            }
            Some(Value::Object(map)) => clear(before, map),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
