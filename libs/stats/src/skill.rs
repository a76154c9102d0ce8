//! How much better a model is than always saying the base rate of the same predictions, valid however often one looks.
//!
//! Skill = 1 − loss / loss of the base rate. Both come from the same predictions, and predictions of one user are not independent, so the error
//! is that of the jackknife over buckets of users (Miller, 1974; Efron and Tibshirani, 1993, chapter 11): each bucket is left out once, and
//! Student's t has a degree of freedom less than there are buckets. It is taken of ln(loss / loss of the base rate), because a mean of losses has a
//! long right tail: when it is low by chance its error looks small, too. A mixture makes the bounds hold at every look ([`crate::Mixture`]).
//! This module must not know what is done about a model that is not good enough.

use crate::moments::real;
use crate::{ENOUGH_BUCKETS, ENOUGH_EVENTS, Effect, Interval, Mixture, Moments, Verdict, normal};

/// Sums over the predictions of one bucket of users.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scored {
    /// Predictions with an outcome.
    pub count: u64,
    /// Their losses.
    pub loss: f64,
    /// Their outcomes.
    pub truth: f64,
    /// Their outcomes, squared.
    pub truth_squared: f64,
}

/// What is lost by a wrong prediction; with it goes what always saying the base rate would lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −ln of the probability of what came true, of an outcome of 0 or 1.
    Logarithm,
    /// The squared error of a probability, of an outcome of 0 or 1.
    Brier,
    /// The squared error of a number.
    Square,
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkillRule {
    /// How it is scored.
    pub loss: Loss,
    /// The skill that it needs; below 1.
    pub minimum: f64,
    /// Outcomes before which nothing is said.
    pub outcomes: u64,
    /// The chance of a false Fail, and that of a false Pass, over all looks.
    pub alpha: f64,
}

/// A model's skill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skill {
    /// Pass, Fail, NoData or TooLittle.
    pub verdict: Verdict,
    /// Predictions with an outcome.
    pub outcomes: u64,
    /// The mean outcome.
    pub base_rate: Option<f64>,
    /// The skill as it was counted.
    pub value: Option<f64>,
    /// The values that the counts leave; each side holds by itself.
    pub bounds: Option<Interval>,
}

/// Judges a model: Pass when every skill that the counts leave is at least the minimum, Fail when every one is below it.
pub fn skill(buckets: &[Scored], rule: SkillRule) -> Skill {
    let whole = buckets.iter().fold(Scored::default(), |sum, bucket| sum.with(bucket));
    let base_rate = (whole.count > 0).then(|| whole.truth / real(whole.count));
    let value = whole.log_ratio(rule.loss).map(|log_ratio| -log_ratio.exp_m1()).filter(|value| value.is_finite());
    let said = |verdict, bounds| Skill { verdict, outcomes: whole.count, base_rate, value, bounds };
    if whole.count == 0 {
        return said(Verdict::NoData, None);
    }
    let Some((bounds, verdict)) = enough(&whole, rule).then(|| judged(buckets, &whole, rule)).flatten() else { return said(Verdict::TooLittle, None) };
    said(verdict, Some(bounds))
}

fn enough(whole: &Scored, rule: SkillRule) -> bool {
    let events = real(ENOUGH_EVENTS);
    let both_classes = rule.loss == Loss::Square || (whole.truth >= events && real(whole.count) - whole.truth >= events);
    whole.count >= rule.outcomes.max(1) && both_classes
}

fn judged(buckets: &[Scored], whole: &Scored, rule: SkillRule) -> Option<(Interval, Verdict)> {
    let effect = jackknife(buckets, whole, rule.loss)?;
    // Tightest when there is just enough: a bad model should not stay longer than it must.
    let mixture = Mixture::one_sided(real(rule.outcomes.max(1)), rule.alpha)?;
    // As rare by Student's t as the mixture's bound is for a normal number.
    let rare = normal::cdf(-mixture.bound_one_sided(effect.units) / effect.units.sqrt());
    let (left, asked) = (effect.interval(2.0 * rare)?, (-rule.minimum).ln_1p());
    let verdict = match () {
        () if left.lower > asked => Verdict::Fail,
        () if left.upper <= asked => Verdict::Pass,
        () => Verdict::TooLittle,
    };
    Some((Interval { lower: -left.upper.exp_m1(), upper: -left.lower.exp_m1() }, verdict))
}

/// ln(loss / loss of the base rate) with its error; `None` while fewer than eight buckets are filled, or leaving one out leaves nothing to compare.
fn jackknife(buckets: &[Scored], whole: &Scored, loss: Loss) -> Option<Effect> {
    let filled = || buckets.iter().filter(|bucket| bucket.count > 0);
    if filled().count() < ENOUGH_BUCKETS {
        return None;
    }
    let without: Vec<f64> = filled().map(|bucket| whole.without(bucket).log_ratio(loss)).collect::<Option<_>>()?;
    let spread = without.iter().fold(Moments::default(), |spread, value| spread.with(*value));
    let count = real(spread.count);
    Effect::new(whole.log_ratio(loss)?, (count - 1.0) / count * spread.squares, count - 1.0, real(whole.count))
}

impl Scored {
    fn with(self, other: &Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            loss: self.loss + other.loss,
            truth: self.truth + other.truth,
            truth_squared: self.truth_squared + other.truth_squared,
        }
    }

    fn without(self, other: &Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            loss: self.loss - other.loss,
            truth: self.truth - other.truth,
            truth_squared: self.truth_squared - other.truth_squared,
        }
    }

    /// ln(loss / loss of always saying the base rate); `None` where that loses nothing, or is lost in the digits of sums. −∞ for a model that
    /// loses nothing.
    fn log_ratio(&self, loss: Loss) -> Option<f64> {
        let (count, rate) = (real(self.count), self.truth / real(self.count.max(1)));
        let base = match loss {
            Loss::Logarithm => -(rate * rate.ln() + (1.0 - rate) * (-rate).ln_1p()),
            Loss::Brier => rate * (1.0 - rate),
            Loss::Square => Moments::of_sums(self.count, self.truth, self.truth_squared)?.squares / count,
        };
        let usable = base > 0.0 && self.loss >= 0.0 && base.is_finite();
        usable.then(|| (self.loss / (count * base)).ln())
    }
}

#[cfg(test)]
mod tests;
