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
    #[error("the run asks for {asked}, and there is none: {why}. Check the node, its driver and the trainer image; the run is not moved to the CPU")]
    NoAccelerator {
        /// What was asked for.
        asked: String,
        /// What the loader or CUDA said.
        why: String,
    },
    /// The store or the local disk.
    #[error(transparent)]
    Artifact(#[from] plimsoll_artifact::Error),
    /// The store or the local disk, while something that the spec names was read or written.
    #[error("{what}: {source}")]
    Place {
        /// The field, and the Secret that it is used with.
        what: String,
        /// What happened.
        source: Box<plimsoll_artifact::Error>,
    },
    /// The scratch space is full.
    #[error("{what}: the scratch space is full: raise workers.scratch.size{}", size.as_ref().map(|size| format!(", which is {size}")).unwrap_or_default())]
    ScratchFull {
        /// What was being done.
        what: String,
        /// How much the spec allows.
        size: Option<String>,
    },
    /// The query needs more memory than DuckDB may use.
    #[error("{what}: not enough memory: raise workers.resources.limits.memory (queries may use 80 % of it), or let the query return less: {said}")]
    Memory {
        /// What was being done.
        what: String,
        /// What DuckDB said: how much it used of how much.
        said: String,
    },
    /// The columns do not fit the features.
    #[error(transparent)]
    Features(#[from] plimsoll_features::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] plimsoll_networks::Error),
    /// DuckDB, beyond what the query or the data explain.
    #[error("{what}: {source}")]
    Sql {
        /// What was being done.
        what: String,
        /// What DuckDB said.
        source: duckdb::Error,
    },
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
            Self::NoAccelerator { .. } => "NoAccelerator",
            Self::Artifact(error) => error.reason(),
            Self::Place { source, .. } => source.reason(),
            Self::ScratchFull { .. } => "DiskFull",
            Self::Memory { .. } => "OutOfMemory",
            Self::Network(_) => "TrainingFailed",
            Self::Sql { .. } => "QueryFailed",
            Self::Serialize(_) => "Internal",
        }
    }

    /// The exit code; those in the permanent range are not tried again.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Spec(_) => EXIT_BAD_SPEC,
            Self::Data(_) | Self::Features(_) => EXIT_BAD_DATA,
            Self::NoAccelerator { .. } => EXIT_NO_ACCELERATOR,
            Self::Artifact(error) => exit_code_of(error),
            Self::Place { source, .. } => exit_code_of(source),
            Self::ScratchFull { .. } | Self::Memory { .. } | Self::Network(_) | Self::Sql { .. } | Self::Serialize(_) => EXIT_TRANSIENT,
        }
    }

    /// A disk that is full is the scratch space: nothing is written elsewhere. `size` is how much the spec allows.
    #[must_use]
    pub fn of_scratch(self, size: &str) -> Self {
        let size = Some(size.to_owned());
        match self {
            Self::ScratchFull { what, .. } => Self::ScratchFull { what, size },
            Self::Artifact(plimsoll_artifact::Error::DiskFull { path }) => Self::ScratchFull { what: path.display().to_string(), size },
            Self::Place { what, source } => match *source {
                plimsoll_artifact::Error::DiskFull { path } => Self::ScratchFull { what: format!("{what}: {}", path.display()), size },
                other => Self::Place { what, source: Box::new(other) },
            },
            other => other,
        }
    }
}

fn exit_code_of(error: &plimsoll_artifact::Error) -> i32 {
    match error {
        plimsoll_artifact::Error::Conflict { .. } => EXIT_OUTPUT_CONFLICT,
        plimsoll_artifact::Error::Address { .. } | plimsoll_artifact::Error::ParseDigest { .. } => EXIT_BAD_SPEC,
        plimsoll_artifact::Error::NotFound { .. } => EXIT_BAD_DATA,
        _ => EXIT_TRANSIENT,
    }
}
