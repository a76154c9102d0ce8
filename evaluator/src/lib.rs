//! The truth about models in production: predictions, what came of them, and how good the model was.
//!
//! | file | what it does |
//! |---|---|
//! | `record` | a prediction and its outcome, as they are kept |
//! | `join` | decides what a new prediction or outcome does to the record that is there (pure) |
//! | `pair` | the answer that a caller got and the one that nobody got, in a paired A/B test (pure) |
//! | `state` | what has been counted, as the database keeps it |
//! | `tally`, `quality` | sums over records whose window has closed, and the metrics that follow from them (pure) |
//! | `users` | about how many units called outside of tests (pure) |
//! | `closing` | what is counted when windows close (pure) |
//! | `ledger` | one step: close windows, take records, forget old ones, all or nothing |
//! | `store` | SQLite or PostgreSQL |
//! | `writer` | the one thread that owns the ledger, and the queue before it |
//! | `export` | days as Parquet in the object store |
//! | `report` | what an A/B test found, as a page and as JSON |
//! | `access` | who may say what |
//! | `rest`, `grpc`, `wire` | what may be said, and how |
//! | `telemetry` | Prometheus |
//!
//! **Invariants:** what was acknowledged is on disk; each outcome is joined once, whatever comes twice, late or in another order; a prediction
//! counts when its window has closed, once, with what was known by then. It must not know Kubernetes or rollouts.

pub mod access;
pub mod closing;
pub mod export;
pub mod grpc;
pub mod join;
pub mod ledger;
pub mod pair;
pub mod quality;
pub mod record;
pub mod report;
pub mod rest;
pub mod serve;
pub mod settings;
pub mod state;
pub mod store;
pub mod tally;
pub mod telemetry;
pub mod users;
pub mod wire;
pub mod writer;

mod error;

pub use error::Error;
