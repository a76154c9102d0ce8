//! Everything that should exist for a status and its routes, and the writes that get there.
//!
//! Routes come first: they name only what is ready already, and the way back must not wait for a quota or a webhook (I7). Then
//! records, permissions, services, guards, pods, and what is no longer needed last. This module must not know why the status is what it is.

use std::collections::BTreeMap;

use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;
use plimsoll_crds::names::{self, LABEL_REVISION};
use serde_json::Value;

use super::children::{self, MODEL_SERVER, Owner, ROUTER, RouterRecord, is_component, kind, label, name};
use super::fate::{Fate, fate};
use super::observed::{Observed, Settings};
use super::revision::Record;
use super::routes::Routes;
use crate::change::{Change, Reference, needed, same_object};

/// What the children are made from.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    /// The object.
    pub deployment: &'a ModelDeployment,
    /// Its identity.
    pub owner: &'a Owner,
    /// What is there.
    pub observed: &'a Observed,
    /// What the administrator set.
    pub settings: &'a Settings,
    /// The records of the revisions that must have pods, by revision.
    pub records: BTreeMap<String, Record>,
    /// The wanted routes.
    pub routes: Option<&'a Routes>,
    /// What becomes of every other revision that is there, by revision.
    pub fates: BTreeMap<String, Fate>,
}

/// The fates of all revisions that have children.
pub fn fates(status: &ModelDeploymentStatus, observed: &Observed, keep: usize, traffic_moved: bool) -> BTreeMap<String, Fate> {
    let revisions = observed.children.iter().filter(|child| is_component(child, MODEL_SERVER)).filter_map(|child| label(child, LABEL_REVISION));
    revisions.map(|revision| (revision.to_owned(), fate(revision, status, keep, traffic_moved))).collect()
}

impl Fleet<'_> {
    /// The writes that are needed, in order.
    pub fn changes(&self) -> Vec<Change> {
        let desired = self.desired();
        let mut changes: Vec<Change> = needed(&desired, &self.observed.children).into_iter().map(|change| self.careful(change)).collect();
        changes.extend(self.observed.children.iter().filter(|child| self.may_go(child, &desired)).filter_map(delete));
        changes
    }

    /// The Service that callers use has a name that people chose: one that is there already and is not ours is not taken over.
    fn careful(&self, change: Change) -> Change {
        match change {
            Change::Apply(object) if kind(&object) == "Service" && name(&object) == self.owner.name => {
                if self.observed.child("Service", &self.owner.name).is_some() { Change::Apply(object) } else { Change::Create(object) }
            }
            other => other,
        }
    }

    fn desired(&self) -> Vec<Value> {
        let (owner, spec) = (self.owner, &self.deployment.spec);
        let router = self.router_record();
        let mut objects: Vec<Value> = self.routes.iter().map(|routes| children::routes_config(owner, routes)).collect();
        objects.push(children::router_record(owner, &router, self.number(ROUTER, &router_name(owner, &router))));
        objects.extend(
            self.records.values().map(|record| {
                children::model_record(owner, record, self.number(MODEL_SERVER, &names::revision_child(&owner.name, &record.reference.revision)))
            }),
        );
        objects.extend([children::service_account(owner), children::role(owner), children::role_binding(owner), children::caller_service(owner)]);
        objects.extend(self.records.keys().map(|revision| children::model_service(owner, revision)));
        objects.extend([
            children::model_network_policy(owner, &self.settings.metrics_namespaces),
            children::router_network_policy(owner, &self.settings.metrics_namespaces),
            children::disruption_budget(owner, None),
        ]);
        objects.extend(self.records.keys().map(|revision| children::disruption_budget(owner, Some(revision))));
        objects.extend(self.records.values().map(|record| children::model_deployment(owner, record, spec.predictor.replicas)));
        objects.extend(self.kept().map(|record| children::model_deployment(owner, &record, 0)));
        objects.push(children::router_deployment(owner, &spec.router, &router));
        objects
    }

    /// The pinned template while it fits the spec, else a new one with the configured image.
    fn router_record(&self) -> RouterRecord {
        let known = self.observed.children.iter().filter(|child| kind(child) == "ControllerRevision");
        let fitting = known.filter_map(|child| Some((revision_number(child), children::read_router_record(child)?)));
        let newest = fitting.filter(|(_, record)| record.fits(&self.deployment.spec.router)).max_by_key(|(number, _)| *number);
        let render = || children::router_template(self.owner, &self.deployment.spec.router, &self.settings.router_image);
        newest.map_or_else(render, |(_, record)| record)
    }

    /// A record keeps its number; a new one gets the next of its component.
    fn number(&self, component: &str, wanted: &str) -> i64 {
        let records = || self.observed.children.iter().filter(|child| kind(child) == "ControllerRevision" && is_component(child, component));
        let own = records().find(|child| name(child) == wanted).map(revision_number);
        own.unwrap_or_else(|| records().map(revision_number).max().unwrap_or(0).saturating_add(1))
    }

    fn kept(&self) -> impl Iterator<Item = Record> {
        self.observed.records().into_iter().filter(|record| self.fate_of(&record.reference.revision) == Some(Fate::Kept))
    }

    fn fate_of(&self, revision: &str) -> Option<Fate> {
        self.fates.get(revision).copied()
    }

    /// Whether a child that is there is not needed. Children of a revision share its fate; its budget goes with its pods.
    fn may_go(&self, child: &Value, desired: &[Value]) -> bool {
        if desired.iter().any(|wanted| same_object(wanted, child)) {
            return false;
        }
        match label(child, LABEL_REVISION).and_then(|revision| self.fate_of(revision)) {
            Some(Fate::Serves | Fate::Waits) => false,
            Some(Fate::Kept) => kind(child) == "PodDisruptionBudget",
            Some(Fate::Goes) => true,
            // Routes stay although none are wanted: that is so only before anything is stable.
            None => kind(child) != "ConfigMap" || self.routes.is_some(),
        }
    }
}

fn router_name(owner: &Owner, record: &RouterRecord) -> String {
    children::router_record(owner, record, 0).pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn revision_number(object: &Value) -> i64 {
    object.get("revision").and_then(Value::as_i64).unwrap_or(0)
}

fn delete(child: &Value) -> Option<Change> {
    let uid = child.pointer("/metadata/uid").and_then(Value::as_str)?;
    Some(Change::Delete(Reference { kind: kind(child).to_owned(), name: name(child).to_owned(), uid: uid.to_owned() }))
}
