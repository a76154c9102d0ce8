//! Names, labels and owners of children.

use plimsoll_crds::names::{self, LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_MANAGED_BY, LABEL_NAME, PLIMSOLL};
use serde_json::{Value, json};

/// The component label of model pods and their objects.
pub const MODEL_SERVER: &str = "model-server";
/// The component label of routers and their objects.
pub const ROUTER: &str = "router";
/// The component label of the evaluator and its objects.
pub const EVALUATOR: &str = "evaluator";

/// The ModelDeployment that owns the children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
}

impl Owner {
    /// A child without its content.
    pub fn child(&self, api_version: &str, kind: &str, name: &str, labels: &Value) -> Value {
        json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": labels,
                "ownerReferences": [{
                    "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
                    "kind": "ModelDeployment",
                    "name": self.name,
                    "uid": self.uid,
                    "controller": true,
                }],
            },
        })
    }

    /// The labels of everything that belongs to one component.
    pub fn labels(&self, component: &str) -> Value {
        json!({
            LABEL_NAME: PLIMSOLL,
            LABEL_COMPONENT: component,
            LABEL_MANAGED_BY: PLIMSOLL,
            LABEL_DEPLOYMENT: self.name,
        })
    }

    /// What selects the pods of one component.
    pub fn selector(&self, component: &str) -> Value {
        json!({LABEL_COMPONENT: component, LABEL_DEPLOYMENT: self.name})
    }
}

/// Adds fields to an object.
pub(super) fn with(mut object: Value, fields: Value) -> Value {
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

/// An object's kind.
pub fn kind(object: &Value) -> &str {
    object.pointer("/kind").and_then(Value::as_str).unwrap_or_default()
}

/// An object's name.
pub fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The value of a label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// Whether the object belongs to that component.
pub fn is_component(object: &Value, component: &str) -> bool {
    label(object, LABEL_COMPONENT) == Some(component)
}
