//! What a plan wants written: plain data, in the order in which it is to happen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::subset::contains;

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Makes the object have these fields (server-side apply); other fields are left alone.
    Apply(Value),
    /// Makes the object once. One that is there already is left as it is, when it was made for the same owner.
    Create(Value),
    /// Removes the object with this UID.
    Delete(Reference),
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its kind; one that `kube_io` knows.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID: another object of the same name is not removed.
    pub uid: String,
}

/// The writes that make live objects contain the desired fields; none when they do. Foreign edits of those fields are undone.
pub fn needed(desired: &[Value], live: &[Value]) -> Vec<Change> {
    desired.iter().filter(|want| !live.iter().any(|have| same_object(want, have) && contains(have, want))).cloned().map(Change::Apply).collect()
}

/// Whether both are the same object: kind and name.
pub fn same_object(a: &Value, b: &Value) -> bool {
    let identity = |value: &Value| (value.get("kind").cloned(), value.pointer("/metadata/name").cloned());
    identity(a) == identity(b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn i8_only_what_differs_is_written() {
        let object = |name: &str, replicas: i32| json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas}});
        let desired = [object("a", 1), object("b", 1), object("c", 1)];
        let service = json!({"kind": "Service", "metadata": {"name": "c"}, "spec": {"replicas": 1}});
        let live = [object("a", 1), object("b", 2), service];
        assert_eq!(needed(&desired, &live), [Change::Apply(desired[1].clone()), Change::Apply(desired[2].clone())]);
    }
}
