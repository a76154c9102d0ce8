//! Statistics of rollouts: verdicts with a stated error rate, from counters alone.
//!
//! Everything is pure: the same counts give the same verdict. This crate must not know I/O, time, Kubernetes or models.

mod counter;
mod drift;
mod error_rate;
mod noncentral;
mod proportion;
mod verdict;

pub use counter::{Sample, increase};
pub use drift::{Arm, DriftBounds, Psi, excess, psi_bounds};
pub use error_rate::{Calls, ErrorRate, compare};
pub use noncentral::noncentral_chi_squared_cdf;
pub use proportion::{Interval, confidence_sequence};
pub use verdict::Verdict;
