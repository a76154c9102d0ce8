//! The noncentral chi-squared distribution, which statrs lacks.

use statrs::distribution::{ChiSquared, ContinuousCDF, Discrete, DiscreteCDF, Normal, Poisson};

/// Above this noncentrality Sankaran's approximation is closer than 1e-4 and the exact sum too slow.
const EXACT_BELOW: f64 = 2_000.0;
/// Poisson weights farther than this many deviations from the centre are below 1e-15.
const DEVIATIONS: f64 = 9.0;

/// P(X <= x) for X noncentral chi-squared with `degrees` of freedom: a Poisson mixture of central ones.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by EXACT_BELOW")]
pub fn noncentral_chi_squared_cdf(x: f64, degrees: f64, noncentrality: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let central = |degrees: f64| ChiSquared::new(degrees).map_or(f64::NAN, |distribution| distribution.cdf(x));
    if noncentrality <= 0.0 {
        return central(degrees);
    }
    if noncentrality > EXACT_BELOW {
        return sankaran(x, degrees, noncentrality);
    }
    let mean = noncentrality / 2.0;
    let Ok(weights) = Poisson::new(mean) else { return f64::NAN };
    let spread = DEVIATIONS * mean.sqrt() + DEVIATIONS;
    let (first, last) = ((mean - spread).max(0.0) as u64, (mean + spread) as u64);
    let below = if first == 0 { 0.0 } else { weights.cdf(first - 1) };
    // What lies below the first term has a central probability of about that of the first.
    below * central(degrees + 2.0 * first as f64) + (first..=last).map(|j| weights.pmf(j) * central(degrees + 2.0 * j as f64)).sum::<f64>()
}

/// Sankaran (1963): a power of the variable is nearly normal.
fn sankaran(x: f64, k: f64, l: f64) -> f64 {
    let h = 1.0 - 2.0 / 3.0 * (k + l) * (k + 3.0 * l) / (k + 2.0 * l).powi(2);
    let p = (k + 2.0 * l) / (k + l).powi(2);
    let m = (h - 1.0) * (1.0 - 3.0 * h);
    let z = ((x / (k + l)).powf(h) - (1.0 + h * p * (h - 1.0 - 0.5 * (2.0 - h) * m * p))) / (h * (2.0 * p).sqrt() * (1.0 + 0.5 * m * p));
    Normal::standard().cdf(z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        // scipy.stats.ncx2.cdf and chi2.cdf.
        let table = [
            (16.918_977_604_620_448, 9.0, 0.0, 0.95, 1e-9),
            (5.0, 4.0, 2.0, 0.481_963_842_442_770_46, 1e-9),
            (150.0, 9.0, 120.0, 0.828_300_609_734_720_2, 1e-9),
        ];
        for (x, degrees, noncentrality, expected, tolerance) in table {
            let found = noncentral_chi_squared_cdf(x, degrees, noncentrality);
            assert!((found - expected).abs() < tolerance, "{x} {degrees} {noncentrality}: {found}");
        }
    }

    #[test]
    fn both_ways_meet_where_they_change() {
        for x in [1_900.0, 2_009.0, 2_100.0] {
            let exact = noncentral_chi_squared_cdf(x, 9.0, EXACT_BELOW);
            let approximate = sankaran(x, 9.0, EXACT_BELOW);
            assert!((exact - approximate).abs() < 1e-4, "{x}: {exact} {approximate}");
        }
    }
}
