//! Pairs of model content and server image that failed. They are not tried again by themselves (I10).
//!
//! A block is bound to the check that failed, as it was defined then: another definition lifts it, as do another model,
//! another image, and a fresh retry token.

use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::{Blocked, Check, RevisionReference};
use plimsoll_crds::names::ANNOTATION_RETRY;

use crate::deployment::revision::short_hash;

/// What a check is defined as.
pub fn check_hash(check: &Check) -> String {
    short_hash(&serde_json::to_value(check).unwrap_or_default())
}

/// The entry that keeps this pair from being tried.
pub fn is_blocked<'a>(blocked: &'a [Blocked], pair: &RevisionReference, checks: &[Check]) -> Option<&'a Blocked> {
    blocked.iter().find(|entry| concerns(entry, pair) && checks.iter().any(|check| check.name == entry.check && check_hash(check) == entry.check_hash))
}

/// The list without the entries about this pair.
pub fn lift(blocked: &[Blocked], pair: &RevisionReference) -> Vec<Blocked> {
    blocked.iter().filter(|entry| !concerns(entry, pair)).cloned().collect()
}

/// The retry token of the object.
pub fn retry_token(deployment: &ModelDeployment) -> Option<&str> {
    deployment.metadata.annotations.as_ref()?.get(ANNOTATION_RETRY).map(String::as_str)
}

fn concerns(entry: &Blocked, pair: &RevisionReference) -> bool {
    entry.content_digest == pair.content_digest && entry.runtime_digest == pair.runtime_digest
}
