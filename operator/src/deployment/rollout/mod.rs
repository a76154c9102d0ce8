//! The rollout: which phase it is in, what follows, and what that does to the memory in status.
//!
//! ```text
//!          Start                 Enter (pods ready, approved; with traffic: every check passes)
//!   Idle ---------> Trying -----------------------------------------------> Trying (next step)
//!    ^               |  |
//!    |  RollBack     |  | Promote (the first version: ready and approved; others: after the last step)
//!    |  Drop         |  v
//!    +---------------+  Baking --- FinishBake (time is over) -----> Idle
//!    |                     |
//!    +------- Return ------+   (a check fails, or the spec names the predecessor again)
//! ```
//!
//! [`next`] is the table, [`act`] is what a transition does to the status. Both are pure. A verdict that moves traffic is
//! written down first (`Decide`, or a failed check while baking), and the pass after that acts on what is stored.
//!
//! **Invariants:** a weight rises only with a standing approval (I2); rollback is asked for before any gate (I7); only
//! `Fail` goes back and only `Pass` goes on (I9). This module must not know pods, routes or a client.

mod act;
mod blocked;
mod facts;
mod next;
mod verdicts;

pub use act::{Scene, act, retry};
pub use blocked::{is_blocked, retry_token};
pub use facts::{Approval, Facts, Signals, StepState, Wish, bake_end, entry, failed_in_bake, step_state};
pub use next::{Phase, Transition, Wait, next};
pub use verdicts::{fold, is_stale, looked};

#[cfg(test)]
mod tests;
