//! Always-valid tests: an interval that holds at every look at once, however often one looks and whenever one stops.
//!
//! The normal mixture (Robbins, 1970; Howard, Ramdas, McAuliffe and Sekhon, 2021) mixes likelihood ratios over a normal distribution of
//! effects. Its e-value is a martingale without an effect; by Ville's inequality it ever reaches 1/α with probability at most α. The same
//! formula is GrowthBook's and Eppo's sequential interval and Optimizely's mSPRT. It rests on estimates that are nearly normal from the first
//! look on: [`crate::shares`] and [`crate::clustered`] wait for that. This module must not know how an effect was estimated.

use crate::search::edge_above;
use crate::{Effect, Interval, normal};

/// Below so many standard errors, few degrees of freedom widen an interval as they do here.
const HARDLY: f64 = 1e-3;

/// A chance of error, and how the mixture is spread: intervals are tightest after about as many units as it was made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// In units.
    rho: f64,
    alpha: f64,
}

impl Mixture {
    /// For tests in both directions, tightest at so many units in total. `None` unless units are positive and alpha lies in (0, 1).
    pub fn two_sided(units: f64, alpha: f64) -> Option<Self> {
        Self::new(spread(units, alpha), alpha)
    }

    /// For tests in one direction, of which only the values that say so may be used. `None` unless alpha lies in (0, ½).
    pub fn one_sided(units: f64, alpha: f64) -> Option<Self> {
        if alpha >= 0.5 { None } else { Self::new(spread(units, 2.0 * alpha), alpha) }
    }

    /// As mSPRT spreads it (Johari, Pekelis and Walsh, 2017): effects around none with the deviation `tau`, where a unit's variance is `variance`.
    pub fn of_effects(tau: f64, variance: f64, alpha: f64) -> Option<Self> {
        Self::new(variance / (tau * tau), alpha)
    }

    fn new(rho: f64, alpha: f64) -> Option<Self> {
        (rho.is_finite() && rho > 0.0 && alpha > 0.0 && alpha < 1.0).then_some(Self { rho, alpha })
    }

    /// The spread, in units.
    pub fn rho(self) -> f64 {
        self.rho
    }

    /// What ln of an e-value has to reach.
    pub fn threshold(self) -> f64 {
        -self.alpha.ln()
    }

    /// ln of the e-value of a sum with variance `variance` that is 0 in the mean without an effect.
    pub fn ln_e(self, sum: f64, variance: f64) -> f64 {
        0.5 * (self.rho / (variance + self.rho)).ln() + sum * sum / (2.0 * (variance + self.rho))
    }

    /// ln of the e-value against a mean of at most 0.
    pub fn ln_e_one_sided(self, sum: f64, variance: f64) -> f64 {
        let spread = variance + self.rho;
        0.5 * (4.0 * self.rho / spread).ln() + sum * sum / (2.0 * spread) + normal::ln_cdf(sum / spread.sqrt())
    }

    /// The sum that is never exceeded on either side, but with probability alpha.
    pub fn bound(self, variance: f64) -> f64 {
        let spread = variance + self.rho;
        (spread * ((spread / self.rho).ln() + 2.0 * self.threshold())).sqrt()
    }

    /// The sum that is never exceeded, but with probability alpha.
    pub fn bound_one_sided(self, variance: f64) -> f64 {
        edge_above(0.0, self.bound(variance), |sum| self.ln_e_one_sided(sum, variance) < self.threshold())
    }

    /// The interval for an effect, valid at every look at once.
    pub fn interval(self, effect: &Effect) -> Interval {
        let radius = scale(effect) * self.bound(effect.units);
        Interval { lower: effect.estimate - radius, upper: effect.estimate + radius }
    }

    /// The largest value that the effect may have, valid at every look at once; of a one-sided mixture.
    pub fn upper(self, effect: &Effect) -> f64 {
        effect.estimate + scale(effect) * self.bound_one_sided(effect.units)
    }

    /// The smallest value that the effect may have, valid at every look at once; of a one-sided mixture.
    pub fn lower(self, effect: &Effect) -> f64 {
        effect.estimate - scale(effect) * self.bound_one_sided(effect.units)
    }

    /// ln of the e-value against no effect. Its inverse is a p-value that stays one while it is watched; the largest e-value so far counts.
    pub fn ln_e_of(self, effect: &Effect) -> f64 {
        self.ln_e(effect.score() * effect.units.sqrt(), effect.units)
    }

    /// ln of the e-value against an effect of at most 0; of a one-sided mixture. For "worse by more than a margin", give [`Effect::less`].
    pub fn ln_e_above(self, effect: &Effect) -> f64 {
        self.ln_e_one_sided(effect.score() * effect.units.sqrt(), effect.units)
    }
}

fn spread(units: f64, alpha: f64) -> f64 {
    let twice = -2.0 * alpha.ln();
    units / (twice + twice.ln_1p())
}

/// What one unit of the sum is worth in the effect's.
fn scale(effect: &Effect) -> f64 {
    // As many degrees of freedom widen the interval as shrink the score. Where there is hardly a difference, rounding would decide by how much.
    let hardly = effect.statistic().abs() < HARDLY;
    let shown = if hardly { Effect { estimate: HARDLY * effect.standard_error, ..*effect } } else { *effect };
    effect.standard_error * (shown.statistic() / shown.score()) / effect.units.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        // confseq's own tests: tightest at a variance of 100, alpha .05; printed to seven digits.
        let two = Mixture::two_sided(100.0, 0.05).unwrap();
        let one = Mixture::one_sided(100.0, 0.05).unwrap();
        let table = [
            (two.rho(), 12.600_56),
            (two.ln_e(10.0, 100.0), -0.651_005_2),
            (two.bound(100.0), 30.352_09),
            (one.ln_e_one_sided(10.0, 100.0), -0.065_023_91),
            (one.bound_one_sided(100.0), 27.660_71),
        ];
        for (found, printed) in table {
            assert!((found - printed).abs() < 5e-6 * printed.abs(), "{found} {printed}");
        }
    }

    #[test]
    fn edges() {
        for (units, alpha) in [(0.0, 0.05), (-1.0, 0.05), (100.0, 0.0), (100.0, 1.0), (f64::NAN, 0.05), (100.0, f64::NAN), (f64::INFINITY, 0.05)] {
            assert_eq!((Mixture::two_sided(units, alpha), Mixture::one_sided(units, alpha)), (None, None), "{units} {alpha}");
        }
        assert_eq!((Mixture::one_sided(100.0, 0.5), Mixture::of_effects(0.0, 1.0, 0.05), Mixture::of_effects(0.1, 0.0, 0.05)), (None, None, None));
        let mixture = Mixture::two_sided(1e4, 0.05).unwrap();
        assert!(mixture.ln_e(0.0, 0.0) == 0.0 && mixture.ln_e(1e200, 1.0).is_infinite());
        assert!(mixture.bound(0.0) > 0.0);
    }

    #[test]
    fn an_interval_around_hardly_a_difference_is_as_wide_as_any() {
        let mixture = Mixture::two_sided(20_000.0, 0.05).unwrap();
        let width = |estimate: f64, degrees: f64| {
            let interval = mixture.interval(&Effect::new(estimate, 1.0, degrees, 5_000.0).unwrap());
            interval.upper - interval.lower
        };
        for estimate in [0.0, 1e-300, -1e-16, 1e-12, -1e-6, 0.000_999] {
            assert!((width(estimate, 9.0) - width(0.001, 9.0)).abs() < 1e-9 && width(estimate, 9.0) > width(0.0, f64::INFINITY), "{estimate}");
        }
    }

    #[test]
    fn intervals_and_e_values_say_the_same() {
        let (two, one) = (Mixture::two_sided(20_000.0, 0.05).unwrap(), Mixture::one_sided(20_000.0, 0.05).unwrap());
        for (tenths, degrees) in (0..60).flat_map(|tenths| [9.0, f64::INFINITY].map(|degrees| (tenths, degrees))) {
            let effect = Effect::new(f64::from(tenths) / 10.0, 1.0, degrees, 5_000.0).unwrap();
            assert_eq!(two.interval(&effect).lower > 0.0, two.ln_e_of(&effect) > two.threshold(), "{tenths}");
            assert_eq!(one.lower(&effect) > 0.0, one.ln_e_above(&effect) > one.threshold(), "{tenths}");
            assert!(one.upper(&effect) > effect.estimate && one.upper(&effect.less(1.0)) < one.upper(&effect));
        }
    }
}
