//! ModelDeployment: serves a model behind one address, and moves traffic to its next version step by step, and back.
//!
//! | file | idea |
//! |---|---|
//! | `observe` -> `observed` | every read, and what it yields |
//! | `plan` | from what was read to what is written |
//! | `resolve`, `revision`, `wanted` | which version, what its pods are made of, and how that compares with what runs |
//! | `consent` | the gatekeepers' word on a candidate |
//! | `looks` | when checks are looked at |
//! | `keys` | what the API server signs tokens with, which evaluators check |
//! | `rollout/` | phases, transitions, and the memory in status |
//! | `routes` | who gets which share of the traffic |
//! | `fate`, `fleet`, `children/` | what exists, in which order it is written, and what it looks like |
//! | `troubles` | why model pods are not ready |
//! | `status` | conditions |
//! | `controller`, `mappers`, `pokes` | what wakes a reconcile, and the reconcile as a list of phases |
//!
//! **Invariants:** decisions are pure; a verdict that moves traffic is stored before it is acted on; the spec is never written.
//! This module must not know tensors, artifact bytes or how a check reaches its verdict.

mod children;
mod consent;
mod controller;
mod fate;
mod fleet;
mod keys;
mod looks;
mod mappers;
mod observe;
mod observed;
mod plan;
mod pokes;
mod resolve;
mod revision;
mod rollout;
mod routes;
mod rules;
mod split;
mod status;
mod troubles;
mod wanted;

pub use children::EVALUATOR;
pub use controller::{Work, reconcile, run};
pub use pokes::Pokes;

#[cfg(test)]
pub(crate) mod tests;
