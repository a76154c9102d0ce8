//! The router: splits calls between the revisions of one ModelDeployment, and counts how they end.
//!
//! It passes HTTP/2 and HTTP/1.1 on as they are. **Invariants:** a call goes only to a backend with ready pods; the same
//! user meets the same revision, and the same variant of a test; a copy of a call neither delays nor fails it; a bad or unreachable source of
//! routes leaves the last good ones in place.
//! It must not know protobuf bodies or models.

pub mod assign;
pub mod experiment;
pub mod headers;
pub mod metrics;
pub mod outcome;
pub mod placement;
pub mod proxy;
pub mod routes;
pub mod serve;
pub mod shadow;
pub mod table;
pub mod token;
pub mod watch;
