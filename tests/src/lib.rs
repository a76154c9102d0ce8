//! What journeys and the demo share: a cluster to talk to, and traffic.
//!
//! Everything that is asserted is read from the API server, from routers' counters or from callers' answers.
//! This crate must not know the operator's internals.

pub mod audit;
pub mod cluster;
pub mod flights;
pub mod matrix;
pub mod outcomes;
pub mod pods;
pub mod prometheus;
pub mod release;
pub mod routers;
pub mod stage;
pub mod team;
pub mod traffic;
