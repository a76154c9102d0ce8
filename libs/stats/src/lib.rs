//! Statistics of models in production: verdicts, intervals and tests with a stated error rate, from counts and sums alone.
//!
//! | file | question |
//! |---|---|
//! | `counter` | how much a counter rose |
//! | `error_rate`, `proportion` | does the candidate fail more calls, however often it is asked |
//! | `skill` | whether a model tells more than the base rate, however often it is asked |
//! | `drift`, `noncentral`, `distance` | how far traffic is from what a model was trained on |
//! | `moments`, `effect`, `newcombe` | how large the difference between two variants is, and how sure that is |
//! | `mixture`, `counts` | the same, valid at every look |
//! | `group_sequential`, `spending` | the same, valid at few planned looks |
//! | `planning` | how many units that takes |
//! | `multiple` | many tests at once |
//! | `experiment` | what a test of several variants decides: looks, verdicts, sample sizes, sentences |
//! | `detector` | a stream that goes on for ever |
//! | `normal`, `search` | what the others are made of |
//!
//! Everything is pure: the same counts give the same answer. What cannot be said is `None`, never a number that looks like one. Answers
//! are compared with scipy, statsmodels and gbstats (`golden/make.py`), chances of error by simulation (`tests/simulation`, `docs/statistics.md`). This crate must
//! not know I/O, time, Kubernetes or models.

mod counter;
mod counts;
mod detector;
mod distance;
mod drift;
mod effect;
mod error_rate;
pub mod experiment;
mod group_sequential;
mod mixture;
mod moments;
mod multiple;
mod newcombe;
mod noncentral;
mod normal;
mod planning;
mod proportion;
mod search;
mod skill;
mod spending;
mod verdict;

pub use counter::{Sample, increase};
pub use counts::{ln_e_of_assignments, ln_e_of_events};
pub use detector::Detector;
pub use distance::{jensen_shannon, kolmogorov_p_value, kolmogorov_smirnov, wasserstein};
pub use drift::{Arm, DriftBounds, Psi, excess, psi_bounds};
pub use effect::{Bucket, Buckets, ENOUGH_BUCKETS, ENOUGH_EVENTS, Effect, adjusted, clustered, means, paired, ratios, shares, unit_variance};
pub use error_rate::{Calls, ErrorRate, compare};
pub use group_sequential::{GroupSequential, LEAST_STEP, MOST_LOOKS};
pub use mixture::Mixture;
pub use moments::{Moments, Pairs, Sums};
pub use multiple::{benjamini_hochberg, benjamini_yekutieli, e_benjamini_hochberg};
pub use newcombe::{newcombe, wilson};
pub use noncentral::noncentral_chi_squared_cdf;
pub use planning::{Plan, duration, required_drift};
pub use proportion::{Interval, confidence_sequence};
pub use skill::{Loss, Scored, Skill, SkillRule, skill};
pub use spending::Spending;
pub use verdict::Verdict;
