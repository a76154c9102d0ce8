//! A trained model as bytes: what it consists of, how it is named, and how it travels.
//!
//! An artifact is a directory, never an archive. `manifest.json` lists every file with size and sha256; the artifact's name is
//! the sha256 of the manifest's canonical bytes.
//! **Invariant I4:** `ModelDirectory::open` reads nothing whose bytes it has not checked against the manifest.
//! This crate must not know Kubernetes or tensors.

mod behaviour;
mod digest;
mod directory;
mod error;
mod manifest;
pub mod store;
mod transfer;

pub use behaviour::{Behaviour, Calibration};
pub use digest::Digest;
pub use directory::{ModelDirectory, write_directory};
pub use error::Error;
pub use manifest::{Architecture, DataWindow, FileEntry, Manifest, Provenance, Task};
pub use transfer::{fetch, upload};

/// The manifest's name in the directory.
pub const MANIFEST: &str = "manifest.json";
/// The weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// The fitted transforms, calibration and threshold.
pub const PIPELINE: &str = "pipeline.json";
/// What the training data looked like.
pub const BASELINE: &str = "baseline.json";
