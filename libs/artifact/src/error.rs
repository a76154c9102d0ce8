//! What can be wrong with an artifact or a store.

use std::path::PathBuf;

use crate::Digest;

/// An error names the file or object and says what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a digest.
    #[error("{text:?} is not a digest: expected sha256: and 64 hex digits")]
    ParseDigest {
        /// What was given.
        text: String,
    },
    /// A local file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A local file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("the disk that holds {path} is full: give it more space (in a pod: the volume's size limit)")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A file of the artifact is not JSON of the expected form.
    #[error("{file} is not understood: {source}")]
    Parse {
        /// The file.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The manifest's format is of another version of Plimsoll.
    #[error("manifest.json has format version {found}, this program understands {expected}")]
    FormatVersion {
        /// The version in the file.
        found: u32,
        /// The version that is understood.
        expected: u32,
    },
    /// The artifact is not the one that was asked for.
    #[error("manifest.json has digest {found}, but {expected} was asked for: these are not the bytes that were approved")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// A file is not what the manifest says.
    #[error("{file}: {what}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// An address is not understood.
    #[error("{uri:?} is not an address of a store: {what}; use s3://bucket/prefix, file:///folder or a path")]
    Address {
        /// The address.
        uri: String,
        /// What is wrong.
        what: String,
    },
    /// The credentials folder cannot be used.
    #[error("credentials in {path}: {what}")]
    Credentials {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An object is not in the store.
    #[error("{uri} does not exist")]
    NotFound {
        /// The object.
        uri: String,
    },
    /// The store refuses.
    #[error("{uri}: the store refuses access: check the credentials and their rights ({source})")]
    Denied {
        /// The object.
        uri: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The store cannot be reached or fails.
    #[error("{uri}: the store cannot be reached or fails: {source}")]
    Unavailable {
        /// The object.
        uri: String,
        /// What happened.
        source: object_store::Error,
    },
    /// The store already holds something else under this name.
    #[error("{uri} already exists with other bytes: something else wrote there")]
    Conflict {
        /// The object.
        uri: String,
    },
}

impl Error {
    /// Whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// A PascalCase word for statuses and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "StoreUnavailable",
            Self::Denied { .. } => "StoreDenied",
            Self::NotFound { .. } => "ObjectNotFound",
            Self::DiskFull { .. } => "DiskFull",
            Self::Conflict { .. } => "OutputConflict",
            Self::Credentials { .. } => "BadCredentials",
            Self::WrongDigest { .. } | Self::Content { .. } | Self::Parse { .. } | Self::FormatVersion { .. } => "ArtifactMismatch",
            Self::Address { .. } | Self::ParseDigest { .. } => "BadAddress",
            Self::Read { .. } | Self::Write { .. } => "LocalDisk",
        }
    }

    /// Wraps a failed write; a full disk has its own error.
    pub fn write(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Write { path, source },
        }
    }
}
