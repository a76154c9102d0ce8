//! What can be wrong with a request.

/// Why a request is not answered. Each variant is one reason in `plimsoll_rejected_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another model or version.
    #[error("{0}")]
    UnknownModel(String),
    /// A tensor has a name that the model does not know, or one is missing.
    #[error("{0}")]
    Schema(String),
    /// A tensor has another shape than rows.
    #[error("{0}")]
    Shape(String),
    /// A tensor has a datatype that the input does not take.
    #[error("{0}")]
    Datatype(String),
    /// A value cannot be used, or the request is not well formed.
    #[error("{0}")]
    Value(String),
    /// Too many rows wait.
    #[error("the server is busy: {0} rows wait; try again later, or ask for more replicas")]
    Overload(usize),
    /// The server itself failed.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A word from a bounded set, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "unknown_model",
            Self::Schema(_) => "schema",
            Self::Shape(_) => "shape",
            Self::Datatype(_) => "datatype",
            Self::Value(_) => "value",
            Self::Overload(_) => "overload",
            Self::Internal(_) => "internal",
        }
    }

    /// The label of the request counter.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Overload(_) => "rejected",
            Self::Internal(_) => "server_error",
            _ => "client_error",
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::UnknownModel(_) => Self::not_found(message),
            // Not UNAVAILABLE: clients repeat that at once, and overload becomes a storm.
            Error::Overload(_) => Self::resource_exhausted(message),
            Error::Internal(_) => Self::internal(message),
            _ => Self::invalid_argument(message),
        }
    }
}
