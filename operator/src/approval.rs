//! Whether a model may have live traffic: the gatekeepers' standing word on one ModelVersion.
//!
//! Admission policies say who may write an approval; everything that an approval says is checked here again, so that one
//! which slipped in while the policies were away moves nothing. This module must not know rollouts.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use plimsoll_crds::model_approval::Decision;
use plimsoll_crds::{ModelApproval, ModelVersion, names};

/// The gatekeepers' standing word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody else than the author approved these bytes.
    Approved {
        /// Who.
        by: String,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Somebody rejected these bytes; it wins over every approval.
    Rejected {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Nobody has decided yet, or what was decided does not hold.
    Waiting {
        /// Why, and what to do.
        why: String,
    },
    /// The namespace asks for none.
    NotRequired,
}

impl Standing {
    /// Whether a candidate's weight may rise.
    pub fn allows(&self) -> bool {
        matches!(self, Self::Approved { .. } | Self::NotRequired)
    }
}

/// The standing word on `version`. `optional` = the namespace's label `plimsoll.dev/approval` is `optional`.
pub fn standing(version: &ModelVersion, approvals: &[ModelApproval], optional: bool, now: Timestamp) -> Standing {
    let name = version.name_any();
    let mine: Vec<&ModelApproval> = approvals.iter().filter(|approval| approval.spec.model_version == name).collect();
    if let Some(rejection) = mine.iter().find(|a| a.spec.decision == Decision::Rejected && a.spec.digest == version.spec.digest) {
        return Standing::Rejected { by: rejection.spec.approver.clone(), why: rejection.spec.reason.clone() };
    }
    let mut refused = Vec::new();
    for approval in mine.iter().filter(|approval| approval.spec.decision == Decision::Approved) {
        match objection(version, approval, now) {
            None => return Standing::Approved { by: approval.spec.approver.clone(), until: approval.spec.expires_at.as_ref().map(|time| time.0) },
            Some(objection) => refused.push(format!("{} {objection}", approval.name_any())),
        }
    }
    if optional {
        return Standing::NotRequired;
    }
    let why = if refused.is_empty() {
        format!("{name} waits for a ModelApproval with digest {} by somebody else than its author {}", version.spec.digest, version.spec.author)
    } else {
        format!("no approval of {name} holds: {}", refused.join("; "))
    };
    Standing::Waiting { why }
}

/// What is wrong with an approval.
fn objection(version: &ModelVersion, approval: &ModelApproval, now: Timestamp) -> Option<String> {
    let spec = &approval.spec;
    if approval.metadata.deletion_timestamp.is_some() {
        return Some("was taken back".to_owned());
    }
    // Admission cannot ask whether the version exists while others do.
    if approval.creation_timestamp().zip(version.creation_timestamp()).is_some_and(|(approved, made)| approved < made) {
        return Some("is older than the model: nobody had seen it".to_owned());
    }
    if spec.digest != version.spec.digest {
        return Some(format!("is about {}, not about {}", spec.digest, version.spec.digest));
    }
    if spec.report_digest.as_ref().is_some_and(|digest| *digest != version.spec.report.digest) {
        return Some("is about another report".to_owned());
    }
    if spec.approver == version.spec.author && spec.approver != names::UNKNOWN_AUTHOR {
        return Some(format!("is by {}, who trained the model", spec.approver));
    }
    spec.expires_at.as_ref().filter(|end| end.0 <= now).map(|end| format!("expired at {}", end.0))
}

#[cfg(test)]
pub(crate) mod tests;
