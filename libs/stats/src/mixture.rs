//! Always-valid tests: an interval that holds at every look at once, however often one looks and whenever one stops.
//!
//! The normal mixture (Robbins, 1970; Howard, Ramdas, McAuliffe and Sekhon, 2021) mixes likelihood ratios over a normal distribution of
//! effects. Its e-value is a martingale without an effect; by Ville's inequality it ever reaches 1/α with probability at most α. The same
//! formula is GrowthBook's and Eppo's sequential interval and Optimizely's mSPRT. For means it is asymptotic: give it tens of units first.

use crate::moments::real;
use crate::{Effect, Interval, normal};

/// Halvings when a bound is searched.
const HALVINGS: u32 = 200;

/// How the mixture is spread: the interval is tightest after about as many units as it was made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// In units.
    rho: f64,
}

impl Mixture {
    /// Tightest at so many units in total, at this chance of error. `None` unless both are positive and alpha below 1.
    pub fn tightest_at(units: f64, alpha: f64) -> Option<Self> {
        let usable = units.is_finite() && units > 0.0 && alpha > 0.0 && alpha < 1.0;
        usable.then(|| Self { rho: units / (2.0 * (1.0 / alpha).ln() + (1.0 + 2.0 * (1.0 / alpha).ln()).ln()) })
    }

    /// The same for a test in one direction.
    pub fn one_sided_tightest_at(units: f64, alpha: f64) -> Option<Self> {
        Self::tightest_at(units, 2.0 * alpha)
    }

    /// As mSPRT spreads it: effects around no effect with the deviation `tau`, where a unit's variance is `variance`.
    pub fn of_effects(tau: f64, variance: f64) -> Option<Self> {
        let rho = variance / (tau * tau);
        (rho.is_finite() && rho > 0.0).then_some(Self { rho })
    }

    /// The spread, in units.
    pub fn rho(self) -> f64 {
        self.rho
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
    pub fn bound(self, variance: f64, alpha: f64) -> f64 {
        let spread = variance + self.rho;
        (spread * ((spread / self.rho).ln() - 2.0 * alpha.ln())).sqrt()
    }

    /// The sum that is never exceeded, but with probability alpha.
    pub fn bound_one_sided(self, variance: f64, alpha: f64) -> f64 {
        let beyond = |sum: f64| self.ln_e_one_sided(sum, variance) >= -alpha.ln();
        let (mut low, mut high) = (0.0, self.bound(variance, alpha).max(f64::MIN_POSITIVE));
        while !beyond(high) && high.is_finite() {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if beyond(middle) { high = middle } else { low = middle }
        }
        high
    }

    /// The interval for an effect, valid at every look at once.
    pub fn interval(self, effect: &Effect, alpha: f64) -> Interval {
        let units = real(effect.units);
        let radius = effect.standard_error * self.bound(units, alpha) / units.sqrt();
        Interval { lower: effect.estimate - radius, upper: effect.estimate + radius }
    }

    /// The largest value that the effect may have, valid at every look at once: for guardrails, where only harm counts.
    pub fn upper(self, effect: &Effect, alpha: f64) -> f64 {
        let units = real(effect.units);
        effect.estimate + effect.standard_error * self.bound_one_sided(units, alpha) / units.sqrt()
    }

    /// The smallest value that the effect may have, valid at every look at once.
    pub fn lower(self, effect: &Effect, alpha: f64) -> f64 {
        2.0 * effect.estimate - self.upper(effect, alpha)
    }

    /// ln of the e-value against no effect. Its inverse is a p-value that stays one while it is watched; the smallest so far counts.
    pub fn ln_e_of(self, effect: &Effect) -> f64 {
        let units = real(effect.units);
        self.ln_e(effect.statistic() * units.sqrt(), units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        // confseq's own tests: tightest at a variance of 100, alpha .05; printed to seven digits.
        let two = Mixture::tightest_at(100.0, 0.05).unwrap();
        let one = Mixture::one_sided_tightest_at(100.0, 0.05).unwrap();
        let table = [
            (two.rho(), 12.600_56),
            (two.ln_e(10.0, 100.0), -0.651_005_2),
            (two.bound(100.0, 0.05), 30.352_09),
            (one.ln_e_one_sided(10.0, 100.0), -0.065_023_91),
            (one.bound_one_sided(100.0, 0.05), 27.660_71),
        ];
        for (found, printed) in table {
            assert!((found - printed).abs() < 5e-6 * printed.abs(), "{found} {printed}");
        }
    }

    #[test]
    fn edges() {
        for (units, alpha) in [(0.0, 0.05), (-1.0, 0.05), (100.0, 0.0), (100.0, 1.0), (f64::NAN, 0.05), (100.0, f64::NAN), (f64::INFINITY, 0.05)] {
            assert_eq!(Mixture::tightest_at(units, alpha), None, "{units} {alpha}");
        }
        assert_eq!((Mixture::of_effects(0.0, 1.0), Mixture::of_effects(0.1, 0.0)), (None, None));
        let mixture = Mixture::tightest_at(1e4, 0.05).unwrap();
        assert!(mixture.ln_e(0.0, 0.0) == 0.0 && mixture.ln_e(1e200, 1.0).is_infinite());
        assert!(mixture.bound(0.0, 0.05) > 0.0);
    }

    #[test]
    fn the_interval_excludes_nothing_exactly_when_the_e_value_reaches_its_bound() {
        let mixture = Mixture::tightest_at(20_000.0, 0.05).unwrap();
        for tenths in 0..60 {
            let effect = Effect::new(f64::from(tenths) / 10.0, 1.0, f64::INFINITY, 5_000).unwrap();
            let interval = mixture.interval(&effect, 0.05);
            assert_eq!(interval.lower > 0.0, mixture.ln_e_of(&effect) > -(0.05_f64.ln()), "{tenths}");
            assert!(mixture.lower(&effect, 0.05) >= interval.lower && mixture.upper(&effect, 0.05) <= interval.upper);
        }
    }
}
