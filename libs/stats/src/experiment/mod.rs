//! The judge of a test of several variants: from what was counted to a verdict and to the sentence that says it.
//!
//! ```text
//! judge(design, looks so far, arms now, ended?) -> a look that is due | a verdict | neither
//! ```
//!
//! - A look is plain data. The caller stores it before it acts, and hands it back with the next pass; verdicts come from stored looks alone.
//!   So one that dies in between neither takes a look twice nor forgets it, and a test that was stopped stays stopped, whatever is counted then.
//! - The one other verdict is that counts are broken: units or outcomes do not fall on variants as planned. It is asked in each pass, before a
//!   look is taken. A broken ratio takes no look; a look that was taken before it broke keeps its verdict. The caller stores this verdict too.
//! - Several treatments are each compared with the control, at alpha shared among them (Bonferroni). The first significant difference of a
//!   treatment decides it. A treatment that is better wins, the best of those that are at one look; the control wins once every treatment is
//!   significantly worse.
//! - A test ends when its units are there. Where they stop coming, it waits until the caller says that it ended, and takes a last look at what
//!   there is.
//!
//! | file | question |
//! |---|---|
//! | `design` | what is fixed before the test begins |
//! | `look` | when a look is due, and what it sees |
//! | `bounds` | what a look of a group-sequential test has to reach |
//! | `judge` | what the looks so far decide |
//! | `sample` | how many units the test takes |
//! | `words` | what a stakeholder is told |
//!
//! Names here are short because the module's is said with them: `experiment::Verdict` is not [`crate::Verdict`]. This module must not know
//! time, where looks are stored, or what a verdict leads to.

mod bounds;
mod design;
mod judge;
mod look;
mod sample;
#[cfg(test)]
mod tests;
mod words;

pub use design::{Design, Direction, GUARDRAIL_ALPHA, Method, Mistake, SAMPLE_RATIO_ALPHA};
pub use judge::{Judgement, NextLook, Reason, SampleRatio, Verdict, judge};
pub use look::{Arm, Comparison, Look};
pub use sample::{SamplePlan, Spread, plan};
pub use words::{Names, sentence};
