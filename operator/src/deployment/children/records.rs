//! Rendered templates, kept in ControllerRevisions: the API server lets nobody change their data.

use plimsoll_crds::names::{self, LABEL_REVISION};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::{MODEL_SERVER, Owner, is_component, label, with};
use super::model::revision_labels;
use crate::deployment::revision::{Record, short_hash};

/// The template of the routers, or of the evaluator, as it was rendered once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedTemplate {
    /// The fields of the spec that change a pod. As long as they stay equal, the template stays.
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

/// The ControllerRevision of the routers' or the evaluator's template.
pub fn template_record(owner: &Owner, component: &str, record: &PinnedTemplate, number: i64) -> Value {
    let object = owner.child("apps/v1", "ControllerRevision", &template_name(owner, component, record), &owner.labels(component));
    with(object, json!({"revision": number, "data": record}))
}

/// Its name: `<deployment>-<component>-<hash>`.
pub fn template_name(owner: &Owner, component: &str, record: &PinnedTemplate) -> String {
    names::revision_child(&names::revision_child(&owner.name, component), &short_hash(&json!(record)))
}

/// Reads the record of a revision; `None` for what is none, or is not filed under its own revision.
pub fn read_model_record(object: &Value) -> Option<Record> {
    let record: Record = is_component(object, MODEL_SERVER).then(|| serde_json::from_value(object.get("data")?.clone()).ok())??;
    (label(object, LABEL_REVISION) == Some(record.reference.revision.as_str())).then_some(record)
}

/// Reads the record of that component's template.
pub fn read_template_record(object: &Value, component: &str) -> Option<PinnedTemplate> {
    is_component(object, component).then(|| serde_json::from_value(object.get("data")?.clone()).ok())?
}
