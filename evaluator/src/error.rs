//! What can go wrong, in words for whoever has to act.

/// An error of the evaluator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record that cannot be taken, with its place in the call.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where, as `outcomes[3].value`.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// SQLite failed.
    #[error("the database cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL failed.
    #[error("the database cannot be used: {}", reason(.0))]
    Postgres(#[from] postgres::Error),
    /// The connection to PostgreSQL was lost.
    #[error("the connection to the database was lost")]
    Lost,
    /// The database holds what this program did not write.
    #[error("the database holds what cannot be understood: {0}")]
    Foreign(String),
    /// Another evaluator uses the same database.
    #[error("another evaluator uses this database ({0}); two would count everything twice")]
    Taken(String),
    /// Tokens cannot be checked.
    #[error("{path}: {problem}")]
    Keys {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Disk {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// PostgreSQL's own words, which its client hides behind "db error".
fn reason(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

impl Error {
    /// A record that cannot be taken.
    pub fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { place: place.into(), problem: problem.into() }
    }
}
