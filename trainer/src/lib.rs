//! The trainer: from a TrainingJob's spec and data to a verified artifact and a report.
//!
//! The same spec runs in a pod and on a laptop. **Invariant I13:** whatever is fitted sees train rows only; early stopping,
//! calibration and threshold see validation rows only; test rows are used once, for the metrics.
//! This crate must not know Kubernetes: it reads a file and writes a result.

pub mod choose;
mod csv;
mod error;
pub mod fit;
pub mod flow;
pub mod job;
pub mod metrics;
pub mod progress;
mod query_error;
pub mod report;
pub mod rows;
pub mod split;
pub mod sql;
pub mod stage;

pub use error::Error;
