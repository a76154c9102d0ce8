//! What can be wrong with columns.

/// An error names the column and says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A column is not there.
    #[error("column {name:?} is missing; there are: {available}")]
    MissingColumn {
        /// The column.
        name: String,
        /// The columns that are there.
        available: String,
    },
    /// A column holds another type.
    #[error("column {name:?} must hold {expected}, but holds {found}")]
    WrongType {
        /// The column.
        name: String,
        /// What the feature needs.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Columns differ in length.
    #[error("column {name:?} has {found} rows, but the others have {expected}")]
    Length {
        /// The column.
        name: String,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this column.
        found: usize,
    },
    /// A value cannot be used.
    #[error("column {name:?}, row {row}: the value is infinite or too large; send NaN for a missing value")]
    Infinite {
        /// The column.
        name: String,
        /// The row, counted from 0.
        row: usize,
    },
    /// Nothing to learn from.
    #[error("column {name:?} has no value in any train row: leave the feature out")]
    Empty {
        /// The column.
        name: String,
    },
    /// A mean or deviation that is no number could not even be written into the artifact.
    #[error("column {name:?} has values so large that their mean or deviation is infinite: clip the feature")]
    TooSpread {
        /// The column.
        name: String,
    },
}
