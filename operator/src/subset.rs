//! Whether a live object already has everything that is wanted of it: what decides that nothing needs to be written (I8).
//!
//! The API server fills in defaults and writes quantities in its own form; that is no difference. What a person changes in a
//! field that we want is one. This module must not know kinds.

use serde_json::{Map, Value};

/// Maps whose further entries change what the object does: a Service that selects by one label more selects other pods.
const EXACT_MAPS: [&str; 3] = ["selector", "matchLabels", "nodeSelector"];
/// Maps whose texts are quantities.
const QUANTITIES: [&str; 2] = ["requests", "limits"];
/// A field that is a quantity itself.
const QUANTITY: &str = "sizeLimit";

/// Whether every field of `want` is in `have` with the same value. Lists have the same length and order: an item that somebody
/// added is a difference.
pub fn contains(have: &Value, want: &Value) -> bool {
    within("", have, want)
}

/// `field` is where both values stand.
fn within(field: &str, have: &Value, want: &Value) -> bool {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            let exact = EXACT_MAPS.contains(&field) && is_flat(want) && have.len() != want.len();
            !exact && want.iter().all(|(key, want)| entry(field, key, have, want))
        }
        (Value::Array(have), Value::Array(want)) => have.len() == want.len() && have.iter().zip(want).all(|(have, want)| within(field, have, want)),
        (have, want) => have == want,
    }
}

fn entry(field: &str, key: &str, have: &Map<String, Value>, want: &Value) -> bool {
    let Some(have) = have.get(key) else { return is_empty(want) };
    if QUANTITIES.contains(&field) || key == QUANTITY {
        return have == want || quantity(have).is_some_and(|have| Some(have) == quantity(want));
    }
    within(key, have, want)
}

/// A map of texts: labels, as opposed to a selector with `matchLabels` inside.
fn is_flat(map: &Map<String, Value>) -> bool {
    map.values().all(Value::is_string)
}

/// The API server drops empty maps and lists, and what is null.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        other => other.is_null(),
    }
}

/// A quantity in thousandths.
fn quantity(value: &Value) -> Option<i128> {
    let text = value.as_str()?;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let thousandths: i128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        "Pi" => 1_000 << 50,
        "Ei" => 1_000 << 60,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    digits.checked_mul(thousandths)?.checked_div(scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What we want, as it is written.
    fn want() -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "a", "labels": {"l": "1"}, "ownerReferences": [{"uid": "u"}]},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "a"}},
                "template": {"spec": {
                    "nodeSelector": {"disk": "fast"}, "containers": [{"name": "c", "image": "i", "args": ["1"], "env": [], "resources": {"requests": {"cpu": "0.5"}, "limits": {"memory": "1Gi"}}}],
                    "volumes": [{"name": "s", "emptyDir": {"sizeLimit": "1024Mi"}}]
                }}
            }
        })
    }

    /// The same, as the API server gives it back.
    fn have() -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "a", "uid": "1", "labels": {"l": "1", "more": "2"}, "ownerReferences": [{"uid": "u"}], "managedFields": []},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "revisionHistoryLimit": 10,
                "template": {"spec": {
                    "dnsPolicy": "ClusterFirst", "nodeSelector": {"disk": "fast"},
                    "containers": [{"name": "c", "image": "i", "args": ["1"], "terminationMessagePath": "/dev/termination-log", "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}}],
                    "volumes": [{"name": "s", "emptyDir": {"sizeLimit": "1Gi"}}]
                }}
            },
            "status": {"replicas": 2}
        })
    }

    #[test]
    fn i8_what_the_api_server_adds_is_no_difference() {
        assert!(contains(&have(), &want()));
    }

    #[test]
    fn what_a_person_changes_is_a_difference() {
        let container = "/spec/template/spec/containers/0";
        let table = [
            ("/spec/replicas".to_owned(), json!(0)),
            ("/metadata/labels/l".to_owned(), json!("2")),
            ("/metadata/ownerReferences".to_owned(), json!([])),
            ("/spec/selector/matchLabels".to_owned(), json!({"app": "a", "more": "1"})),
            ("/spec/template/spec/nodeSelector".to_owned(), json!({"disk": "fast", "more": "1"})),
            ("/spec/template/spec/volumes/0/emptyDir/sizeLimit".to_owned(), json!("2Gi")),
            ("/spec/template/spec/containers".to_owned(), json!([{"name": "c"}, {"name": "sidecar"}])),
            (format!("{container}/image"), json!("j")),
            (format!("{container}/args"), json!(["1", "2"])),
            (format!("{container}/args"), json!(["1000m"])),
            (format!("{container}/resources/requests/cpu"), json!("600m")),
            (format!("{container}/resources/limits"), json!({})),
        ];
        for (pointer, value) in table {
            let mut edited = have();
            *edited.pointer_mut(&pointer).unwrap() = value.clone();
            assert!(!contains(&edited, &want()), "{pointer} = {value}");
        }
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for (a, b) in [("1", "1000m"), ("1Gi", "1024Mi"), ("0.5", "500m"), ("1.5Gi", "1536Mi"), ("1Pi", "1024Ti"), ("2E", "2000P")] {
            assert_eq!(quantity(&json!(a)), quantity(&json!(b)), "{a} {b}");
            assert!(quantity(&json!(a)).is_some(), "{a}");
        }
        for text in ["", "abc", "1x", "Mi", "1.2.3"] {
            assert_eq!(quantity(&json!(text)), None, "{text}");
        }
    }
}
