//! What can go wrong when talking to the API server. A bad spec is no error: it is a plan that says so.

/// An error of one reconcile; the object is looked at again later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed.
    #[error("cannot read {what}: {}", said(source))]
    Read {
        /// Kind and name.
        what: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// A write failed.
    #[error("cannot {verb} {what}: {}", said(source))]
    Write {
        /// apply, create, delete or patch the status of.
        verb: &'static str,
        /// Kind and name.
        what: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// A child that we would make belongs to somebody else.
    #[error("{what} exists and was not made for this object: rename one of them")]
    NotOurs {
        /// Kind and name.
        what: String,
    },
    /// A reconcile took too long.
    #[error("reconciling took longer than {seconds} s")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// An object has no name, namespace or UID, which the API server always gives.
    #[error("object without {what}")]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
    /// A value cannot be written as JSON.
    #[error("cannot serialize {what}: {source}")]
    Serialize {
        /// Kind and name.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// Every word that `reason` says.
    pub const REASONS: [&str; 6] = ["Read", "Write", "NotOurs", "Timeout", "Incomplete", "Serialize"];

    /// A word from a bounded set, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "Read",
            Self::Write { .. } => "Write",
            Self::NotOurs { .. } => "NotOurs",
            Self::Timeout { .. } => "Timeout",
            Self::Incomplete { .. } => "Incomplete",
            Self::Serialize { .. } => "Serialize",
        }
    }
}

/// The API server's own words, without the shape that they came in: people read them in conditions.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
