//! The five ways in which a check can end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a check ended. Only `Fail` takes traffic away, only `Pass` moves it on: no data is not bad data, and not good data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The numbers exclude what the check guards against.
    Pass,
    /// The numbers show it.
    Fail,
    /// Nothing was counted.
    NoData,
    /// The numbers say neither yet.
    TooLittle,
    /// The numbers could not be fetched.
    ProviderError,
}

impl Verdict {
    /// The name in statuses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::NoData => "NoData",
            Self::TooLittle => "TooLittle",
            Self::ProviderError => "ProviderError",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
