//! What the spec asks for, compared with what runs: the [`Wish`] that the phase table answers.
//!
//! **Invariant (I11):** what runs is compared by its recorded request, so that neither a new image nor a vanished runtime entry moves anything.

use std::fmt;

use plimsoll_crds::ModelDeployment;
use plimsoll_crds::model_deployment::{ModelDeploymentStatus, RevisionReference};

use super::consent::Consent;
use super::observed::{Observed, Settings};
use super::resolve::{Floor, Resolution, name, resolve};
use super::revision::{Desired, Record, Request, Serving};
use super::rollout::{Approval, Wish, is_blocked};
use super::rules::Rules;
use crate::experiment::is_left_to_a_test;

/// How many versions are shown to somebody who names one that does not exist.
const SHOWN: usize = 5;

/// Why nothing can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `Latest`, and no version of the line is approved.
    NoApprovedVersion,
    /// No such ModelVersion.
    UnknownVersion {
        /// What the spec names.
        name: String,
        /// The newest versions of the line.
        known: String,
    },
    /// The ModelVersion belongs to another line.
    OtherModel {
        /// What the spec names.
        name: String,
        /// The line that the spec names.
        line: String,
    },
    /// The model has no input of that name.
    UnknownColumn {
        /// What the spec names.
        name: String,
        /// The version that lacks it.
        version: String,
        /// The inputs that it has.
        known: String,
    },
    /// The administrator's list has no such runtime.
    UnknownRuntime {
        /// What the spec names.
        name: String,
        /// The list.
        known: String,
    },
}

impl Problem {
    /// The reason of conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoApprovedVersion => "NoApprovedVersion",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::OtherModel { .. } => "OtherModel",
            Self::UnknownColumn { .. } => "UnknownColumn",
            Self::UnknownRuntime { .. } => "UnknownRuntime",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoApprovedVersion => formatter.write_str("no version of this model is approved yet"),
            Self::UnknownVersion { name, known } => write!(formatter, "spec.model.version: there is no ModelVersion {name:?}; there are: {known}"),
            Self::OtherModel { name, line } => {
                write!(formatter, "spec.model.version: {name:?} is no version of the model {line:?} that spec.model.name asks for")
            }
            Self::UnknownColumn { name, version, known } => {
                write!(formatter, "spec.predictionLog.columns: {version} has no input {name:?}; its inputs are: {known}")
            }
            Self::UnknownRuntime { name, known } => {
                write!(formatter, "spec.predictor.runtime: {name:?} is not in the administrator's list (chart value runtimes), which has: {known}")
            }
        }
    }
}

/// What the spec asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The request, when the version is known.
    pub request: Option<Request>,
    /// The revision that would be started, when its runtime is known too.
    pub desired: Option<Desired>,
    /// Why there is none.
    pub problem: Option<Problem>,
    /// Whether the gatekeeper rejected it.
    pub rejected: Option<String>,
}

/// Reads the wish out of spec and versions.
pub fn wanted(deployment: &ModelDeployment, observed: &Observed, settings: &Settings, consent: &Consent<'_>) -> Wanted {
    let status = deployment.status.clone().unwrap_or_default();
    let records = observed.records();
    let floor = floor(&status, &records, observed);
    let candidate = status.candidate.as_ref().map(|candidate| candidate.reference.model_version.as_str());
    let left_to_a_test = |version: &plimsoll_crds::ModelVersion| {
        name(version).is_some_and(|name| candidate != Some(name) && is_left_to_a_test(name, deployment, &observed.tests))
    };
    let eligible = |version: &plimsoll_crds::ModelVersion| match consent.of(version) {
        Approval::Granted => !left_to_a_test(version),
        Approval::Missing(_) => status.candidate.as_ref().is_some_and(|candidate| name(version) == Some(&candidate.reference.model_version)),
        Approval::Rejected(_) => false,
    };
    let version = match resolve(&deployment.spec.model, &observed.versions, floor, eligible) {
        Resolution::Version(version) => version,
        Resolution::WhatServes => return what_serves(&status, &records),
        Resolution::NoApprovedVersion => return Wanted { problem: Some(Problem::NoApprovedVersion), ..Wanted::default() },
        Resolution::UnknownVersion => return Wanted { problem: Some(unknown_version(deployment, observed)), ..Wanted::default() },
        Resolution::OtherModel => {
            let model = &deployment.spec.model;
            return Wanted { problem: Some(Problem::OtherModel { name: model.version.clone(), line: model.name.clone() }), ..Wanted::default() };
        }
    };
    let serving = Serving::of(&deployment.spec);
    let runtime = &serving.predictor.runtime;
    let unknown_runtime = || Problem::UnknownRuntime { name: runtime.clone(), known: listed(settings.runtimes.keys().cloned()) };
    let problem = unknown_column(version, &serving);
    let image = settings.runtimes.get(runtime).filter(|_| problem.is_none());
    let rejected = match consent.of(version) {
        Approval::Rejected(why) => Some(why),
        Approval::Granted | Approval::Missing(_) => None,
    };
    Wanted {
        request: Some(Request::new(version, &serving)),
        desired: image.map(|image| Desired::new(version, &serving, image)),
        problem: problem.or_else(|| image.is_none().then(unknown_runtime)),
        rejected,
    }
}

/// The first input that the spec wants kept, and the version does not have.
pub fn unknown_column(version: &plimsoll_crds::ModelVersion, serving: &Serving<'_>) -> Option<Problem> {
    let inputs = &version.spec.signature.inputs;
    let unknown = serving.log.iter().flat_map(|log| &log.columns).find(|column| inputs.iter().all(|input| input.name != **column))?;
    let known = inputs.iter().map(|input| input.name.clone());
    Some(Problem::UnknownColumn { name: unknown.clone(), version: name(version).unwrap_or_default().to_owned(), known: listed(known) })
}

fn unknown_version(deployment: &ModelDeployment, observed: &Observed) -> Problem {
    let model = &deployment.spec.model;
    let mut known: Vec<_> = observed.versions.iter().filter(|version| version.spec.model == model.name).collect();
    known.sort_by_key(|version| std::cmp::Reverse(super::resolve::created(version)));
    Problem::UnknownVersion { name: model.version.clone(), known: listed(known.into_iter().filter_map(name).take(SHOWN).map(str::to_owned)) }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn floor<'a>(status: &'a ModelDeploymentStatus, records: &[Record], observed: &Observed) -> Floor<'a> {
    let Some(stable) = &status.stable else { return Floor::default() };
    let version = stable.reference.model_version.as_str();
    let recorded = find(records, &stable.reference).and_then(|record| record.version_created);
    let created = super::resolve::find(&observed.versions, version).and_then(super::resolve::created).or(recorded);
    Floor { version: Some(version), created }
}

fn what_serves(status: &ModelDeploymentStatus, records: &[Record]) -> Wanted {
    let record = status.stable.as_ref().and_then(|stable| find(records, &stable.reference));
    Wanted { request: record.map(|record| record.request.clone()), ..Wanted::default() }
}

/// The record of a revision.
pub fn find<'a>(records: &'a [Record], reference: &RevisionReference) -> Option<&'a Record> {
    records.iter().find(|record| record.reference.revision == reference.revision)
}

impl Wanted {
    /// The wish, compared with `status`.
    pub fn wish(&self, status: &ModelDeploymentStatus, records: &[Record], rules: &Rules) -> Wish {
        let is = |reference: Option<&RevisionReference>| reference.is_some_and(|reference| self.is(reference, records));
        if is(status.stable.as_ref().map(|stable| &stable.reference)) {
            return Wish::Stable;
        }
        if is(status.candidate.as_ref().map(|candidate| &candidate.reference)) {
            return Wish::Candidate;
        }
        if self.rejected.is_some() {
            return Wish::Rejected;
        }
        if is(status.previous.as_ref().map(|previous| &previous.reference)) {
            return Wish::Previous;
        }
        match &self.desired {
            None => Wish::Unresolved,
            Some(desired) if is_blocked(&status.blocked, &desired.reference, &rules.checks).is_some() => Wish::Blocked,
            Some(_) => Wish::New,
        }
    }

    fn is(&self, reference: &RevisionReference, records: &[Record]) -> bool {
        let same_request = match (&self.request, find(records, reference)) {
            (Some(request), Some(record)) => *request == record.request,
            (Some(_) | None, Some(_) | None) => false,
        };
        same_request || self.desired.as_ref().is_some_and(|desired| desired.reference.revision == reference.revision)
    }
}
