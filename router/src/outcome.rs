//! How a call ended, from its status alone.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The caller's clock started before ours: the call had to get here first.
const SLACK: Duration = Duration::from_millis(20);

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

/// How long the caller waits, from `grpc-timeout`: up to eight digits and a unit.
pub fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The outcome of a call whose caller hung up: a server that let the deadline pass is at fault, a caller that went earlier says nothing about it.
pub fn abandoned(deadline: Option<Duration>, after: Duration) -> Outcome {
    match deadline {
        Some(deadline) if after.saturating_add(SLACK) >= deadline => Outcome::ServerError,
        _ => Outcome::ClientError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_outcomes() {
        for (code, expected) in
            [("0", "success"), ("3", "client_error"), ("8", "rejected"), ("13", "server_error"), ("14", "server_error"), ("99", "server_error")]
        {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.parse().unwrap())]);
            assert_eq!(Outcome::of_grpc(&headers).unwrap().as_str(), expected, "{code}");
        }
        for (code, expected) in [(200, "success"), (404, "client_error"), (429, "rejected"), (503, "server_error")] {
            assert_eq!(Outcome::of_status(StatusCode::from_u16(code).unwrap()).as_str(), expected, "{code}");
        }
        assert_eq!(Outcome::of_grpc(&HeaderMap::new()), None);
    }

    #[test]
    fn a_server_that_lets_the_deadline_pass_is_at_fault() {
        let headers = |value: &str| HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value.parse().unwrap())]);
        let table =
            [("2S", Some(2_000)), ("250m", Some(250)), ("1M", Some(60_000)), ("5000u", Some(5)), ("x", None), ("", None), ("123456789S", None), ("5X", None)];
        for (text, milliseconds) in table {
            assert_eq!(deadline(&headers(text)), milliseconds.map(Duration::from_millis), "{text}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(abandoned(Some(second), second), Outcome::ServerError);
        assert_eq!(abandoned(Some(second), second / 2), Outcome::ClientError);
        assert_eq!(abandoned(None, second), Outcome::ClientError);
    }
}
