//! Rendered templates, kept in ControllerRevisions: the API server lets nobody change their data.

use plimsoll_crds::names::{self, LABEL_REVISION};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::{MODEL_SERVER, Owner, ROUTER, is_component, label, with};
use super::model::revision_labels;
use crate::deployment::revision::{Record, short_hash};

/// The routers' template, as it was rendered once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterRecord {
    /// The fields of the spec that change a router pod. As long as they stay equal, the template stays.
    pub request: Value,
    /// The pod template.
    pub template: Value,
}

/// The ControllerRevision of a revision. `number` tells people in which order revisions were made.
pub fn model_record(owner: &Owner, record: &Record, number: i64) -> Value {
    let revision = &record.reference.revision;
    let object = owner.child("apps/v1", "ControllerRevision", &names::revision_child(&owner.name, revision), &revision_labels(owner, revision));
    with(object, json!({"revision": number, "data": record}))
}

/// The ControllerRevision of the routers' template.
pub fn router_record(owner: &Owner, record: &RouterRecord, number: i64) -> Value {
    let hash = short_hash(&json!(record));
    let object = owner.child("apps/v1", "ControllerRevision", &names::revision_child(&names::router(&owner.name), &hash), &owner.labels(ROUTER));
    with(object, json!({"revision": number, "data": record}))
}

/// Reads the record of a revision; `None` for what is none, or is not filed under its own revision.
pub fn read_model_record(object: &Value) -> Option<Record> {
    let record: Record = is_component(object, MODEL_SERVER).then(|| serde_json::from_value(object.get("data")?.clone()).ok())??;
    (label(object, LABEL_REVISION) == Some(record.reference.revision.as_str())).then_some(record)
}

/// Reads the record of the routers' template.
pub fn read_router_record(object: &Value) -> Option<RouterRecord> {
    is_component(object, ROUTER).then(|| serde_json::from_value(object.get("data")?.clone()).ok())?
}
