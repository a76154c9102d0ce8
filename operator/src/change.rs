//! What a plan wants written: plain data, in the order in which it is to happen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// Whether every field of `want` is in `have` with the same value. Lists must have the same length and order; quantities are
/// compared by value, because the API server writes them in its own form.
pub fn contains(have: &Value, want: &Value) -> bool {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            want.iter().all(|(key, want)| have.get(key).map_or_else(|| is_empty(want), |have| contains(have, want)))
        }
        (Value::Array(have), Value::Array(want)) => have.len() == want.len() && have.iter().zip(want).all(|(have, want)| contains(have, want)),
        (Value::String(have), Value::String(want)) => have == want || quantity(have).is_some_and(|have| Some(have) == quantity(want)),
        (have, want) => have == want,
    }
}

/// The API server drops empty maps and lists.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        other => other.is_null(),
    }
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let thousandths: i128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    digits.checked_mul(thousandths)?.checked_div(scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_adds_is_no_difference_and_what_people_change_is() {
        let want = json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 2, "cpu": "0.5", "args": ["x"], "empty": {}}});
        let have = json!({"kind": "Deployment", "metadata": {"name": "a", "uid": "1"}, "spec": {"replicas": 2, "cpu": "500m", "args": ["x"], "more": 1}});
        assert!(contains(&have, &want));
        assert_eq!(needed(std::slice::from_ref(&want), std::slice::from_ref(&have)), []);
        for (pointer, value) in [("/spec/replicas", json!(0)), ("/spec/args", json!(["x", "y"])), ("/spec/cpu", json!("600m"))] {
            let mut edited = have.clone();
            *edited.pointer_mut(pointer).unwrap() = value;
            assert_eq!(needed(std::slice::from_ref(&want), &[edited]).len(), 1, "{pointer}");
        }
        assert_eq!(needed(std::slice::from_ref(&want), &[]).len(), 1);
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for (a, b) in [("1", "1000m"), ("1Gi", "1024Mi"), ("0.5", "500m"), ("1.5Gi", "1536Mi")] {
            assert_eq!(quantity(a), quantity(b), "{a} {b}");
        }
        for text in ["", "abc", "1x", "Mi"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
