//! A confidence sequence for one proportion: an interval that holds at every look at once, exact for counts however small.
//!
//! For a true rate p, M_n(p) = B(½ + k, ½ + n − k) / (B(½, ½) pᵏ(1 − p)ⁿ⁻ᵏ) is a martingale that starts at 1 (a beta
//! mixture of likelihood ratios; Robbins, 1970). By Ville's inequality it ever reaches 1/α with probability at most α, so
//! {p : M_n(p) < 1/α} contains the true rate at all times with probability at least 1 − α. No normal approximation: it holds
//! with no event as with a million.

use statrs::function::beta::ln_beta;

use crate::search::edge;

/// Both parameters of the mixing beta distribution (Jeffreys).
const MIXTURE: f64 = 0.5;

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// The interval for a rate after `events` of `trials`, at confidence 1 − `alpha` over all looks together.
#[expect(clippy::as_conversions, reason = "counts below 2^53")]
pub fn confidence_sequence(events: u64, trials: u64, alpha: f64) -> Interval {
    let events = events.min(trials);
    if trials == 0 {
        return Interval { lower: 0.0, upper: 1.0 };
    }
    let (k, n) = (events as f64, trials as f64);
    let mixed = ln_beta(MIXTURE + k, MIXTURE + n - k) - ln_beta(MIXTURE, MIXTURE);
    let term = |count: f64, p: f64| if count == 0.0 { 0.0 } else { count * p.ln() };
    let excluded = |p: f64| mixed - term(k, p) - term(n - k, 1.0 - p) >= -alpha.ln();
    // The martingale grows from the estimate outwards.
    let estimate = k / n;
    let end = |outside: f64| edge(estimate, outside, |p| !excluded(p));
    Interval { lower: end(0.0), upper: end(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_values() {
        // scipy: brentq on betaln(.5+k,.5+n-k)-betaln(.5,.5)-k*log(p)-(n-k)*log1p(-p)+log(alpha).
        let table = [(0, 2_500, 0.0005, 0.0, 0.004_822_470_532), (700, 1_000, 0.05, 0.645_437_652_618, 0.751_016_611_451)];
        for (events, trials, alpha, lower, upper) in table {
            let interval = confidence_sequence(events, trials, alpha);
            assert!((interval.lower - lower).abs() < 1e-9 && (interval.upper - upper).abs() < 1e-9, "{events}/{trials}: {interval:?}");
        }
        assert_eq!(confidence_sequence(0, 0, 0.05), Interval { lower: 0.0, upper: 1.0 });
        assert!((confidence_sequence(10, 10, 0.05).upper - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn it_contains_the_estimate_and_shrinks_with_alpha(trials in 1_u64..1_000_000, share in 0.0..=1.0_f64) {
            #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "test")]
            let events = (share * trials as f64) as u64;
            #[expect(clippy::as_conversions, reason = "test")]
            let estimate = events as f64 / trials as f64;
            let (wide, narrow) = (confidence_sequence(events, trials, 0.001), confidence_sequence(events, trials, 0.1));
            prop_assert!(wide.lower <= narrow.lower && narrow.lower <= estimate && estimate <= narrow.upper && narrow.upper <= wide.upper);
        }
    }
}
