//! The difference between two variants with its standard error: what every test on it starts from.
//!
//! A unit (a user, a tail number) is what was assigned; calls of one unit are not independent. So a mean over units is compared by Welch's
//! test, a ratio of two sums over units by the delta method, and where units cannot be kept apart, by buckets of them. This module must not
//! know how often one looks.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::moments::real;
use crate::search::edge_above;
use crate::{Interval, Moments, Pairs, normal};

/// Units with an event, and without one, in each variant before a difference of shares is near enough to normal: with fewer, a small
/// variant without any event has no variance, and tests that watch it reject too often.
pub const ENOUGH_EVENTS: u64 = 25;
/// Filled buckets of each variant before their spread is known well enough.
pub const ENOUGH_BUCKETS: usize = 8;

/// Treatment minus control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The difference.
    pub estimate: f64,
    /// Its standard error; above 0.
    pub standard_error: f64,
    /// Degrees of freedom of that error; infinite where it is as good as known.
    pub degrees: f64,
    /// What tests that are watched count by: as many units, evenly split, would tell as much. 4·n₁·n₂ / (n₁ + n₂). Not 1 / variance, which is
    /// estimated from the same outcomes as the difference, and so would let chance decide when to look.
    pub units: f64,
}

impl Effect {
    /// `None` where nothing varies, or a number is none.
    pub fn new(estimate: f64, variance: f64, degrees: f64, units: f64) -> Option<Self> {
        let usable = estimate.is_finite() && variance.is_finite() && variance > 0.0 && degrees > 0.0 && units > 0.0 && units.is_finite();
        usable.then(|| Self { estimate, standard_error: variance.sqrt(), degrees, units })
    }

    /// Treatment minus control, less `margin`: for "not worse by more than that".
    #[must_use]
    pub fn less(self, margin: f64) -> Self {
        Self { estimate: self.estimate - margin, ..self }
    }

    /// Standard errors away from no difference.
    pub fn statistic(&self) -> f64 {
        self.estimate / self.standard_error
    }

    /// The same on the normal's scale: as rare as the statistic is with its degrees of freedom. Boundaries are made for this one. It is
    /// finite: what is too rare for a number is as rare as the smallest one.
    pub fn score(&self) -> f64 {
        let statistic = self.statistic();
        let chance = || self.below(-statistic.abs()).clamp(f64::MIN_POSITIVE, 1.0);
        if self.degrees.is_infinite() { statistic } else { normal::quantile(chance()).abs().copysign(statistic) }
    }

    /// The chance of a difference at least as large without one (two-sided), for a single look.
    pub fn p_value(&self) -> f64 {
        2.0 * self.below(-self.statistic().abs())
    }

    /// The interval for a single look; `None` unless alpha lies in (0, 1).
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        let radius = self.standard_error * self.critical(alpha / 2.0);
        Some(Interval { lower: self.estimate - radius, upper: self.estimate + radius })
    }

    fn below(&self, statistic: f64) -> f64 {
        if self.degrees.is_infinite() {
            return normal::cdf(statistic);
        }
        StudentsT::new(0.0, 1.0, self.degrees).map_or(f64::NAN, |distribution| distribution.cdf(statistic))
    }

    /// The statistic that is exceeded with probability `tail`, below one half.
    fn critical(&self, tail: f64) -> f64 {
        let normal = -normal::quantile(tail);
        if self.degrees.is_infinite() {
            return normal;
        }
        // A Student's t has longer tails than the normal, never shorter ones.
        edge_above(normal, 2.0 * normal, |statistic| self.below(-statistic) > tail)
    }
}

/// What one variant brings: its estimate, the variance of that, degrees of freedom of the variance, units.
struct Side {
    estimate: f64,
    variance: f64,
    degrees: f64,
    units: f64,
}

/// Degrees of freedom by Welch and Satterthwaite, less those that both sides share an estimate for.
fn difference(treatment: &Side, control: &Side, shared: f64) -> Option<Effect> {
    if treatment.variance < 0.0 || control.variance < 0.0 {
        return None;
    }
    let part = |side: &Side| side.variance * side.variance / side.degrees;
    let variance = treatment.variance + control.variance;
    let degrees = variance * variance / (part(treatment) + part(control)) - shared;
    let units = 4.0 * treatment.units * control.units / (treatment.units + control.units);
    Effect::new(treatment.estimate - control.estimate, variance, degrees, units)
}

/// The difference of means over units, without assuming equal variances (Welch, 1947). `None` where one variant has fewer than two units,
/// or nothing varies. For shares, see [`shares`]: a mean of numbers that are nearly always 0 is far from normal.
pub fn means(treatment: Moments, control: Moments) -> Option<Effect> {
    difference(&mean(treatment)?, &mean(control)?, 0.0)
}

fn mean(of: Moments) -> Option<Side> {
    Some(Side { estimate: of.mean, variance: of.variance_of_mean()?, degrees: real(of.count) - 1.0, units: real(of.count) })
}

/// The difference of the shares of units with an event. `None` until each variant has 25 units with one and 25 without.
///
/// Both variants' variance comes from both (a score test). With a variance of its own, a small variant with few events by chance would
/// look both different and well known, and tests that count information would stop too often.
pub fn shares(treatment: (u64, u64), control: (u64, u64)) -> Option<Effect> {
    let enough = |(events, units): (u64, u64)| events >= ENOUGH_EVENTS && units >= events.saturating_add(ENOUGH_EVENTS);
    if !enough(treatment) || !enough(control) {
        return None;
    }
    let (ours, theirs) = (Moments::of_events(treatment.0, treatment.1), Moments::of_events(control.0, control.1));
    let both = ours.merged(theirs);
    let side =
        |of: Moments| Side { estimate: of.mean, variance: both.mean * (1.0 - both.mean) / real(of.count), degrees: f64::INFINITY, units: real(of.count) };
    difference(&side(ours), &side(theirs), 0.0)
}

/// The difference of ratios Σy / Σx over units, for example errors per call of users with many calls (delta method; Deng et al., 2018).
pub fn ratios(treatment: Pairs, control: Pairs) -> Option<Effect> {
    difference(&ratio(treatment)?, &ratio(control)?, 0.0)
}

fn ratio(pairs: Pairs) -> Option<Side> {
    let (y, x, both) = (pairs.y.variance()?, pairs.x.variance()?, pairs.covariance()?);
    let (units, estimate) = (real(pairs.y.count), pairs.y.mean / pairs.x.mean);
    let variance = (y - 2.0 * estimate * both + estimate * estimate * x) / (units * pairs.x.mean.powi(2));
    estimate.is_finite().then_some(Side { estimate, variance, degrees: units - 1.0, units })
}

/// One bucket of units, chosen by a hash of the unit: sums over all of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// The sum of the metric.
    pub sum: f64,
    /// Calls.
    pub calls: u64,
}

/// A variant's buckets, and how many units are in them.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// One for each value of the hash; empty ones do not count.
    pub buckets: &'a [Bucket],
    /// Units in all of them.
    pub units: u64,
}

/// The difference of means over calls where calls come in clusters, from buckets of units: the variance between buckets,
/// K/(K−1) · Σ(Y − R·M)² / (ΣM)², holds whatever the calls in them have in common. `None` until each variant has eight filled buckets.
pub fn clustered(treatment: Buckets<'_>, control: Buckets<'_>) -> Option<Effect> {
    difference(&cluster(treatment)?, &cluster(control)?, 0.0)
}

fn cluster(of: Buckets<'_>) -> Option<Side> {
    let filled = || of.buckets.iter().filter(|bucket| bucket.calls > 0);
    if filled().count() < ENOUGH_BUCKETS {
        return None;
    }
    let count = real(u64::try_from(filled().count()).ok()?);
    let (sum, calls): (f64, f64) = (filled().map(|bucket| bucket.sum).sum(), filled().map(|bucket| real(bucket.calls)).sum());
    let estimate = sum / calls;
    let squares: f64 = filled().map(|bucket| (bucket.sum - estimate * real(bucket.calls)).powi(2)).sum();
    Some(Side { estimate, variance: count / (count - 1.0) * squares / (calls * calls), degrees: count - 1.0, units: real(of.units) })
}

/// How much units differ: the variance of the mean over calls that these buckets give, times their units. So many other units have a mean
/// with this over their number as its variance (delta method; Deng et al., 2018), if they make as many calls each. `None` as for [`clustered`].
pub fn unit_variance(of: Buckets<'_>) -> Option<f64> {
    cluster(of).map(|side| side.variance * side.units).filter(|variance| variance.is_finite())
}

/// The difference of means over calls that both variants answered: what the two answers to one call have in common is not in it. From buckets
/// of units, as [`clustered`]: each bucket's residual is that of its treatment's mean less that of its control's, and with B filled buckets the
/// variance is B/(B−1) · Σ residual². `None` until there are eight.
pub fn paired(treatment: Buckets<'_>, control: Buckets<'_>) -> Option<Effect> {
    let pairs = || treatment.buckets.iter().zip(control.buckets).filter(|(ours, theirs)| ours.calls > 0 || theirs.calls > 0);
    if pairs().count() < ENOUGH_BUCKETS {
        return None;
    }
    let count = real(u64::try_from(pairs().count()).ok()?);
    let sums = |of: fn((&Bucket, &Bucket)) -> Bucket| pairs().map(of).fold((0.0, 0.0), |sums, bucket| (sums.0 + bucket.sum, sums.1 + real(bucket.calls)));
    let (ours, theirs) = (sums(|(ours, _)| *ours), sums(|(_, theirs)| *theirs));
    let residual = |bucket: &Bucket, (sum, calls): (f64, f64)| (bucket.sum - sum / calls * real(bucket.calls)) / calls;
    let squares: f64 = pairs().map(|(treated, control)| (residual(treated, ours) - residual(control, theirs)).powi(2)).sum();
    let units = 4.0 * real(treatment.units) * real(control.units) / real(treatment.units.saturating_add(control.units));
    Effect::new(ours.0 / ours.1 - theirs.0 / theirs.1, count / (count - 1.0) * squares, count - 1.0, units)
}

/// The difference of means of y, freed from what x, known before the test began, already tells (CUPED; Deng et al., 2013): y − θx with
/// one θ, pooled within the variants, so that a difference between them does not enter it.
pub fn adjusted(treatment: Pairs, control: Pairs) -> Option<Effect> {
    let (products, squares) = (treatment.products + control.products, treatment.x.squares + control.x.squares);
    let theta = if squares > 0.0 { products / squares } else { 0.0 };
    let of = |pairs: Pairs| Moments {
        count: pairs.y.count,
        mean: pairs.y.mean - theta * pairs.x.mean,
        squares: pairs.y.squares - 2.0 * theta * pairs.products + theta * theta * pairs.x.squares,
    };
    difference(&mean(of(treatment))?, &mean(of(control))?, 1.0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn nothing_is_said_where_nothing_varies_or_too_little_is_there() {
        let constant = Moments { count: 10, mean: 1.0, squares: 0.0 };
        assert_eq!((means(constant, constant), means(Moments::default(), constant)), (None, None));
        let (few, none) = ([Bucket { sum: 1.0, calls: 5 }; ENOUGH_BUCKETS - 1], [Bucket::default(); 64]);
        assert!(clustered(Buckets { buckets: &few, units: 9 }, Buckets { buckets: &none, units: 9 }).is_none());
        assert_eq!((Effect::new(f64::NAN, 1.0, 9.0, 10.0), Effect::new(1.0, -1.0, 9.0, 10.0), Effect::new(1.0, 1.0, 9.0, 0.0)), (None, None, None));
        let effect = Effect::new(0.1, 0.01, 9.0, 20.0).unwrap();
        assert_eq!((effect.interval(0.0), effect.interval(1.0), effect.interval(f64::NAN)), (None, None, None));
        let nobody = Pairs { y: Moments { count: 5, mean: 0.0, squares: 0.0 }, x: Moments { count: 5, mean: 0.0, squares: 0.0 }, products: 0.0 };
        assert_eq!(ratios(nobody, nobody), None);
    }

    #[test]
    fn units_in_buckets_differ_as_they_do_apart() {
        // Users with 1 to 9 calls and a habit of their own, told apart, and in 64 buckets.
        let (mut apart, mut buckets, users, mut rng) = (Pairs::default(), [Bucket::default(); 64], 6_400_u32, SmallRng::seed_from_u64(7));
        for _ in 0..users {
            let (calls, habit, place) = (rng.random_range(1..10_u32), rng.random_range(-1.0..1.0), rng.random_range(0..64_usize));
            let sum = f64::from(calls) * (3.0 + habit);
            apart = apart.with(sum, f64::from(calls));
            buckets[place] = Bucket { sum: buckets[place].sum + sum, calls: buckets[place].calls + u64::from(calls) };
        }
        let known = ratio(apart).unwrap().variance * f64::from(users);
        let found = unit_variance(Buckets { buckets: &buckets, units: u64::from(users) }).unwrap();
        // 63 degrees of freedom: a variance to 18 %.
        assert!((0.5..1.6).contains(&(found / known)), "{found} for {known}");
        assert_eq!((unit_variance(Buckets { buckets: &buckets[..7], units: 700 }), unit_variance(Buckets { buckets: &[], units: 0 })), (None, None));
    }

    #[test]
    fn shares_wait_for_events_of_both_kinds() {
        for (ours, theirs) in [((24, 1_000), (50, 1_000)), ((50, 1_000), (976, 1_000)), ((0, 0), (50, 1_000)), ((u64::MAX, 3), (50, 1_000))] {
            assert_eq!(shares(ours, theirs), None, "{ours:?} {theirs:?}");
        }
        let effect = shares((60, 100), (100, 400)).unwrap();
        assert!((effect.estimate - 0.35).abs() < 1e-15 && (effect.units - 320.0).abs() < 1e-9);
    }

    #[test]
    fn a_score_is_as_rare_as_its_statistic() {
        for statistic in [-5.0, -1.0, 0.0, 0.3, 2.0, 12.0] {
            let few = Effect::new(statistic, 1.0, 5.0, 10.0).unwrap();
            assert!((2.0 * normal::cdf(-few.score().abs()) - few.p_value()).abs() < 1e-12, "{statistic}: {}", few.score());
            assert!(few.score() * statistic >= 0.0 && few.score().abs() <= statistic.abs());
            assert_eq!(Effect { degrees: f64::INFINITY, ..few }.score(), statistic);
        }
        let sure = Effect::new(-1e9, 1.0, 126.0, 10.0).unwrap();
        assert!((sure.score() + 37.5).abs() < 0.1, "{}", sure.score());
    }

    #[test]
    fn what_is_known_before_narrows_the_interval() {
        let units = |shift: f64| {
            (0..200_u32).fold(Pairs::default(), |pairs, unit| {
                let (habit, noise) = (f64::from(unit % 20), f64::from(unit * 7 % 11) / 10.0);
                pairs.with(habit + noise + shift, habit)
            })
        };
        let (treatment, control) = (units(0.1), units(0.0));
        let (plain, adjusted) = (means(treatment.y, control.y).unwrap(), adjusted(treatment, control).unwrap());
        assert!(adjusted.standard_error < plain.standard_error / 10.0);
        assert!((adjusted.estimate - 0.1).abs() < 1e-9);
    }
}
