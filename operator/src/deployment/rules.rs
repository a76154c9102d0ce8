//! The parts of the spec that a rollout follows, parsed once.
//!
//! A duration that cannot be read becomes the careful choice (a pause waits for a person, a bake lasts the default) and is
//! reported as a problem: a bad spec stops progress, never the checks and the way back (I7).

use std::time::Duration;

use plimsoll_crds::model_deployment::{CanaryStep, Check, Outcomes};
use plimsoll_crds::{DurationText, ModelDeploymentSpec};

/// All of the traffic, in basis points.
pub const FULL: i32 = 10_000;
/// Basis points in a percent.
const PER_PERCENT: i32 = 100;
/// The default of `checkInterval`, for a text that is no duration.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// The default of `rollback.bake`, for a text that is no duration.
const BAKE: Duration = Duration::from_secs(600);

/// One step of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The candidate's weight becomes this, in basis points.
    SetWeight(i32),
    /// Stays for a time.
    PauseFor(Duration),
    /// Stays until a person says go.
    PauseForPerson,
}

/// What a rollout follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The checks of the strategy, as they are defined.
    pub checks: Vec<Check>,
    /// How often checks are looked at.
    pub check_interval: Duration,
    /// How long the predecessor stays warm.
    pub bake: Duration,
    /// Old revisions that can be restored.
    pub keep: usize,
    /// How outcomes are collected, where they are.
    pub outcomes: Option<Collection>,
    /// What is wrong with the spec.
    pub problems: Vec<String>,
}

/// How long outcomes and records are waited for and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// How long after a prediction its outcome may come.
    pub maturity: Duration,
    /// How long records are kept.
    pub retention: Duration,
}

impl Rules {
    /// Reads the spec.
    pub fn read(spec: &ModelDeploymentSpec) -> Self {
        let mut problems = Vec::new();
        let steps = spec.strategy.canary.steps.iter().enumerate().map(|(index, step)| read_step(index, step, &mut problems)).collect();
        let checks = spec.strategy.canary.checks.iter().filter_map(|name| find_check(spec, name, &mut problems)).collect();
        let check_interval = read_duration("checkInterval", &spec.check_interval, CHECK_INTERVAL, &mut problems).max(Duration::from_secs(1));
        let bake = read_duration("rollback.bake", &spec.rollback.bake, BAKE, &mut problems);
        let keep = usize::try_from(spec.rollback.keep).unwrap_or(1);
        let outcomes = spec.outcomes.as_ref().and_then(|outcomes| read_collection(outcomes, &mut problems));
        Self { steps, checks, check_interval, bake, keep, outcomes, problems }
    }

    /// The step with that number.
    pub fn step(&self, number: i32) -> Option<Step> {
        usize::try_from(number).ok().and_then(|index| self.steps.get(index)).copied()
    }
}

fn read_step(index: usize, step: &CanaryStep, problems: &mut Vec<String>) -> Step {
    match (step.set_weight, &step.pause) {
        (Some(percent), None) if (0..=100).contains(&percent) => Step::SetWeight(percent.saturating_mul(PER_PERCENT)),
        (None, Some(pause)) => match pause.duration.as_ref() {
            None => Step::PauseForPerson,
            Some(text) => text.to_std().map_or_else(
                || {
                    problems.push(format!("strategy.canary.steps[{index}].pause.duration {:?} is not a duration such as 2m", text.as_str()));
                    Step::PauseForPerson
                },
                Step::PauseFor,
            ),
        },
        _ => {
            problems.push(format!("strategy.canary.steps[{index}] needs either setWeight (0 to 100) or pause"));
            Step::PauseForPerson
        }
    }
}

fn find_check(spec: &ModelDeploymentSpec, name: &str, problems: &mut Vec<String>) -> Option<Check> {
    let found = spec.checks.iter().find(|check| check.name == name && check.spec().is_some());
    if found.is_none() {
        problems
            .push(format!("strategy.canary.checks names {name:?}, which spec.checks does not define with exactly one of errorRate, drift, alert and outcome"));
    }
    found.cloned()
}

/// `None` when a duration cannot be read: an evaluator that waits for another time than was meant would count wrongly, and for good.
fn read_collection(outcomes: &Outcomes, problems: &mut Vec<String>) -> Option<Collection> {
    let found = problems.len();
    let maturity = read_duration("outcomes.maturity", &outcomes.maturity, Duration::ZERO, problems);
    let retention = read_duration("outcomes.retention", &outcomes.retention, Duration::ZERO, problems);
    if problems.len() == found && maturity.is_zero() {
        problems.push("outcomes.maturity must be above 0".to_owned());
    }
    if problems.len() == found && retention < maturity {
        problems.push("outcomes.retention must not be shorter than outcomes.maturity: records would be gone before their outcomes come".to_owned());
    }
    (problems.len() == found).then_some(Collection { maturity, retention })
}

fn read_duration(field: &str, text: &DurationText, otherwise: Duration, problems: &mut Vec<String>) -> Duration {
    text.to_std().unwrap_or_else(|| {
        problems.push(format!("{field} {:?} is not a duration such as 30s", text.as_str()));
        otherwise
    })
}
