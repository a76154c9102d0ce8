//! How many users a test takes, and how long, said before it starts: from what the control's revision answered until then. Pure.
//!
//! It is an estimate, and decides nothing: a test that is too small is told so, and runs. What users of the deployment show holds for users of
//! the test only where the same header names both; elsewhere nothing is planned rather than something wrong. What is counted grows all the
//! time, so a plan is written again only where its numbers are others by a fifth (I8). This module must not know looks.

mod words;

use plimsoll_crds::ab_test::{Mode, TestPlan};
use plimsoll_crds::{ABTest, ModelDeployment};
use plimsoll_stats::experiment::{Design, SamplePlan, Spread, plan};
use plimsoll_stats::{Bucket, Buckets, duration, unit_variance};

use super::design::design;
use super::plan::{Observed, maturity};
use super::quality::{Quality, Users};

/// Users before their spread is more than a guess. They fill fifty of the 64 buckets, whose variance is then known to 20 %.
const ENOUGH_USERS: u64 = 100;
/// The share of calls with an outcome that must be a user's: the others fall into buckets by themselves, and make users look more alike.
const NAMED: f64 = 0.95;
/// How many times larger a number must be to be news. Within it, chance alone moves an estimate from 64 buckets.
const NEWS: f64 = 1.2;
/// The same for the users that it was estimated from.
const MANY_MORE: f64 = 2.0;
/// Digits of estimates.
const DIGITS: usize = 2;
/// Digits of differences and times, which change less with the spread.
const FINE: usize = 3;

/// Why nothing can be said. Nothing in it changes with each call.
#[derive(Clone, Debug, PartialEq)]
enum Missing {
    /// Nobody has seen how the answers of both models differ.
    Paired,
    /// The deployment does not know whose calls are whose.
    NoHeader(String),
    /// It knows other units.
    OtherHeader { deployment: String, test: String },
    /// The evaluator was not asked.
    Away,
    /// It is of a release that counts nobody outside of tests.
    OldEvaluator,
    /// Nobody has an outcome.
    NoOutcomes,
    /// Calls without the header.
    Nameless(String),
    /// Hardly anybody has an outcome.
    FewUsers,
    /// No two users differ.
    NothingVaries,
}

/// What users did before the test.
struct History {
    users: Users,
    /// In seconds.
    span: f64,
    /// Of the metric of a user.
    variance: f64,
}

/// What the history says of a design.
struct Expected {
    /// Users for each variant, were the weights even, that the effect takes.
    needed: f64,
    /// Those that will be there: planned, or fewer if the time is over before.
    reached: f64,
    /// The smallest effect that those find.
    effect: f64,
    /// The same, were the planned ones there.
    effect_of_planned: f64,
    /// New users in an hour.
    hourly: f64,
    /// Until the end, in seconds.
    seconds: f64,
}

/// The plan as it stands after this pass: the old one where nothing is news. `None` while nothing serves.
pub fn forecast(test: &ABTest, observed: &Observed) -> Option<TestPlan> {
    let old = test.status.as_ref().and_then(|status| status.plan.clone());
    let Some(new) = estimated(test, observed) else { return old };
    match (old, new) {
        // An evaluator that is away for a while takes nothing back.
        (Some(old), Err(Missing::Away)) => Some(old),
        (Some(old), Ok(new)) if !is_news(&old, &new) => Some(old),
        (_, Ok(new)) => Some(new),
        (_, Err(missing)) => Some(TestPlan { message: missing.to_string(), units_planned: test.spec.design.maximum_units_per_variant, ..TestPlan::default() }),
    }
}

fn estimated(test: &ABTest, observed: &Observed) -> Option<Result<TestPlan, Missing>> {
    let deployment = observed.deployment.as_ref()?;
    let revision = &deployment.status.as_ref()?.stable.as_ref()?.reference.revision;
    let history = same_users(test, deployment).and_then(|()| {
        let quality = observed.counted.as_ref().and_then(|counted| counted.as_ref().ok()).ok_or(Missing::Away)?;
        history(test, quality, revision)
    });
    Some(history.and_then(|history| {
        let wait = maturity(observed).and_then(|seconds| u64::try_from(seconds).ok()).map_or(0.0, real);
        let expected = expected(test, &history, wait).ok_or(Missing::NothingVaries)?;
        Ok(to_status(test, &history, &expected, revision))
    }))
}

/// Whether the deployment's users are those of the test.
fn same_users(test: &ABTest, deployment: &ModelDeployment) -> Result<(), Missing> {
    let header = test.spec.unit.header.clone();
    if test.spec.mode == Mode::Paired {
        return Err(Missing::Paired);
    }
    match &deployment.spec.router.sticky_header {
        None => Err(Missing::NoHeader(header)),
        Some(other) if *other != header => Err(Missing::OtherHeader { deployment: other.clone(), test: header }),
        Some(_) => Ok(()),
    }
}

fn history(test: &ABTest, quality: &Quality, revision: &str) -> Result<History, Missing> {
    let counted = quality.outside(revision).ok_or(Missing::NoOutcomes)?;
    let users = counted.users.ok_or(Missing::OldEvaluator)?;
    let buckets: Vec<Bucket> = counted.buckets(test.spec.primary.metric.outcome).collect();
    let calls = buckets.iter().fold(0_u64, |sum, bucket| sum.saturating_add(bucket.calls));
    if calls == 0 {
        return Err(if buckets.is_empty() { Missing::OldEvaluator } else { Missing::NoOutcomes });
    }
    if real(users.calls) < NAMED * real(calls) {
        return Err(Missing::Nameless(test.spec.unit.header.clone()));
    }
    let span = real(u64::try_from(quality.counted_until.saturating_sub(users.since)).unwrap_or(0)) / 1_000.0;
    if users.labelled < ENOUGH_USERS || span <= 0.0 {
        return Err(Missing::FewUsers);
    }
    let variance = unit_variance(Buckets { buckets: &buckets, units: users.labelled }).ok_or(Missing::FewUsers)?;
    Ok(History { users, span, variance })
}

/// Users come at the rate at which new ones came so far, which is that of the whole history: those who come back are new to the test once, too,
/// but fewer of them later. `None` where nothing varies.
fn expected(test: &ABTest, history: &History, maturity: f64) -> Option<Expected> {
    let design: Design = design(&test.spec);
    let SamplePlan { units_per_variant, effect_at_maximum, .. } = plan(&design, Spread::Variance(history.variance))?;
    let rate = real(history.users.labelled) / history.span;
    let assigning = duration(design.total_units(), rate, 0.0)?;
    let longest = test.spec.design.maximum_duration.to_std().map_or(f64::INFINITY, |longest| longest.as_secs_f64());
    let part = (longest / assigning).min(1.0);
    Some(Expected {
        needed: rounded(units_per_variant, DIGITS),
        reached: if part < 1.0 { rounded(part * real(design.maximum_units), DIGITS) } else { real(design.maximum_units) },
        effect: rounded(effect_at_maximum / part.sqrt(), FINE),
        effect_of_planned: rounded(effect_at_maximum, FINE),
        hourly: rounded(3_600.0 * rate, DIGITS),
        seconds: rounded(assigning.min(longest) + maturity, FINE),
    })
}

fn to_status(test: &ABTest, history: &History, expected: &Expected, revision: &str) -> TestPlan {
    TestPlan {
        message: words::said(test, history, expected, revision),
        units_planned: test.spec.design.maximum_units_per_variant,
        units_needed: Some(whole(expected.needed)),
        detectable_effect: Some(expected.effect),
        expected_seconds: Some(whole(expected.seconds)),
        enough: Some(expected.needed <= expected.reached),
        revision: Some(revision.to_owned()),
        units_observed: Some(whole(rounded(real(history.users.labelled), DIGITS))),
    }
}

/// Whether a plan with numbers says something else than the old one.
fn is_news(old: &TestPlan, new: &TestPlan) -> bool {
    let beyond = |old: Option<f64>, new: Option<f64>, factor: f64| match (old, new) {
        (Some(old), Some(new)) => old.max(new) > factor * old.min(new),
        (old, new) => old != new,
    };
    let number = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).map(real);
    old.revision != new.revision
        || beyond(number(old.units_needed), number(new.units_needed), NEWS)
        || beyond(old.detectable_effect, new.detectable_effect, NEWS)
        || beyond(number(old.expected_seconds), number(new.expected_seconds), NEWS)
        || beyond(number(old.units_observed), number(new.units_observed), MANY_MORE)
}

/// To so many digits, so that nobody takes it for more than an estimate.
fn rounded(number: f64, digits: usize) -> f64 {
    format!("{number:.*e}", digits.saturating_sub(1)).parse().unwrap_or(number)
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53 become numbers")]
fn real(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a number that is too large becomes the largest")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests;
