//! The difference between two variants with its standard error: what every test on it starts from.
//!
//! A unit (a user, a tail number) is what was assigned; calls of one unit are not independent. So a mean over units is compared by Welch's
//! test, a ratio of two sums over units by the delta method, and where units cannot be kept apart, by buckets of them.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::moments::real;
use crate::{Interval, Moments, Pairs, normal};

/// Halvings when a quantile is searched.
const HALVINGS: u32 = 100;

/// Treatment minus control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The difference.
    pub estimate: f64,
    /// Its standard error; above 0.
    pub standard_error: f64,
    /// Degrees of freedom of that error; infinite where it is as good as known.
    pub degrees: f64,
    /// Units in both variants: the information that a sequential test counts by.
    pub units: u64,
}

impl Effect {
    /// `None` where nothing varies, or a number is none.
    pub fn new(estimate: f64, variance: f64, degrees: f64, units: u64) -> Option<Self> {
        let usable = estimate.is_finite() && variance.is_finite() && variance > 0.0 && degrees > 0.0;
        usable.then(|| Self { estimate, standard_error: variance.sqrt(), degrees, units })
    }

    /// Standard errors away from no difference.
    pub fn statistic(&self) -> f64 {
        self.estimate / self.standard_error
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
        // From the normal's outwards: a Student's t has longer tails, never shorter ones.
        let (mut low, mut high) = (normal, 2.0 * normal);
        while self.below(-high) > tail {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.below(-middle) > tail { low = middle } else { high = middle }
        }
        high
    }
}

/// The difference of means over units, without assuming equal variances (Welch, 1947). `None` where one variant has fewer than two units,
/// or nothing varies.
pub fn means(treatment: Moments, control: Moments) -> Option<Effect> {
    let (ours, theirs) = (treatment.variance_of_mean()?, control.variance_of_mean()?);
    let share = |variance: f64, count: u64| variance * variance / (real(count) - 1.0);
    let degrees = (ours + theirs).powi(2) / (share(ours, treatment.count) + share(theirs, control.count));
    Effect::new(treatment.mean - control.mean, ours + theirs, degrees, treatment.count + control.count)
}

/// The difference of ratios Σy / Σx over units, for example errors per call of users with many calls (delta method; Deng et al., 2018).
pub fn ratios(treatment: Pairs, control: Pairs) -> Option<Effect> {
    let (ours, theirs) = (ratio(treatment)?, ratio(control)?);
    Effect::new(ours.0 - theirs.0, ours.1 + theirs.1, f64::INFINITY, treatment.y.count + control.y.count)
}

fn ratio(pairs: Pairs) -> Option<(f64, f64)> {
    let (y, x, both) = (pairs.y.variance()?, pairs.x.variance()?, pairs.covariance()?);
    let value = pairs.y.mean / pairs.x.mean;
    let variance = (y - 2.0 * value * both + value * value * x) / (real(pairs.y.count) * pairs.x.mean.powi(2));
    value.is_finite().then_some((value, variance))
}

/// One bucket of units, chosen by a hash of the unit: sums over all of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// The sum of the metric.
    pub sum: f64,
    /// Calls.
    pub calls: u64,
}

/// The difference of means over calls where calls come in clusters, from buckets of units: the variance between buckets holds whatever
/// the units in them have in common. Degrees of freedom: both variants' filled buckets less two. `units` is how many units there were.
pub fn clustered(treatment: &[Bucket], control: &[Bucket], units: u64) -> Option<Effect> {
    let (ours, theirs) = (cluster(treatment)?, cluster(control)?);
    Effect::new(ours.0 - theirs.0, ours.1 + theirs.1, ours.2 + theirs.2 - 2.0, units)
}

/// Rate, variance of the rate, filled buckets: K/(K−1) · Σ(Y_b − R·M_b)² / (ΣM)².
fn cluster(buckets: &[Bucket]) -> Option<(f64, f64, f64)> {
    let filled = || buckets.iter().filter(|bucket| bucket.calls > 0);
    let count = real(u64::try_from(filled().count()).ok()?);
    if count < 2.0 {
        return None;
    }
    let (sum, calls) = (filled().map(|bucket| bucket.sum).sum::<f64>(), real(filled().map(|bucket| bucket.calls).sum()));
    let rate = sum / calls;
    let squares: f64 = filled().map(|bucket| (bucket.sum - rate * real(bucket.calls)).powi(2)).sum();
    Some((rate, count / (count - 1.0) * squares / (calls * calls), count))
}

/// The difference of means of y, freed from what x, known before the test began, already tells (CUPED; Deng et al., 2013):
/// y − θ(x − x̄) with one θ for both variants, cov(y, x) / var(x) over both.
pub fn adjusted(treatment: Pairs, control: Pairs) -> Option<Effect> {
    // Pooled within variants: a difference between them must not enter θ.
    let (products, squares) = (treatment.products + control.products, treatment.x.squares + control.x.squares);
    let theta = if squares > 0.0 { products / squares } else { 0.0 };
    let of = |pairs: Pairs| Moments {
        count: pairs.y.count,
        mean: pairs.y.mean - theta * pairs.x.mean,
        squares: (pairs.y.squares - 2.0 * theta * pairs.products + theta * theta * pairs.x.squares).max(0.0),
    };
    means(of(treatment), of(control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_where_nothing_varies_or_too_little_is_there() {
        let constant = Moments { count: 10, mean: 1.0, squares: 0.0 };
        assert_eq!((means(constant, constant), means(Moments::default(), constant)), (None, None));
        assert_eq!(clustered(&[Bucket { sum: 1.0, calls: 5 }], &[Bucket::default(); 64], 5), None);
        assert_eq!(Effect::new(f64::NAN, 1.0, 9.0, 10), None);
        let effect = Effect::new(0.1, 0.01, 9.0, 20).unwrap();
        assert_eq!((effect.interval(0.0), effect.interval(1.0), effect.interval(f64::NAN)), (None, None, None));
        let nobody = Pairs { y: Moments { count: 5, mean: 0.0, squares: 0.0 }, x: Moments { count: 5, mean: 0.0, squares: 0.0 }, products: 0.0 };
        assert_eq!(ratios(nobody, nobody), None);
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
