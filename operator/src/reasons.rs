//! Every word that stands as the reason of a condition, an event or an ended attempt of the kinds in `training` and `version`.
//! They are API: people select on them.

use serde::Serialize;

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// The spec was understood.
    Valid,
    /// The spec cannot be carried out.
    BadSpec,
    /// The API server refused a write; the message says which.
    WriteFailed,

    /// `spec.run.suspend` is true.
    Suspended,
    /// A pod runs.
    Training,
    /// The pod is being made.
    Starting,
    /// The Job has made no pod.
    PodNotCreated,
    /// No node takes the pod.
    Unschedulable,
    /// The container does not start, for example because its image is not found.
    ContainerNotStarted,
    /// The pod waits for its volumes: a Secret that the spec names is probably missing.
    VolumesNotReady,
    /// A pod of an earlier attempt has not gone yet.
    EarlierAttemptEnding,
    /// An attempt failed, and the next one waits.
    WaitingToRetry,
    /// No attempt is running, and none will.
    Ended,

    /// The attempt has a result.
    Succeeded,
    /// The pod was evicted from its node, preempted, or the node went away.
    Disrupted,
    /// The attempt took longer than `run.activeDeadline`.
    DeadlineExceeded,
    /// The pod used more memory than its limit.
    OutOfMemory,
    /// The kubelet ended the pod, for example because the scratch space was full.
    Evicted,
    /// The process ended without saying why.
    Crashed,
    /// Somebody deleted the attempt's Job.
    JobGone,
    /// The result did not come through; the next attempt finds it in the store.
    ResultLost,

    /// An attempt began.
    AttemptStarted,
    /// An attempt ended without a result.
    AttemptFailed,
    /// An attempt failed in a way that would happen again.
    Permanent,
    /// Every attempt failed.
    AttemptsExhausted,
    /// The result does not belong to the spec.
    BadResult,
    /// Another model has the version's name.
    NameTaken,
    /// The run has a result.
    ResultWritten,
    /// Every gate passed.
    GatesPassed,
    /// A gate failed.
    GatesFailed,
    /// The ModelVersion is being made.
    Recording,
    /// The ModelVersion was made.
    ModelVersionCreated,

    /// A gatekeeper approved the model.
    Approved,
    /// A gatekeeper rejected the model.
    Rejected,
    /// Nobody's approval holds.
    AwaitingApproval,
    /// The namespace needs no approvals.
    ApprovalNotRequired,
    /// The model passed its gates.
    Recorded,
}

impl Reason {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "Valid",
            Self::BadSpec => "BadSpec",
            Self::WriteFailed => "WriteFailed",
            Self::Suspended => "Suspended",
            Self::Training => "Training",
            Self::Starting => "Starting",
            Self::PodNotCreated => "PodNotCreated",
            Self::Unschedulable => "Unschedulable",
            Self::ContainerNotStarted => "ContainerNotStarted",
            Self::VolumesNotReady => "VolumesNotReady",
            Self::EarlierAttemptEnding => "EarlierAttemptEnding",
            Self::WaitingToRetry => "WaitingToRetry",
            Self::Ended => "Ended",
            Self::Succeeded => "Succeeded",
            Self::Disrupted => "Disrupted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::OutOfMemory => "OutOfMemory",
            Self::Evicted => "Evicted",
            Self::Crashed => "Crashed",
            Self::JobGone => "JobGone",
            Self::ResultLost => "ResultLost",
            Self::AttemptStarted => "AttemptStarted",
            Self::AttemptFailed => "AttemptFailed",
            Self::Permanent => "Permanent",
            Self::AttemptsExhausted => "AttemptsExhausted",
            Self::BadResult => "BadResult",
            Self::NameTaken => "NameTaken",
            Self::ResultWritten => "ResultWritten",
            Self::GatesPassed => "GatesPassed",
            Self::GatesFailed => "GatesFailed",
            Self::Recording => "Recording",
            Self::ModelVersionCreated => "ModelVersionCreated",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::ApprovalNotRequired => "ApprovalNotRequired",
            Self::Recorded => "Recorded",
        }
    }
}
