//! The standard normal distribution, to ten digits far into its tails. This module must not know tests.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::erf::{erfc, erfc_inv};

/// Below this, P(Z <= x) is so small that its logarithm comes from a series.
const FAR: f64 = -10.0;
/// Terms of that series; the first one that is left out is below 1e-16 of the sum.
const TERMS: i32 = 30;

/// P(Z <= x).
pub fn cdf(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// The density at x.
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// The x with P(Z <= x) = p; infinite at 0 and 1.
pub fn quantile(p: f64) -> f64 {
    // One step of Newton's method: the inverse is only as exact as its rational approximation.
    let rough = -SQRT_2 * erfc_inv(2.0 * p);
    if !rough.is_finite() || p == 0.5 {
        return rough;
    }
    // In the tail where numbers are dense.
    if p < 0.5 { rough - (cdf(rough) - p) / density(rough) } else { rough + (cdf(-rough) - (1.0 - p)) / density(rough) }
}

/// ln P(Z <= x), also where the probability itself is no number any more.
pub fn ln_cdf(x: f64) -> f64 {
    if x > FAR {
        return cdf(x).ln();
    }
    // Abramowitz and Stegun 26.2.12: phi(x)/|x| (1 - 1/x^2 + 3/x^4 - ...).
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..=TERMS {
        let next = -term * f64::from(2 * k - 1) / (x * x);
        if next.abs() >= term.abs() {
            break;
        }
        term = next;
        sum += term;
    }
    -0.5 * x * x - 0.5 * (2.0 * PI).ln() - (-x).ln() + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_meet_where_they_change() {
        assert!((ln_cdf(FAR) - cdf(FAR).ln()).abs() < 1e-10, "{} {}", ln_cdf(FAR), cdf(FAR).ln());
    }

    #[test]
    fn edges() {
        assert_eq!((cdf(f64::NEG_INFINITY), cdf(f64::INFINITY), cdf(0.0)), (0.0, 1.0, 0.5));
        assert_eq!((quantile(0.0), quantile(1.0), quantile(0.5)), (f64::NEG_INFINITY, f64::INFINITY, 0.0));
        assert!(quantile(f64::NAN).is_nan() && cdf(f64::NAN).is_nan() && ln_cdf(f64::NAN).is_nan());
        assert_eq!(ln_cdf(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!((quantile(1e-300) + 37.047_096_299_361_2).abs() < 1e-9);
    }
}
