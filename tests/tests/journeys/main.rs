//! Journeys on a running cluster, each in a namespace of its own: what a user does with kubectl, and what they then see.
//!
//! `cargo test` leaves them out. With a cluster up that has the charts (`make demo` leaves one):
//! `cargo test -p plimsoll-tests --test journeys -- --ignored`. `PLIMSOLL_CLUSTER` names another local cluster than `demo`,
//! `PLIMSOLL_KUBECONFIG` any cluster (see CONTRIBUTING.md).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a journey that fails says so and ends")]

mod approval;
mod dashboards;
mod errors;
mod experiment;
mod kubectl;
mod outcomes;
mod silence;
mod upgrade;
