//! How a call ended, from its status alone.

use http::{HeaderMap, StatusCode};

/// The label of the request counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Success,
    /// The caller's mistake.
    ClientError,
    /// The server's fault.
    ServerError,
    /// The server has too much to do.
    Rejected,
    /// No connection, or it was lost.
    Unreachable,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Success, Self::ClientError, Self::ServerError, Self::Rejected, Self::Unreachable];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
        }
    }

    /// From the HTTP status.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::Rejected,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Success,
        }
    }

    /// From `grpc-status`, in headers or trailers; `None` when it is not there.
    pub fn of_grpc(headers: &HeaderMap) -> Option<Self> {
        let code: u8 = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        Some(match code {
            0 => Self::Success,
            // RESOURCE_EXHAUSTED.
            8 => Self::Rejected,
            // CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED.
            1 | 3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Self::ClientError,
            // UNKNOWN, DEADLINE_EXCEEDED, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS, and whatever is no code.
            _ => Self::ServerError,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_outcomes() {
        for (code, expected) in [("0", "success"), ("3", "client_error"), ("8", "rejected"), ("13", "server_error"), ("14", "server_error"), ("99", "server_error")] {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.parse().unwrap())]);
            assert_eq!(Outcome::of_grpc(&headers).unwrap().as_str(), expected, "{code}");
        }
        for (code, expected) in [(200, "success"), (404, "client_error"), (429, "rejected"), (503, "server_error")] {
            assert_eq!(Outcome::of_status(StatusCode::from_u16(code).unwrap()).as_str(), expected, "{code}");
        }
        assert_eq!(Outcome::of_grpc(&HeaderMap::new()), None);
    }
}
