//! Which version the spec asks for: a named one, or `Latest`.
//!
//! `Latest` is the newest approved version by creation, and never one older than what serves. A candidate under way stays
//! eligible although its approval has ended (its weight will not rise, but it is not thrown away either); a rejected one does not.
//! This module must not know runtimes, pods or rollouts.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelVersion;
use plimsoll_crds::model_deployment::{LATEST, ModelReference};

/// What the spec's model reference leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolution<'a> {
    /// This version.
    Version(&'a ModelVersion),
    /// What serves now: nothing newer is approved, and its own object is gone.
    WhatServes,
    /// `Latest` of a line that has no approved version yet.
    NoApprovedVersion,
    /// A version that does not exist.
    UnknownVersion,
    /// A version of another line of models.
    OtherModel,
}

/// What serves now, as far as `Latest` cares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor<'a> {
    /// The stable version's name.
    pub version: Option<&'a str>,
    /// When that version was created.
    pub created: Option<Timestamp>,
}

/// Resolves `wanted`. `eligible` tells which versions `Latest` may choose.
pub fn resolve<'a>(wanted: &ModelReference, versions: &'a [ModelVersion], floor: Floor<'_>, eligible: impl Fn(&ModelVersion) -> bool) -> Resolution<'a> {
    if wanted.version != LATEST {
        return named(wanted, versions);
    }
    let newest = versions
        .iter()
        .filter(|version| version.spec.model == wanted.name)
        .filter(|version| name(version) == floor.version || eligible(version))
        .filter(|version| floor.created.is_none_or(|floor| created(version).is_some_and(|at| at >= floor)))
        .max_by_key(|version| (created(version), name(version)));
    match (newest, floor.version) {
        (Some(version), _) => Resolution::Version(version),
        (None, Some(_)) => Resolution::WhatServes,
        (None, None) => Resolution::NoApprovedVersion,
    }
}

fn named<'a>(wanted: &ModelReference, versions: &'a [ModelVersion]) -> Resolution<'a> {
    match find(versions, &wanted.version) {
        None => Resolution::UnknownVersion,
        Some(version) if version.spec.model != wanted.name => Resolution::OtherModel,
        Some(version) => Resolution::Version(version),
    }
}

/// The version of that name.
pub fn find<'a>(versions: &'a [ModelVersion], wanted: &str) -> Option<&'a ModelVersion> {
    versions.iter().find(|version| name(version) == Some(wanted))
}

/// A version's name.
pub fn name(version: &ModelVersion) -> Option<&str> {
    version.metadata.name.as_deref()
}

/// When a version was created.
pub fn created(version: &ModelVersion) -> Option<Timestamp> {
    version.metadata.creation_timestamp.as_ref().map(|time| time.0)
}
