//! Whole plans in an in-memory world.

mod convergence;
pub mod fixtures;
mod invariants;
mod latest;
mod looks;
mod obstacles;
mod outcomes;
mod paired;
mod split;
mod stories;
mod world;
