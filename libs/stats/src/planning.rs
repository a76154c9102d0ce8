//! How many units a test needs before it starts. This module must not know looks: a test with looks brings its own drift.

use crate::normal;
use crate::search::edge_above;

/// What a test is planned for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The smallest difference that must not be missed.
    pub effect: f64,
    /// The variance of a unit's metric: treatment, control. For a share p, p(1 − p).
    pub variances: (f64, f64),
    /// The treatment's share of the units.
    pub share: f64,
    /// The chance of a difference where there is none.
    pub alpha: f64,
    /// The chance to find that difference.
    pub power: f64,
}

impl Plan {
    /// Units in both variants together, for a test with one look. `None` where no number of units would do.
    pub fn units(&self) -> Option<f64> {
        self.units_for(required_drift(self.alpha, self.power)?)
    }

    /// Units in both variants together for a test that needs this drift, as [`crate::GroupSequential::drift`] gives it.
    pub fn units_for(&self, drift: f64) -> Option<f64> {
        let variance = self.variances.0 / self.share + self.variances.1 / (1.0 - self.share);
        let units = variance * (drift / self.effect).powi(2);
        (self.share > 0.0 && self.share < 1.0 && units.is_finite() && units > 0.0).then_some(units)
    }
}

/// The mean of the score with which a two-sided test with one look has this power.
pub fn required_drift(alpha: f64, power: f64) -> Option<f64> {
    if !(alpha > 0.0 && alpha < 1.0 && power > alpha && power < 1.0) {
        return None;
    }
    let critical = -normal::quantile(alpha / 2.0);
    Some(edge_above(0.0, 1.0, |drift| normal::cdf(drift - critical) + normal::cdf(-drift - critical) < power))
}

/// How long a test with so many units takes: until the last one came, and its outcome's window has closed. In the unit of time of both.
pub fn duration(units: f64, units_per_time: f64, maturity: f64) -> Option<f64> {
    let duration = units / units_per_time + maturity;
    (units_per_time > 0.0 && duration.is_finite() && duration >= 0.0).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_against_eleven_percent() {
        let share = |p: f64| p * (1.0 - p);
        let plan = Plan { effect: 0.01, variances: (share(0.11), share(0.10)), share: 0.5, alpha: 0.05, power: 0.8 };
        assert!((plan.units().unwrap() - 2.0 * 14_748.0).abs() < 2.0, "{:?}", plan.units());
        let uneven = Plan { share: 0.1, ..plan }.units().unwrap();
        assert!((84_000.0..85_500.0).contains(&uneven), "{uneven}");
        assert_eq!(duration(30_000.0, 10_000.0, 0.25), Some(3.25));
    }

    #[test]
    fn edges() {
        let plan = Plan { effect: 0.0, variances: (1.0, 1.0), share: 0.5, alpha: 0.05, power: 0.8 };
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(Plan { effect: 1.0, share, ..plan }.units(), None, "{share}");
        }
        assert_eq!((plan.units(), Plan { effect: f64::NAN, ..plan }.units(), Plan { effect: 1.0, variances: (0.0, 0.0), ..plan }.units()), (None, None, None));
        assert_eq!((required_drift(0.05, 0.05), required_drift(0.0, 0.8), required_drift(0.05, 1.0), required_drift(f64::NAN, 0.8)), (None, None, None, None));
        assert_eq!((duration(1.0, 0.0, 0.0), duration(1.0, -1.0, 0.0), duration(f64::NAN, 1.0, 0.0)), (None, None, None));
    }
}
