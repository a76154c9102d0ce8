//! The evaluator's protocol as Rust types: what model servers hand over, and what callers report. It must not know how it is kept.

/// Package `plimsoll.evaluator.v1`.
#[allow(clippy::all, missing_docs)]
pub mod v1 {
    tonic::include_proto!("plimsoll.evaluator.v1");
}

/// The protocol's descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
