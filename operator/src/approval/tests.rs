use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn version() -> ModelVersion {
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": "m-aaaaaaaaaa"},
        "spec": {
            "model": "m", "digest": DIGEST, "contentDigest": OTHER, "uri": "s3://m/a", "signature": {"inputs": [], "outputs": []},
            "metrics": {}, "report": {"uri": "s3://m/r", "digest": DIGEST}, "dataDigests": {}, "window": {"from": "2013-01-01", "to": "2013-02-01"},
            "trainingJob": {"name": "t", "uid": "u"}, "author": "ann", "softwareVersion": "0"
        }
    }))
    .unwrap()
}

fn approval(change: serde_json::Value) -> ModelApproval {
    let mut spec = json!({"modelVersion": "m-aaaaaaaaaa", "digest": DIGEST, "decision": "Approved", "approver": "gil", "reason": "good"});
    for (key, value) in change.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelApproval", "metadata": {"name": "x"}, "spec": spec})).unwrap()
}

#[test]
fn i2_only_a_standing_word_of_somebody_else_about_these_bytes_allows() {
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let good = json!({});
    let rejected = json!({"decision": "Rejected"});
    let table = [
        ("nobody", vec![], false),
        ("the gatekeeper", vec![good.clone()], true),
        ("the author", vec![json!({"approver": "ann"})], false),
        ("other bytes", vec![json!({"digest": OTHER})], false),
        ("another version", vec![json!({"modelVersion": "m-bbbbbbbbbb"})], false),
        ("another report", vec![json!({"reportDigest": OTHER})], false),
        ("this report", vec![json!({"reportDigest": DIGEST})], true),
        ("expired", vec![json!({"expiresAt": "2026-01-01T00:00:00Z"})], false),
        ("not expired", vec![json!({"expiresAt": "2026-01-03T00:00:00Z"})], true),
        ("rejected", vec![rejected.clone()], false),
        ("a rejection wins", vec![good.clone(), rejected.clone()], false),
        ("a rejection of other bytes does not", vec![good.clone(), json!({"decision": "Rejected", "digest": OTHER})], true),
        ("one of two holds", vec![json!({"approver": "ann"}), good.clone()], true),
    ];
    for (what, approvals, allowed) in table {
        let approvals: Vec<_> = approvals.into_iter().map(approval).collect();
        let standing = standing(&version(), &approvals, false, now);
        assert_eq!(standing.allows(), allowed, "{what}: {standing:?}");
    }
}

#[test]
fn an_optional_namespace_needs_none_but_a_rejection_still_wins() {
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(standing(&version(), &[], true, now), Standing::NotRequired);
    assert!(!standing(&version(), &[approval(json!({"decision": "Rejected"}))], true, now).allows());
}
