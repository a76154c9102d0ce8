//! The networks that Plimsoll trains and serves, on libtorch: one definition for both.
//!
//! A `Predictor` is what a model answers with; the trainer's evaluation and the server use the same one, so offline is online.
//! This crate must not know files, requests or Kubernetes.

mod device;
mod error;
mod network;
mod predictor;
mod weights;

pub use device::{cuda, device};
pub use error::Error;
pub use network::Network;
pub use predictor::Predictor;
pub use tch;

/// Uses one thread per forward pass. Two on a busy machine are many times slower, and one makes a run repeatable.
pub fn use_one_thread() {
    tch::set_num_threads(1);
}
