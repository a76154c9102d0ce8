//! Who is judged, against whom, and since when each one's counts count: read off the status, so that a restart changes nothing.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_deployment::ModelDeploymentStatus;

/// The counts of one revision since a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The revision.
    pub revision: String,
    /// Counts start here.
    pub since: Timestamp,
}

/// A revision beside the one that was trusted before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The revision that is judged.
    pub candidate: Window,
    /// The revision that it is compared with. Once the candidate has all of the traffic nothing new is counted here: what is compared
    /// then is what it did when it last had some.
    pub stable: Window,
}

impl Comparison {
    /// In a rollout the candidate beside the stable revision; after a promotion the new stable revision beside its predecessor, for as
    /// long as that is kept warm.
    pub fn of(status: &ModelDeploymentStatus) -> Option<Self> {
        let window = |revision: &str, since: Timestamp| Window { revision: revision.to_owned(), since };
        let stable = status.stable.as_ref()?;
        match (&status.candidate, &status.previous) {
            (Some(candidate), _) => {
                let since = candidate.step_started_at.0;
                let baseline = candidate.baseline_since.as_ref().map_or(since, |since| since.0);
                Some(Self { candidate: window(&candidate.reference.revision, since), stable: window(&stable.reference.revision, baseline) })
            }
            (None, Some(previous)) => {
                let baseline = previous.baseline_since.as_ref().unwrap_or(&previous.since).0;
                Some(Self { candidate: window(&stable.reference.revision, stable.since.0), stable: window(&previous.reference.revision, baseline) })
            }
            (None, None) => None,
        }
    }
}
