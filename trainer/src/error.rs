//! What can end a run, and whether trying again would help.

use plimsoll_crds::training_job::result::{EXIT_BAD_DATA, EXIT_BAD_SPEC, EXIT_NO_ACCELERATOR, EXIT_OUTPUT_CONFLICT};

/// Exit code when the same run may succeed later.
const EXIT_TRANSIENT: i32 = 75 + 5;

/// What ended a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec cannot be carried out.
    #[error("{0}")]
    Spec(String),
    /// The data does not fit the spec.
    #[error("{0}")]
    Data(String),
    /// A device was asked for and is not there.
    #[error("the run asks for {0}, but CUDA finds no device: check the node, its driver and the trainer image; the run is not moved to the CPU")]
    NoAccelerator(String),
    /// The store or the local disk.
    #[error(transparent)]
    Artifact(#[from] plimsoll_artifact::Error),
    /// The columns do not fit the features.
    #[error(transparent)]
    Features(#[from] plimsoll_features::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] plimsoll_networks::Error),
    /// DuckDB, beyond what the query or the data explain.
    #[error("DuckDB: {0}")]
    Sql(#[from] duckdb::Error),
    /// Something cannot be written as JSON.
    #[error("cannot serialize: {0}")]
    Serialize(#[from] serde_json::Error),
}

impl Error {
    /// A PascalCase word for the status.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Spec(_) => "BadSpec",
            Self::Data(_) | Self::Features(_) => "BadData",
            Self::NoAccelerator(_) => "NoAccelerator",
            Self::Artifact(error) => error.reason(),
            Self::Network(_) => "TrainingFailed",
            Self::Sql(_) => "QueryFailed",
            Self::Serialize(_) => "Internal",
        }
    }

    /// The exit code; those in the permanent range are not tried again.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Spec(_) => EXIT_BAD_SPEC,
            Self::Data(_) | Self::Features(_) => EXIT_BAD_DATA,
            Self::NoAccelerator(_) => EXIT_NO_ACCELERATOR,
            Self::Artifact(plimsoll_artifact::Error::Conflict { .. }) => EXIT_OUTPUT_CONFLICT,
            Self::Artifact(plimsoll_artifact::Error::Address { .. } | plimsoll_artifact::Error::ParseDigest { .. }) => EXIT_BAD_SPEC,
            Self::Artifact(plimsoll_artifact::Error::NotFound { .. }) => EXIT_BAD_DATA,
            Self::Artifact(_) | Self::Network(_) | Self::Sql(_) | Self::Serialize(_) => EXIT_TRANSIENT,
        }
    }
}
