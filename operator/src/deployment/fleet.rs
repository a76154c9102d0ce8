//! Everything that should exist for a status and its routes, and the writes that get there.
//!
//! Routes come first: they name only what is ready already, and the way back must not wait for a quota or a webhook (I7). Then
//! records, permissions, services, guards, pods, and what is no longer needed last. This module must not know why the status is what it is.

use std::collections::BTreeMap;

use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;
use plimsoll_crds::names::{self, LABEL_REVISION};
use serde_json::Value;

use super::children::{self, EVALUATOR, MODEL_SERVER, Owner, PinnedTemplate, ROUTER, is_component, kind, label, name};
use super::fate::{Fate, fate};
use super::observed::{Observed, Settings};
use super::revision::Record;
use super::routes::Routes;
use super::rules::Collection;
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
    /// How outcomes are collected, where they are.
    pub collection: Option<Collection>,
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
        let needed = needed(&desired, &self.observed.children).into_iter();
        let mut changes: Vec<Change> = needed.filter_map(|change| self.careful(change)).collect();
        changes.extend(self.observed.children.iter().filter(|child| self.may_go(child, &desired)).filter_map(delete));
        changes
    }

    /// The Service that callers use has a name that people chose: one that is there already and is not ours is not taken over. Nor is a
    /// volume, which may hold somebody's data; ours is made once, for the API server lets hardly anything of it be changed.
    fn careful(&self, change: Change) -> Option<Change> {
        let Change::Apply(object) = change else { return Some(change) };
        let is_there = self.observed.child(kind(&object), name(&object)).is_some();
        match kind(&object) {
            "PersistentVolumeClaim" => (!is_there).then_some(Change::Create(object)),
            "Service" if name(&object) == self.owner.name && !is_there => Some(Change::Create(object)),
            _ => Some(Change::Apply(object)),
        }
    }

    fn desired(&self) -> Vec<Value> {
        let (owner, spec, outcomes) = (self.owner, &self.deployment.spec, self.deployment.spec.outcomes.is_some());
        let router = self.pinned(ROUTER, &children::router_request(&spec.router, outcomes), || {
            children::router_template(owner, &spec.router, outcomes, &self.settings.router_image)
        });
        let mut objects: Vec<Value> = self.routes.iter().map(|routes| children::routes_config(owner, routes)).collect();
        objects.push(self.template_record(ROUTER, &router));
        objects.extend(
            self.records.values().map(|record| {
                children::model_record(owner, record, self.number(MODEL_SERVER, &names::revision_child(&owner.name, &record.reference.revision)))
            }),
        );
        objects.extend(self.alive().any(|record| children::has_token(owner, &record)).then(|| children::model_account(owner)));
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
        objects.extend(self.evaluator());
        objects
    }

    /// The evaluator and what it needs, where outcomes are collected.
    fn evaluator(&self) -> Vec<Value> {
        let (Some(outcomes), Some(collection)) = (&self.deployment.spec.outcomes, self.collection) else { return Vec::new() };
        let owner = self.owner;
        // Model pods of a release without tokens are not restarted for one: as long as they hand predictions over, everybody's word is taken.
        let tokens = self.alive().all(|record| record.request.prediction_log.is_none() || children::has_token(owner, &record));
        let template = self.pinned(EVALUATOR, &children::evaluator_request(outcomes, collection, tokens), || {
            children::evaluator_template(owner, outcomes, (collection, tokens), &self.settings.evaluator_image)
        });
        let volume = outcomes.database.sqlite.as_ref().filter(|_| outcomes.database.postgresql.is_none());
        let mut objects = vec![self.template_record(EVALUATOR, &template)];
        objects.extend(self.observed.newest_keys(&owner.name).map(|keys| children::evaluator_keys(owner, keys)));
        objects.extend(volume.map(|volume| children::evaluator_volume(owner, volume)));
        objects.extend([
            children::evaluator_service(owner),
            children::evaluator_network_policy(owner, &self.settings.metrics_namespaces),
            children::evaluator_deployment(owner, &template),
        ]);
        objects
    }

    /// The pinned template while it fits the spec, else a new one with the configured image.
    fn pinned(&self, component: &str, request: &Value, render: impl Fn() -> PinnedTemplate) -> PinnedTemplate {
        let known = self.observed.children.iter().filter(|child| kind(child) == "ControllerRevision");
        let fitting = known.filter_map(|child| Some((revision_number(child), children::read_template_record(child, component)?)));
        let newest = fitting.filter(|(_, record)| record.request == *request).max_by_key(|(number, _)| *number);
        newest.map_or_else(render, |(_, record)| record)
    }

    fn template_record(&self, component: &str, template: &PinnedTemplate) -> Value {
        let number = self.number(component, &children::template_name(self.owner, component, template));
        children::template_record(self.owner, component, template, number)
    }

    /// A record keeps its number; a new one gets the next of its component.
    fn number(&self, component: &str, wanted: &str) -> i64 {
        let records = || self.observed.children.iter().filter(|child| kind(child) == "ControllerRevision" && is_component(child, component));
        let own = records().find(|child| name(child) == wanted).map(revision_number);
        own.unwrap_or_else(|| records().map(revision_number).max().unwrap_or(0).saturating_add(1))
    }

    /// The records of revisions that have pods.
    fn alive(&self) -> impl Iterator<Item = Record> {
        let waits = self.observed.records().into_iter().filter(|record| self.fate_of(&record.reference.revision) == Some(Fate::Waits));
        self.records.values().cloned().chain(waits)
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
            // A spec that cannot be read stops no evaluator that is there.
            None if is_component(child, EVALUATOR) && self.collection.is_none() && self.deployment.spec.outcomes.is_some() => false,
            // What was collected stays: nobody loses records by an edit of the spec. The volume goes with the ModelDeployment.
            None => kind(child) != "PersistentVolumeClaim" && (kind(child) != "ConfigMap" || self.routes.is_some()),
        }
    }
}

fn revision_number(object: &Value) -> i64 {
    object.get("revision").and_then(Value::as_i64).unwrap_or(0)
}

fn delete(child: &Value) -> Option<Change> {
    let uid = child.pointer("/metadata/uid").and_then(Value::as_str)?;
    Some(Change::Delete(Reference { kind: kind(child).to_owned(), name: name(child).to_owned(), uid: uid.to_owned() }))
}
