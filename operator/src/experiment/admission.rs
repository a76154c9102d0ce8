//! Whether an ABTest may have its deployment. Both controllers ask here: the ModelDeployment's splits traffic, the ABTest's tells its author.
//!
//! One test at a time has a deployment: the one that has it already, else the oldest that nothing stands against. Until users are assigned
//! it holds nothing back: whatever is to be rolled out goes first. This module must not know approvals and pods, for which a test that has
//! its deployment waits, nor what a test found.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ab_test::OnWinner;
use plimsoll_crds::model_deployment::LATEST;
use plimsoll_crds::{ABTest, ModelDeployment, ModelVersion};
use plimsoll_stats::experiment::Mistake;

use super::design::design;

/// What stands against a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// No such ModelDeployment.
    NoDeployment(String),
    /// It collects no outcomes.
    NoOutcomes(String),
    /// The design cannot be judged.
    BadDesign(Mistake),
    /// The longest time is none.
    BadDuration(String),
    /// The winner cannot be promoted.
    PromoteNeedsLatest(String),
    /// `Latest` never goes back, so such a winner would never be rolled out.
    PromoteNeedsNewer {
        /// The variant.
        variant: String,
        /// What it names.
        version: String,
    },
    /// There is no such ModelVersion.
    UnknownVersion {
        /// The variant.
        variant: String,
        /// What it names.
        version: String,
    },
    /// The version is of another line of models.
    OtherModel {
        /// The variant.
        variant: String,
        /// What it names.
        version: String,
        /// The line of the deployment.
        line: String,
    },
    /// Nothing is stable yet.
    NothingStable,
    /// The control is not what serves.
    ControlIsNotStable {
        /// What the control names.
        control: String,
        /// What serves.
        stable: String,
    },
    /// A rollout is under way, or its predecessor is kept warm.
    RolloutInProgress(String),
    /// Another test has the deployment.
    AnotherTest(String),
}

impl Obstacle {
    /// The reason of conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoDeployment(_) => "NoDeployment",
            Self::NoOutcomes(_) => "NoOutcomes",
            Self::BadDesign(_) | Self::BadDuration(_) => "BadDesign",
            Self::PromoteNeedsLatest(_) => "PromoteNeedsLatest",
            Self::PromoteNeedsNewer { .. } => "PromoteNeedsNewer",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::OtherModel { .. } => "OtherModel",
            Self::NothingStable => "NothingStable",
            Self::ControlIsNotStable { .. } => "ControlIsNotStable",
            Self::RolloutInProgress(_) => "RolloutInProgress",
            Self::AnotherTest(_) => "AnotherTest",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDeployment(name) => write!(formatter, "spec.deployment: there is no ModelDeployment {name:?} in this namespace"),
            Self::NoOutcomes(name) => {
                write!(formatter, "spec.primary.metric: the ModelDeployment {name} collects no outcomes; set its spec.outcomes, or nobody knows who was right")
            }
            Self::BadDesign(mistake) => write!(formatter, "spec.design: {mistake}"),
            Self::BadDuration(text) => write!(formatter, "spec.design.maximumDuration: {text:?} is no duration above 0, such as 14d"),
            Self::PromoteNeedsLatest(version) => {
                write!(formatter, "spec.onWinner: Promote needs a ModelDeployment with version: Latest, and its spec names {version}; nobody's spec is written")
            }
            Self::PromoteNeedsNewer { variant, version } => {
                write!(
                    formatter,
                    "spec.onWinner: Promote needs treatments that are newer than what serves, and {variant}, {version}, is older: Latest never goes back"
                )
            }
            Self::UnknownVersion { variant, version } => write!(formatter, "spec.variants: {variant} names the ModelVersion {version:?}, which does not exist"),
            Self::OtherModel { variant, version, line } => {
                write!(formatter, "spec.variants: {variant} names {version:?}, which is no version of the model {line:?} that the deployment serves")
            }
            Self::NothingStable => formatter.write_str("the deployment serves nothing yet; the test begins when it does"),
            Self::ControlIsNotStable { control, stable } => {
                write!(
                    formatter,
                    "spec.variants: the first one, the control, names {control}, and the deployment serves {stable}: a test compares with what serves"
                )
            }
            Self::RolloutInProgress(what) => write!(formatter, "{what}; the test begins when that is over"),
            Self::AnotherTest(name) => {
                write!(formatter, "the ABTest {name} has this deployment, and one test at a time splits its traffic: delete one of them, or wait")
            }
        }
    }
}

/// The world of a test, besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The deployment.
    pub deployment: &'a ModelDeployment,
    /// The ABTests of the namespace.
    pub tests: &'a [ABTest],
    /// The ModelVersions of the namespace.
    pub versions: &'a [ModelVersion],
}

impl<'a> Ground<'a> {
    /// The test that has the deployment, or gets it now.
    pub fn holder(&self) -> Option<&'a ABTest> {
        let mut able: Vec<&ABTest> = self.tests.iter().filter(|test| self.asks(test) && self.own(test).is_none()).collect();
        able.sort_by_key(|test| (!self.has(test), created(test), test.metadata.name.clone()));
        let first = able.into_iter().next()?;
        // Whoever splits its traffic keeps it: nothing is rolled out meanwhile.
        (self.splits(first) || self.rollout().is_none()).then_some(first)
    }

    /// What stands against this test.
    pub fn obstacle(&self, test: &ABTest) -> Option<Obstacle> {
        let other = self.holder().filter(|holder| holder.metadata.uid != test.metadata.uid);
        let other = || other.map(|holder| Obstacle::AnotherTest(holder.metadata.name.clone().unwrap_or_default()));
        let rollout = || if self.splits(test) { None } else { self.rollout() };
        self.own(test).or_else(other).or_else(rollout)
    }

    /// Whether the test wants to run at all.
    fn asks(&self, test: &ABTest) -> bool {
        let over = test.status.as_ref().is_some_and(|status| status.verdict.is_some());
        is_about(test, self.deployment) && !over && !test.spec.paused && test.metadata.deletion_timestamp.is_none()
    }

    fn has(&self, test: &ABTest) -> bool {
        let held = self.deployment.status.as_ref().and_then(|status| status.test.as_ref());
        held.is_some_and(|held| test.metadata.uid.as_deref() == Some(&held.uid))
    }

    fn splits(&self, test: &ABTest) -> bool {
        let splitting = self.deployment.status.as_ref().and_then(|status| status.test.as_ref()).is_some_and(|held| held.splitting);
        splitting && self.has(test)
    }

    /// What is wrong with the test, or between it and the deployment, whoever else is there.
    fn own(&self, test: &ABTest) -> Option<Obstacle> {
        let (deployment, spec) = (self.deployment, &test.spec);
        if deployment.spec.outcomes.is_none() {
            return Some(Obstacle::NoOutcomes(spec.deployment.clone()));
        }
        if let Err(mistake) = design(spec).check() {
            return Some(Obstacle::BadDesign(mistake));
        }
        if spec.design.maximum_duration.to_std().is_none_or(|longest| longest.is_zero()) {
            return Some(Obstacle::BadDuration(spec.design.maximum_duration.as_str().to_owned()));
        }
        if spec.on_winner == OnWinner::Promote && deployment.spec.model.version != LATEST {
            return Some(Obstacle::PromoteNeedsLatest(deployment.spec.model.version.clone()));
        }
        self.versions_of(test).or_else(|| self.control(test)).or_else(|| self.older(test))
    }

    fn versions_of(&self, test: &ABTest) -> Option<Obstacle> {
        let line = &self.deployment.spec.model.name;
        test.spec.variants.iter().find_map(|variant| {
            let (name, version) = (variant.name.clone(), variant.model_version.clone());
            match self.versions.iter().find(|known| known.metadata.name.as_ref() == Some(&version)) {
                None => Some(Obstacle::UnknownVersion { variant: name, version }),
                Some(known) if known.spec.model != *line => Some(Obstacle::OtherModel { variant: name, version, line: line.clone() }),
                Some(_) => None,
            }
        })
    }

    fn control(&self, test: &ABTest) -> Option<Obstacle> {
        let Some(stable) = self.deployment.status.as_ref().and_then(|status| status.stable.as_ref()) else { return Some(Obstacle::NothingStable) };
        let (control, stable) = (test.spec.variants.first().map(|variant| variant.model_version.clone())?, stable.reference.model_version.clone());
        (control != stable).then_some(Obstacle::ControlIsNotStable { control, stable })
    }

    fn older(&self, test: &ABTest) -> Option<Obstacle> {
        let created = |name: &str| {
            let version = self.versions.iter().find(|version| version.metadata.name.as_deref() == Some(name))?;
            version.metadata.creation_timestamp.as_ref().map(|time| time.0)
        };
        let serves = created(&test.spec.variants.first()?.model_version)?;
        let is_older = |name: &str| created(name).is_some_and(|created| created < serves);
        let mut treatments = test.spec.variants.iter().skip(1).filter(|_| test.spec.on_winner == OnWinner::Promote);
        let found = treatments.find(|variant| is_older(&variant.model_version))?;
        Some(Obstacle::PromoteNeedsNewer { variant: found.name.clone(), version: found.model_version.clone() })
    }

    fn rollout(&self) -> Option<Obstacle> {
        let status = self.deployment.status.as_ref()?;
        let candidate = status.candidate.as_ref().map(|candidate| format!("{} is being rolled out", candidate.reference.model_version));
        let warm = || status.previous.as_ref().map(|previous| format!("{} is kept warm after a rollout", previous.reference.model_version));
        candidate.or_else(warm).map(Obstacle::RolloutInProgress)
    }
}

/// Whether the test is about this deployment.
pub fn is_about(test: &ABTest, deployment: &ModelDeployment) -> bool {
    deployment.metadata.name.as_ref() == Some(&test.spec.deployment) && test.metadata.namespace == deployment.metadata.namespace
}

/// Whether `Latest` leaves this version to a test: one that tries it, or tried it and did not hand it over. A person may still name it.
pub fn is_left_to_a_test(version: &str, deployment: &ModelDeployment, tests: &[ABTest]) -> bool {
    let tries = |test: &&ABTest| is_about(test, deployment) && test.spec.variants.iter().skip(1).any(|variant| variant.model_version == version);
    let stable = deployment.status.as_ref().and_then(|status| status.stable.as_ref()).map(|stable| stable.reference.model_version.as_str());
    let mut tried = tests.iter().filter(tries).peekable();
    stable != Some(version) && tried.peek().is_some() && !tried.any(|test| hands_over(test, version))
}

fn hands_over(test: &ABTest, version: &str) -> bool {
    let winner = test.status.as_ref().and_then(|status| status.winner.as_ref());
    let won = winner.is_some_and(|winner| test.spec.variants.iter().any(|variant| variant.name == *winner && variant.model_version == version));
    won && test.spec.on_winner == OnWinner::Promote
}

fn created(test: &ABTest) -> Option<Timestamp> {
    test.metadata.creation_timestamp.as_ref().map(|time| time.0)
}
