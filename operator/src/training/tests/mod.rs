//! Stories of runs, and the world that they happen in.

mod convergence;
pub mod fixtures;
mod stories;
mod world;
