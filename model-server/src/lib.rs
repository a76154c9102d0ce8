//! The model server: answers the Open Inference Protocol for one verified model.
//!
//! **Invariant I4:** it is ready only after it has recomputed the digest that it was told to serve.
//! It must not know Kubernetes, training or where the bytes came from.

pub mod engine;
mod error;
pub mod grpc;
pub mod log;
pub mod metrics;
pub mod rest;
pub mod serve;
pub mod tensor;
pub mod token;

pub use error::Error;
