//! Slices: how the metric differs between variants for parts of the traffic, by the inputs that the prediction log keeps.
//!
//! | file | what it does |
//! |---|---|
//! | `column`, `rows` | what is known of each prediction, in a few bytes |
//! | `parts` | which slices a column has, and which prediction is in which (pure) |
//! | `differ` | what was counted of each slice, how its variants differ, and which of that is more than chance (pure) |
//! | `found` | what becomes of it: a part of the report |
//! | `read` | the walk over the records, newest first, beside the writer |
//! | `kept` | one walk at a time, and its findings for a minute |
//!
//! Everything else in a report is sums that are counted once; slices read records, so they end where the retention does. **Invariants:** they
//! decide nothing and no verdict knows them; a walk is bounded in records, columns, values and time, and says when it was cut short.

mod column;
pub mod differ;
pub mod found;
mod kept;
pub mod parts;
pub mod read;
pub mod rows;

pub use found::Slices;
pub use kept::Slicer;
