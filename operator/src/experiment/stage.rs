//! Where a test stands, and its conditions. Nothing here changes with what is counted, so a test between two looks is never written (I8).

use plimsoll_crds::condition::{ConditionType, Fact};
use plimsoll_crds::{ABTest, ABTestStatus};

use super::admission::Obstacle;

/// Where a test stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// It has a verdict.
    Over,
    /// Its author holds it.
    Paused,
    /// It may not have its deployment.
    Refused(Obstacle),
    /// It has its deployment, and nobody is assigned yet.
    Waiting(String),
    /// Users are assigned.
    Running,
}

impl Stage {
    /// Whether users are assigned, or will be without a change of what somebody wrote.
    pub fn is_to_come(&self) -> bool {
        match self {
            Self::Waiting(_) | Self::Running | Self::Refused(Obstacle::AnotherTest(_)) => true,
            Self::Refused(obstacle) => obstacle.passes(),
            Self::Over | Self::Paused => false,
        }
    }
}

impl Obstacle {
    /// Whether it goes away by itself.
    fn passes(&self) -> bool {
        match self {
            Self::NothingStable | Self::RolloutInProgress(_) => true,
            Self::NoDeployment(_)
            | Self::NoOutcomes(_)
            | Self::BadDesign(_)
            | Self::BadDuration(_)
            | Self::PromoteNeedsLatest(_)
            | Self::PromoteNeedsNewer { .. }
            | Self::UnknownVersion { .. }
            | Self::OtherModel { .. }
            | Self::ControlIsNotStable { .. }
            | Self::AnotherTest(_) => false,
        }
    }
}

/// Every condition of an ABTest.
pub fn conditions(test: &ABTest, stage: &Stage, status: &ABTestStatus, away: bool) -> Vec<Fact> {
    let accepted = match stage {
        Stage::Refused(obstacle) => Fact::new(ConditionType::Accepted, false, obstacle.reason(), obstacle.to_string()),
        Stage::Over | Stage::Paused | Stage::Waiting(_) | Stage::Running => {
            let most = test.spec.design.maximum_units_per_variant.saturating_mul(i64::try_from(test.spec.variants.len()).unwrap_or(0));
            let (looks, duration) = (test.spec.design.looks, test.spec.design.maximum_duration.as_str());
            let message = format!("planned: up to {most} users with an outcome in all variants together, {looks} looks, at most {duration}");
            Fact::new(ConditionType::Accepted, true, "Valid", message)
        }
    };
    let (running, reason, message) = match stage {
        Stage::Over => (false, "Ended", "the test has its verdict".to_owned()),
        Stage::Paused => (false, "Paused", "spec.paused is true: all traffic is at the stable revision".to_owned()),
        Stage::Refused(obstacle) => (false, obstacle.reason(), obstacle.to_string()),
        Stage::Waiting(why) => (false, "Waiting", why.clone()),
        Stage::Running if away => (true, "EvaluatorAway", "users are assigned; the evaluator cannot be asked now, so no look is taken".to_owned()),
        Stage::Running => (true, "Assigning", format!("users are assigned; {} of {} looks were taken", status.looks.len(), test.spec.design.looks)),
    };
    let summary = status.summary.clone().unwrap_or_default();
    let complete = match status.verdict {
        Some(verdict) => Fact::new(ConditionType::Complete, true, verdict.as_str(), summary),
        None => Fact::new(ConditionType::Complete, false, "NoVerdict", "no verdict yet"),
    };
    let ready = running || status.verdict.is_some();
    let stalled = matches!(stage, Stage::Refused(obstacle) if !obstacle.passes());
    let reconciling = !ready && !stalled && *stage != Stage::Paused;
    vec![
        accepted,
        Fact::new(ConditionType::Running, running, reason, message.clone()),
        complete,
        Fact::new(ConditionType::Ready, ready, reason, message.clone()),
        Fact::new(ConditionType::Reconciling, reconciling, reason, message.clone()),
        Fact::new(ConditionType::Stalled, stalled, reason, message),
    ]
}
