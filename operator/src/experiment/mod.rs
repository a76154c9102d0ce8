//! ABTest: watched here, judged by `plimsoll-stats`, split by the ModelDeployment's controller, which reads what is written here.
//!
//! | file | task |
//! |---|---|
//! | `admission` | whether a test may have its deployment |
//! | `stage` | where a test stands, and its conditions |
//! | `plan` | what follows from what was counted |
//! | `forecast` | how many users a test takes, and how long, before it starts |
//! | `design`, `quality` | spec, status and the evaluator's answer in the judge's words |
//! | `guardrail` | whether a treatment does harm |
//! | `observe`, `evaluator`, `controller` | reads; what the evaluator is asked and told; what wakes a pass |

mod admission;
mod controller;
mod design;
mod evaluator;
mod forecast;
mod guardrail;
mod observe;
mod plan;
mod quality;
mod stage;

pub use admission::{Ground, Obstacle, is_left_to_a_test};
pub use controller::{reconcile, run};

#[cfg(test)]
mod tests;
