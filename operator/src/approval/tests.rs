//! Who may let a model into live traffic, case by case.

use serde_json::{Value, json};

use super::*;
use fixtures::{DIGEST, OTHER, approval, version};

pub mod fixtures {
    use super::*;

    pub const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    pub const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// Trained by ann.
    pub fn version() -> ModelVersion {
        serde_json::from_value(json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": "m-aaaaaaaaaa", "generation": 1},
            "spec": {
                "model": "m", "digest": DIGEST, "contentDigest": OTHER, "uri": "s3://m/a", "signature": {"inputs": [], "outputs": []},
                "metrics": {}, "report": {"uri": "s3://m/r", "digest": DIGEST}, "dataDigests": {}, "window": {"from": "2013-01-01", "to": "2013-02-01"},
                "trainingJob": {"name": "t", "uid": "u"}, "author": "ann", "softwareVersion": "0"
            }
        }))
        .unwrap()
    }

    /// By gil, with these fields instead.
    pub fn approval(change: Value) -> ModelApproval {
        let mut spec = json!({"modelVersion": "m-aaaaaaaaaa", "digest": DIGEST, "decision": "Approved", "approver": "gil", "reason": "good"});
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelApproval", "metadata": {"name": "x"}, "spec": spec})).unwrap()
    }
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Approved { .. } => "approved",
        Standing::Rejected { .. } => "rejected",
        Standing::Waiting { .. } => "waiting",
        Standing::NotRequired => "not required",
    }
}

#[test]
fn i2_only_a_standing_word_of_somebody_else_about_these_bytes_allows() {
    let good = || json!({});
    let rejected = || json!({"decision": "Rejected"});
    let table = [
        // who
        ("nobody", vec![], "waiting"),
        ("the gatekeeper", vec![good()], "approved"),
        ("the author", vec![json!({"approver": "ann"})], "waiting"),
        ("the author's name in capitals is somebody else", vec![json!({"approver": "Ann"})], "approved"),
        ("the author and the gatekeeper", vec![json!({"approver": "ann"}), good()], "approved"),
        ("the gatekeeper and the author", vec![good(), json!({"approver": "ann"})], "approved"),
        // about what
        ("other bytes", vec![json!({"digest": OTHER})], "waiting"),
        ("another version", vec![json!({"modelVersion": "m-bbbbbbbbbb"})], "waiting"),
        ("another version with these bytes", vec![json!({"modelVersion": "n-aaaaaaaaaa"})], "waiting"),
        ("another report", vec![json!({"reportDigest": OTHER})], "waiting"),
        ("this report", vec![json!({"reportDigest": DIGEST})], "approved"),
        ("other bytes and this report", vec![json!({"digest": OTHER, "reportDigest": DIGEST})], "waiting"),
        // until when
        ("expired", vec![json!({"expiresAt": "2026-01-01T00:00:00Z"})], "waiting"),
        ("expires this very moment", vec![json!({"expiresAt": "2026-01-02T00:00:00Z"})], "waiting"),
        ("expires in a second", vec![json!({"expiresAt": "2026-01-02T00:00:01Z"})], "approved"),
        ("one of two has expired", vec![json!({"expiresAt": "2026-01-01T00:00:00Z"}), good()], "approved"),
        // rejections
        ("rejected", vec![rejected()], "rejected"),
        ("a rejection wins", vec![good(), rejected()], "rejected"),
        ("a rejection wins in any order", vec![rejected(), good()], "rejected"),
        ("a rejection wins over two approvals", vec![good(), json!({"approver": "may"}), rejected()], "rejected"),
        ("a rejection by the author counts", vec![good(), json!({"decision": "Rejected", "approver": "ann"})], "rejected"),
        ("a rejection does not expire", vec![good(), json!({"decision": "Rejected", "expiresAt": "2026-01-01T00:00:00Z"})], "rejected"),
        ("a rejection of other bytes does not count", vec![good(), json!({"decision": "Rejected", "digest": OTHER})], "approved"),
        ("a rejection of another version does not count", vec![good(), json!({"decision": "Rejected", "modelVersion": "m-bbbbbbbbbb"})], "approved"),
    ];
    for (what, approvals, expected) in table {
        let approvals: Vec<_> = approvals.into_iter().map(approval).collect();
        let standing = standing(&version(), &approvals, false, now());
        assert_eq!(word(&standing), expected, "{what}: {standing:?}");
        assert_eq!(standing.allows(), expected == "approved", "{what}");
    }
}

#[test]
fn an_approval_that_is_taken_back_no_longer_holds_although_a_finalizer_keeps_it() {
    let mut taken_back = approval(json!({}));
    taken_back.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert_eq!(word(&standing(&version(), &[taken_back], false, now())), "waiting");
}

#[test]
fn an_approval_from_before_the_model_was_there_does_not_hold() {
    let second = |second: i64| Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(second).unwrap()));
    let mut version = version();
    version.metadata.creation_timestamp = second(10);
    for (at, expected) in [(9, "waiting"), (10, "approved"), (11, "approved")] {
        let mut approval = approval(json!({}));
        approval.metadata.creation_timestamp = second(at);
        assert_eq!(word(&standing(&version, &[approval], false, now())), expected, "{at}");
    }
}

#[test]
fn an_optional_namespace_needs_none_but_a_rejection_still_wins() {
    assert_eq!(standing(&version(), &[], true, now()), Standing::NotRequired);
    assert_eq!(standing(&version(), &[approval(json!({"approver": "ann"}))], true, now()), Standing::NotRequired);
    assert_eq!(word(&standing(&version(), &[approval(json!({}))], true, now())), "approved");
    assert_eq!(word(&standing(&version(), &[approval(json!({"decision": "Rejected"}))], true, now())), "rejected");
}

#[test]
fn an_author_that_nobody_stamped_is_compared_with_nobody() {
    let mut version = version();
    version.spec.author = names::UNKNOWN_AUTHOR.to_owned();
    assert!(standing(&version, &[approval(json!({}))], false, now()).allows());
    assert!(standing(&version, &[approval(json!({"approver": "unknown"}))], false, now()).allows());
}

#[test]
fn who_waits_is_told_what_for() {
    let why = |approvals: &[ModelApproval]| match standing(&version(), approvals, false, now()) {
        Standing::Waiting { why } => why,
        other => panic!("{other:?}"),
    };
    assert!(why(&[]).contains(DIGEST) && why(&[]).contains("author ann"));
    let refused = [approval(json!({"approver": "ann"})), approval(json!({"digest": OTHER})), approval(json!({"expiresAt": "2026-01-01T00:00:00Z"}))];
    for part in ["x is by ann, who trained the model", &format!("x is about {OTHER}"), "x expired at 2026-01-01T00:00:00Z"] {
        assert!(why(&refused).contains(part), "{part}: {}", why(&refused));
    }
}
