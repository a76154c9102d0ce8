//! The operator: all decisions of Plimsoll.
//!
//! Every kind follows one pattern: observe (all reads), plan (pure), apply (ordered writes), write the status (one place).
//! This crate must not know data, tensors or artifact bytes.

pub mod analysis;
pub mod approval;
pub mod change;
pub mod config;
pub mod context;
pub mod deployment;
mod error;
mod evaluator;
pub mod experiment;
pub mod http;
pub mod kube_io;
pub mod pace;
pub mod read;
pub mod reasons;
mod subset;
pub mod telemetry;
pub mod training;
pub mod version;

pub use context::Context;
pub use error::Error;
