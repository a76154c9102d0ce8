//! How the chance of error is spent over the looks of a group-sequential test (Lan and DeMets, 1983). This module must not know boundaries.

use crate::normal;

/// A spending function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spending {
    /// Almost nothing early: the last look is nearly as sharp as a test with one look.
    OBrienFleming,
    /// About the same at every look: stops earlier, and asks for more units in the end.
    Pocock,
    /// α·tᵠ, with φ above 0.
    Power(f64),
}

impl Spending {
    /// Whether it spends more the more is known.
    pub(crate) fn is_usable(self) -> bool {
        !matches!(self, Self::Power(exponent) if !(exponent > 0.0 && exponent.is_finite()))
    }

    /// What of `alpha` may be spent when this fraction of the planned information is there, on one side.
    pub fn spent(self, information: f64, alpha: f64) -> f64 {
        let fraction = information.clamp(0.0, 1.0);
        if fraction == 0.0 {
            return 0.0;
        }
        match self {
            Self::OBrienFleming => 2.0 * normal::cdf(normal::quantile(alpha / 2.0) / fraction.sqrt()),
            Self::Pocock => alpha * (1.0 + (std::f64::consts::E - 1.0) * fraction).ln(),
            Self::Power(exponent) => alpha * fraction.powf(exponent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_spent_at_the_end_and_nothing_before_the_beginning() {
        for spending in [Spending::OBrienFleming, Spending::Pocock, Spending::Power(3.0)] {
            assert!((spending.spent(1.0, 0.025) - 0.025).abs() < 1e-15 && spending.spent(2.0, 0.025) <= 0.025 + 1e-15, "{spending:?}");
            assert_eq!((spending.spent(0.0, 0.025), spending.spent(-1.0, 0.025)), (0.0, 0.0), "{spending:?}");
            assert!((1..100).all(|step| spending.spent(f64::from(step) / 100.0, 0.025) <= spending.spent(f64::from(step + 1) / 100.0, 0.025)));
        }
    }
}
