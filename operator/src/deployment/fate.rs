//! What becomes of each revision: it serves, it is kept restorable with no pods, or it is deleted.
//!
//! **Invariant (I3):** what is stable, tried or kept warm keeps its pods. Anything else gives them up only after routers have reported
//! routes without it, and only while something that has traffic is ready. Pods then end after their own drain delay.

use std::collections::BTreeSet;

use plimsoll_crds::model_deployment::{ModelDeploymentStatus, RevisionReference};

/// What becomes of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has pods.
    Serves,
    /// It is left as it is until traffic has moved away for sure.
    Waits,
    /// It has no pods, and can be brought back.
    Kept,
    /// It is deleted.
    Goes,
}

/// The revisions that must have pods.
pub fn serving(status: &ModelDeploymentStatus) -> Vec<&RevisionReference> {
    let stable = status.stable.iter().map(|stable| &stable.reference);
    let candidate = status.candidate.iter().map(|candidate| &candidate.reference);
    let previous = status.previous.iter().map(|previous| &previous.reference);
    let tested = status.test.iter().flat_map(|test| &test.variants).map(|variant| &variant.reference);
    let mut seen = BTreeSet::new();
    stable.chain(candidate).chain(previous).chain(tested).filter(|reference| seen.insert(reference.revision.as_str())).collect()
}

/// The fate of `revision`. `traffic_moved` tells that routers run the wanted routes, and that what they lead to is ready.
pub fn fate(revision: &str, status: &ModelDeploymentStatus, keep: usize, traffic_moved: bool) -> Fate {
    if serving(status).iter().any(|reference| reference.revision == revision) {
        return Fate::Serves;
    }
    if !traffic_moved {
        return Fate::Waits;
    }
    if restorable(status, keep).contains(revision) { Fate::Kept } else { Fate::Goes }
}

/// The newest former stable revisions. A candidate that never became stable is not among them: it leaves nothing behind.
fn restorable(status: &ModelDeploymentStatus, keep: usize) -> BTreeSet<&str> {
    let in_use: Vec<&str> = serving(status).iter().map(|reference| reference.revision.as_str()).collect();
    let mut kept = BTreeSet::new();
    for entry in status.history.iter().filter(|entry| !in_use.contains(&entry.revision.as_str())) {
        if kept.len() < keep {
            kept.insert(entry.revision.as_str());
        }
    }
    kept
}
