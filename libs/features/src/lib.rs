//! From raw columns to rows of numbers: schema, transforms that are fitted once, and the buckets in which traffic is counted.
//!
//! Trainer and server run this same code, so a row has the same features in both.
//! **Invariant I13:** `Pipeline::fit` sees only what it is given; the trainer gives it train rows only.
//! This crate must not know files, networks, tensors or Kubernetes.

mod baseline;
mod columns;
mod error;
mod pipeline;
mod spec;

pub use baseline::{Baseline, Buckets, FeatureBaseline, PREDICTION_BUCKETS, prediction_bucket};
pub use columns::{Column, Columns};
pub use error::Error;
pub use pipeline::{Encoded, Layout, Pipeline, Slot};
pub use spec::{CategoricalEncoding, FeatureSpec, FeatureType, MissingNumber};
