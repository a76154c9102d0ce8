//! The status that follows from what was counted. Pure and total.
//!
//! **Invariants:** a look is written before anything follows from it, and never twice; a verdict is written once and stays; what cannot be
//! counted decides nothing. Traffic follows the verdict because the ModelDeployment's controller reads it: nothing is moved here.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_crds::ab_test::{Mode, SampleRatioStatus, TestReport, TestVerdict};
use plimsoll_crds::{ABTest, ABTestStatus, ModelDeployment, ModelVersion, condition, names};
use plimsoll_stats::Calls;
use plimsoll_stats::experiment::{Arm, Judgement, Look, Names, Verdict, judge, sentence};

use super::admission::{Ground, Obstacle};
use super::design::{design, from_status, to_status};
use super::forecast::forecast;
use super::guardrail::breach;
use super::quality::{Quality, spoken};
use super::stage::{Stage, conditions};
use crate::kube_io::Note;

/// Besides its time: what the newest outcomes take to be counted.
const COUNTING: SignedDuration = SignedDuration::from_secs(60);
/// Besides both: how much later pairs are counted, so that clocks may differ by so much.
const PAIRING: SignedDuration = SignedDuration::from_secs(15);
/// How long an evaluator that cannot be asked is waited for after the end of a test.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// What is waited for last.
const ROUTERS: &str =
    "routers report that they split the traffic; those of a release that knows no tests never do: a change of spec.router.resources replaces them";
/// How soon a report is handed over again that was not taken.
const TELL_AGAIN: Duration = Duration::from_secs(30);
/// How often a running test is looked at, if its deployment does not say.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The deployment that the test names.
    pub deployment: Option<ModelDeployment>,
    /// The ABTests of the namespace.
    pub tests: Vec<ABTest>,
    /// The ModelVersions of the namespace.
    pub versions: Vec<ModelVersion>,
    /// What the evaluator counted, or why it cannot be asked; `None` if it was not.
    pub counted: Option<Result<Quality, String>>,
    /// The calls of each variant, control first; none if they were not read.
    pub calls: Vec<Calls>,
    /// The report that the evaluator has taken in this pass.
    pub reported: Option<TestReport>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: ABTestStatus,
    /// Events.
    pub notes: Vec<Note>,
    /// When to look again although nothing happened.
    pub wake: Option<Duration>,
}

/// How a test ended.
struct End {
    verdict: TestVerdict,
    winner: Option<String>,
    summary: String,
}

/// Plans one pass.
pub fn plan(test: &ABTest, observed: &Observed, now: Timestamp) -> Plan {
    let old = test.status.clone().unwrap_or_default();
    let (stage, now) = (stage(test, observed), Time(now));
    let mut status = old.clone();
    if is_judged(test, &stage) || stage == Stage::Running {
        run(test, observed, &mut status, &now);
    }
    if is_forecast(test, &stage) {
        status.plan = forecast(test, observed);
    }
    if observed.reported.is_some() {
        status.report.clone_from(&observed.reported);
    }
    let watched = status.started_at.is_some() || is_forecast(test, &stage);
    let shown = if status.verdict.is_some() { Stage::Over } else { stage };
    let generation = test.metadata.generation.unwrap_or_default();
    status.observed_generation = Some(generation);
    let away = matches!(observed.counted, Some(Err(_)));
    status.conditions = condition::merge(&old.conditions, &conditions(test, &shown, &status, away), generation, &now);
    let collects = observed.deployment.as_ref().is_some_and(|deployment| deployment.spec.outcomes.is_some());
    let wake = match shown {
        Stage::Running if old.looks != status.looks || old.started_at != status.started_at => Some(Duration::ZERO),
        // The evaluator was away, or was handed the verdict in this very pass.
        Stage::Over if collects && unreported(test, &status).is_some() => Some(TELL_AGAIN),
        Stage::Over | Stage::Paused => None,
        Stage::Running => Some(interval(observed)),
        Stage::Refused(_) | Stage::Waiting(_) => watched.then(|| interval(observed)),
    };
    Plan { notes: notes(&old, &status), status, wake }
}

/// Whether a test that began is looked at, although users may not be assigned any more: its last outcomes are to come.
pub fn is_judged(test: &ABTest, stage: &Stage) -> bool {
    let started = test.status.as_ref().is_some_and(|status| status.started_at.is_some());
    started && !matches!(stage, Stage::Over | Stage::Paused)
}

/// Whether it is asked what the test will take: from its start on, what was planned is part of the record.
pub fn is_forecast(test: &ABTest, stage: &Stage) -> bool {
    let started = test.status.as_ref().is_some_and(|status| status.started_at.is_some());
    !started && stage.is_to_come()
}

/// Where the test stands before this pass.
pub fn stage(test: &ABTest, observed: &Observed) -> Stage {
    if test.status.as_ref().is_some_and(|status| status.verdict.is_some()) {
        return Stage::Over;
    }
    if test.spec.paused {
        return Stage::Paused;
    }
    let Some(deployment) = &observed.deployment else { return Stage::Refused(Obstacle::NoDeployment(test.spec.deployment.clone())) };
    if let Some(obstacle) = (Ground { deployment, tests: &observed.tests, versions: &observed.versions }).obstacle(test) {
        return Stage::Refused(obstacle);
    }
    let status = deployment.status.clone().unwrap_or_default();
    let held = status.test.filter(|held| test.metadata.uid.as_ref() == Some(&held.uid));
    let Some(held) = held else { return Stage::Waiting("the deployment takes notice of the test".to_owned()) };
    if let Some(why) = held.waiting_for.filter(|_| !held.splitting) {
        return Stage::Waiting(why);
    }
    let started = test.status.as_ref().is_some_and(|status| status.started_at.is_some());
    let verified = status.routes.is_some_and(|routes| routes.verified);
    if held.splitting && (started || verified) { Stage::Running } else { Stage::Waiting(ROUTERS.to_owned()) }
}

/// The report that the evaluator does not have yet; `None` while there is nothing new to tell.
pub fn unreported(test: &ABTest, status: &ABTestStatus) -> Option<TestReport> {
    let (name, namespace) = (test.metadata.name.as_deref()?, test.metadata.namespace.as_deref()?);
    let url = format!("http://{}.{namespace}:{}/v1/reports/{name}", names::evaluator(&test.spec.deployment), names::SERVING_PORT.1);
    let report = TestReport { url, looks: i32::try_from(status.looks.len()).unwrap_or(i32::MAX), complete: status.verdict.is_some() };
    (status.started_at.is_some() && status.report.as_ref() != Some(&report)).then_some(report)
}

/// One look at a test whose users are being assigned.
fn run(test: &ABTest, observed: &Observed, status: &mut ABTestStatus, now: &Time) {
    let maturity = maturity(observed);
    let Some(started) = status.started_at.clone() else {
        status.started_at = Some(now.clone());
        status.maturity_seconds = maturity;
        return;
    };
    let over = is_over(test, &started, maturity, now);
    let quality = observed.counted.as_ref().and_then(|counted| counted.as_ref().ok());
    let judged = quality.and_then(|quality| judged(test, status, quality, over).ok());
    let verdict = judged.as_ref().and_then(|judged| judged.end(test));
    let end = harm(test, observed)
        .or(verdict)
        .or_else(|| changed(test, status, maturity, quality))
        .or_else(|| rejected(test, observed))
        .or_else(|| unheard(observed, test, &started, maturity, now));
    if let Some(judged) = &judged {
        let ratio = judged.judgement.sample_ratio;
        let look = judged.judgement.look.as_ref().filter(|_| end.is_none());
        status.looks.extend(look.map(|look| to_status(look, &test.spec, judged.quality.counted_until, now)));
        if look.is_some() || end.is_some() {
            status.sample_ratio = Some(SampleRatioStatus { assigned: ratio.ln_e_assigned, labelled: ratio.ln_e_labelled });
        }
    }
    if let Some(end) = end {
        (status.verdict, status.winner, status.summary, status.ended_at) = (Some(end.verdict), end.winner, Some(end.summary), Some(now.clone()));
    }
}

/// What the judge said, and of what.
struct Judged<'a> {
    judgement: Judgement,
    quality: &'a Quality,
    looks: Vec<Look>,
    arms: Vec<Arm>,
}

fn judged<'a>(test: &ABTest, status: &ABTestStatus, quality: &'a Quality, over: bool) -> Result<Judged<'a>, plimsoll_stats::experiment::Mistake> {
    let arms = quality.arms(&labels(test), test.spec.primary.metric.outcome);
    let looks: Vec<Look> = status.looks.iter().map(from_status).collect();
    judge(&design(&test.spec), &looks, &arms, over).map(|judgement| Judged { judgement, quality, looks, arms })
}

/// The names of the test's variants in routes and counters.
pub fn labels(test: &ABTest) -> Vec<String> {
    let (name, uid) = (test.metadata.name.as_deref().unwrap_or_default(), test.metadata.uid.as_deref().unwrap_or_default());
    test.spec.variants.iter().map(|variant| names::variant(name, uid, &variant.name)).collect()
}

impl Judged<'_> {
    fn end(&self, test: &ABTest) -> Option<End> {
        let verdict = self.judgement.verdict?;
        let variants: Vec<&str> = test.spec.variants.iter().map(|variant| variant.name.as_str()).collect();
        let names = Names { variants: &variants, metric: spoken(test.spec.primary.metric.outcome) };
        let (said, winner) = match verdict {
            Verdict::Winner { variant } => (TestVerdict::Winner, variants.get(variant).map(|name| (*name).to_owned())),
            Verdict::NoDifference => (TestVerdict::NoDifference, None),
            Verdict::Inconclusive => (TestVerdict::Inconclusive, None),
            Verdict::Invalid(_) => (TestVerdict::Invalid, None),
        };
        Some(End { verdict: said, winner, summary: sentence(&design(&test.spec), verdict, &names, &self.looks, &self.arms) })
    }
}

/// Harm ends a test whatever was counted.
fn harm(test: &ABTest, observed: &Observed) -> Option<End> {
    let control = test.spec.variants.first().map(|variant| variant.name.clone()).unwrap_or_default();
    let breach = breach(test, &observed.calls)?;
    let traffic = match test.spec.mode {
        Mode::Split => format!("All traffic is back at {control}"),
        Mode::Paired => "No call is copied any more".to_owned(),
    };
    Some(End::inconclusive(format!("A guardrail failed: {breach}. {traffic}; what the primary metric would have said is not known.")))
}

/// What makes users before and after incomparable.
fn changed(test: &ABTest, status: &ABTestStatus, maturity: Option<i64>, quality: Option<&Quality>) -> Option<End> {
    let said = |seconds: Option<i64>| seconds.map_or_else(|| "an unknown time".to_owned(), |seconds| format!("{seconds} s"));
    let window = (status.maturity_seconds != maturity && maturity.is_some()).then(|| {
        let (before, after) = (said(status.maturity_seconds), said(maturity));
        format!("The deployment waited {before} for outcomes when the test began, and now waits {after}: users before and after cannot be compared.")
    });
    let twice = || {
        let variant = labels(test).into_iter().find(|label| quality.is_some_and(|quality| quality.revisions(label) > 1))?;
        Some(format!("{variant} was answered by two revisions, because something was rolled out while the test was paused: its users would count twice."))
    };
    let fewer = || {
        let last: i64 = status.looks.last()?.units.iter().sum();
        let now = quality?.arms(&labels(test), test.spec.primary.metric.outcome).iter().fold(0_u64, |sum, arm| sum.saturating_add(arm.labelled_units));
        let lost = i64::try_from(now).is_ok_and(|now| now < last);
        lost.then(|| format!("The evaluator knows {now} users with an outcome, and knew {last} at the last look: its database was changed."))
    };
    let why = window.or_else(twice).or_else(fewer)?;
    Some(End { verdict: TestVerdict::Invalid, winner: None, summary: format!("{why} Make another test.") })
}

/// A gatekeeper's rejection ends a test that began.
fn rejected(test: &ABTest, observed: &Observed) -> Option<End> {
    let held = observed.deployment.as_ref()?.status.as_ref()?.test.as_ref()?;
    let why = held.waiting_for.as_ref().filter(|_| held.rejected && test.metadata.uid.as_ref() == Some(&held.uid))?;
    Some(End::inconclusive(format!("A gatekeeper rejected what was tested ({why}): the test ended before it could tell.")))
}

/// Nobody can be asked, long after the last outcomes should have come.
fn unheard(observed: &Observed, test: &ABTest, started: &Time, maturity: Option<i64>, now: &Time) -> Option<End> {
    let earlier = now.0.checked_sub(PATIENCE).ok().map(Time)?;
    let given_up = !matches!(observed.counted, Some(Ok(_))) && is_over(test, started, maturity, &earlier);
    given_up.then(|| End::inconclusive("The time of the test is over, and its evaluator cannot be asked: the test ended before it could tell.".to_owned()))
}

impl End {
    fn inconclusive(summary: String) -> Self {
        Self { verdict: TestVerdict::Inconclusive, winner: None, summary }
    }
}

/// Whether the longest time is over, and the outcomes of the last users were waited for: the next look is the last.
fn is_over(test: &ABTest, started: &Time, maturity: Option<i64>, now: &Time) -> bool {
    let longest = test.spec.design.maximum_duration.to_std().and_then(|longest| SignedDuration::try_from(longest).ok());
    let counting = if test.spec.mode == Mode::Paired { COUNTING + PAIRING } else { COUNTING };
    let waited = SignedDuration::from_secs(maturity.unwrap_or_default()).checked_add(counting);
    let whole = longest.zip(waited).and_then(|(longest, waited)| longest.checked_add(waited));
    whole.is_some_and(|whole| now.0.duration_since(started.0) > whole)
}

/// How long outcomes are waited for, in seconds.
pub fn maturity(observed: &Observed) -> Option<i64> {
    let window = observed.deployment.as_ref()?.spec.outcomes.as_ref()?.maturity.to_std()?;
    i64::try_from(window.as_secs()).ok()
}

fn interval(observed: &Observed) -> Duration {
    let asked = observed.deployment.as_ref().and_then(|deployment| deployment.spec.check_interval.to_std());
    asked.unwrap_or(LOOK_EVERY).max(Duration::from_secs(1))
}

/// One event for what is new.
fn notes(old: &ABTestStatus, new: &ABTestStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let too_small = |status: &ABTestStatus| status.plan.clone().filter(|plan| plan.enough == Some(false));
    if let (None, Some(plan)) = (too_small(old), too_small(new)) {
        notes.push(Note { warning: true, reason: "PlanTooSmall", message: plan.message });
    }
    if old.started_at.is_none() && new.started_at.is_some() {
        notes.push(Note { warning: false, reason: "TestStarted", message: "users are assigned to variants".to_owned() });
    }
    for look in new.looks.iter().skip(old.looks.len()) {
        let units: i64 = look.units.iter().sum();
        notes.push(Note { warning: false, reason: "Looked", message: format!("look {} at {units} users with an outcome", look.number) });
    }
    if let (None, Some(verdict)) = (old.verdict, new.verdict) {
        let warning = verdict == TestVerdict::Invalid;
        notes.push(Note { warning, reason: "TestEnded", message: format!("{verdict:?}: {}", new.summary.as_deref().unwrap_or_default()) });
    }
    notes
}
