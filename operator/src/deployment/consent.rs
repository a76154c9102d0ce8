//! The gatekeepers' word, as a rollout needs it. What it says is checked by [`crate::approval`]; here it is bound to the bytes of a candidate.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelVersion;
use plimsoll_crds::model_deployment::RevisionReference;

use super::observed::Observed;
use super::resolve::find;
use super::rollout::Approval;
use crate::approval::{Standing, standing};

/// Answers questions about approvals at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    observed: &'a Observed,
    now: Timestamp,
}

impl<'a> Consent<'a> {
    /// The approvals that were read, at `now`.
    pub fn new(observed: &'a Observed, now: Timestamp) -> Self {
        Self { observed, now }
    }

    /// Whether this version may get traffic.
    pub fn of(&self, version: &ModelVersion) -> Approval {
        match standing(version, &self.observed.approvals, !self.observed.approval_required, self.now) {
            Standing::Approved { .. } | Standing::NotRequired => Approval::Granted,
            Standing::Rejected { by, why } => Approval::Rejected(format!("{by} rejected it: {why}")),
            Standing::Waiting { why } => Approval::Missing(why),
        }
    }

    /// Whether this candidate may get more traffic: its version must still be there, with the very digest that its pods check (I4).
    pub fn of_candidate(&self, candidate: &RevisionReference) -> Approval {
        match find(&self.observed.versions, &candidate.model_version) {
            None => Approval::Missing(format!("the ModelVersion {} is gone: nobody can vouch for its bytes", candidate.model_version)),
            Some(version) if version.spec.digest != candidate.digest => {
                Approval::Missing(format!("the ModelVersion {} has another digest now, {}", candidate.model_version, version.spec.digest))
            }
            Some(version) => self.of(version),
        }
    }
}
