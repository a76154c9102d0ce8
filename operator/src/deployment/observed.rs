//! What a reconcile sees: plain data, absence included. Reading is `observe`'s task; this module must not know a client.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::names::{self, JWKS_KEY, LABEL_DEPLOYMENT, ROUTES_KEY};
use plimsoll_crds::{ABTest, ModelApproval, ModelDeployment, ModelVersion};
use serde_json::Value;

use super::children::{Owner, kind, name, read_model_record};
use super::revision::Record;
use super::routes::{RouterReport, Routes};
use crate::analysis::CheckReport;

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The ModelVersions of the namespace.
    pub versions: Vec<ModelVersion>,
    /// The ModelApprovals of the namespace.
    pub approvals: Vec<ModelApproval>,
    /// The ABTests of the namespace.
    pub tests: Vec<ABTest>,
    /// Whether the namespace asks for approvals.
    pub approval_required: bool,
    /// The children that are there.
    pub children: Vec<Value>,
    /// Pods of model servers and of the evaluator that are not being deleted.
    pub pods: Vec<Pod>,
    /// What routers say about themselves.
    pub routers: Vec<RouterReport>,
    /// The keys with which the API server signs tokens, or why they cannot be read; where outcomes are asked for.
    pub keys: Option<Result<String, String>>,
    /// What this pass's look at the checks said.
    pub reports: Option<Vec<CheckReport>>,
    /// When checks were looked at last, this pass included. Lost by a restart, which then looks at once.
    pub looked_at: Option<Timestamp>,
}

/// What the administrator configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Server images by the name of their runtime.
    pub runtimes: BTreeMap<String, String>,
    /// The image of new routers.
    pub router_image: String,
    /// The image of new evaluators.
    pub evaluator_image: String,
    /// Namespaces from which metrics are fetched: the operator's and Prometheus's.
    pub metrics_namespaces: Vec<String>,
}

/// How many of a Deployment's pods are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Ready pods.
    pub ready: i64,
    /// Whether all of the wanted pods run the wanted template and are available.
    pub complete: bool,
    /// Pods that are asked for.
    pub replicas: i64,
}

impl Observed {
    /// The child of that kind and name.
    pub fn child(&self, wanted_kind: &str, wanted_name: &str) -> Option<&Value> {
        self.children.iter().find(|child| kind(child) == wanted_kind && name(child) == wanted_name)
    }

    /// The records of all revisions.
    pub fn records(&self) -> Vec<Record> {
        self.children.iter().filter(|child| kind(child) == "ControllerRevision").filter_map(read_model_record).collect()
    }

    /// The routes that routers were told last.
    pub fn routes(&self, deployment: &str) -> Option<Routes> {
        let config = self.child("ConfigMap", &names::routes(deployment))?;
        serde_json::from_str(config.pointer("/data")?.get(ROUTES_KEY)?.as_str()?).ok()
    }

    /// The keys that the evaluator was given last.
    pub fn given_keys(&self, deployment: &str) -> Option<&str> {
        self.child("ConfigMap", &names::evaluator(deployment))?.pointer("/data")?.get(JWKS_KEY)?.as_str()
    }

    /// The keys that the evaluator should have: those that were read, or while they cannot be read those that it was given last.
    pub fn newest_keys(&self, deployment: &str) -> Option<&str> {
        match &self.keys {
            Some(Ok(keys)) => Some(keys),
            Some(Err(_)) | None => self.given_keys(deployment),
        }
    }

    /// The readiness of the Deployment of that name.
    pub fn readiness(&self, name: &str) -> Readiness {
        let Some(deployment) = self.child("Deployment", name) else { return Readiness::default() };
        let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        let replicas = number("/spec/replicas");
        let current = number("/status/observedGeneration") >= number("/metadata/generation");
        let enough = |pointer: &str| number(pointer) >= replicas;
        let complete = current && replicas > 0 && enough("/status/availableReplicas") && enough("/status/updatedReplicas") && enough("/status/readyReplicas");
        Readiness { ready: number("/status/readyReplicas"), complete, replicas }
    }
}

/// The owner of the children. Empty strings stand for what an object from the API server always has.
pub fn owner(deployment: &ModelDeployment) -> Owner {
    Owner {
        name: deployment.metadata.name.clone().unwrap_or_default(),
        namespace: deployment.metadata.namespace.clone().unwrap_or_default(),
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
    }
}

/// The selector of all children.
pub fn child_selector(deployment: &str) -> String {
    format!("{LABEL_DEPLOYMENT}={deployment}")
}
