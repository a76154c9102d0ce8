//! Tests on counts alone, exact for counts however small and valid at every look. This module must not know what was counted.

use statrs::function::beta::ln_beta;
use statrs::function::gamma::ln_gamma;

use crate::moments::real;

/// How sure of equal rates the mixture is: fifty events' worth.
const PRIOR_EVENTS: f64 = 50.0;
/// How sure of the planned shares the mixture is: a thousand units' worth.
const PRIOR_UNITS: f64 = 1_000.0;

/// ln of the e-value against "events fall on the treatment as calls do": of `treatment + control` events, each falls on the treatment
/// with probability `share` when both have the same rate, whatever that rate does over time (Lindon and Malek, 2022). A beta mixture.
///
/// It is as large when the treatment has too few events as when it has too many: who looks for harm compares the rates as well.
/// `None` unless the share lies between 0 and 1. When shares change, add the values of the segments, each with its own share.
pub fn ln_e_of_events(treatment: u64, control: u64, share: f64) -> Option<f64> {
    (share > 0.0 && share < 1.0).then(|| {
        let (ours, theirs) = (real(treatment), real(control));
        let (a, b) = (PRIOR_EVENTS * share, PRIOR_EVENTS * (1.0 - share));
        ln_beta(ours + a, theirs + b) - ln_beta(a, b) - ours * share.ln() - theirs * (-share).ln_1p()
    })
}

/// ln of the e-value against "units are assigned as planned" (Lindon and Malek, 2022: a Dirichlet mixture of multinomials), for
/// assignments and for units with a label alike. A test whose ratio is wrong is invalid, whatever its metric says. When planned shares
/// change, or a variant is paused, add the values of the segments, each with the variants that took part in it.
///
/// `None` unless there are at least two variants and every planned share is positive; shares are taken relative to their sum.
pub fn ln_e_of_assignments(units: &[u64], planned: &[f64]) -> Option<f64> {
    let whole: f64 = planned.iter().sum();
    if units.len() != planned.len() || units.len() < 2 || !whole.is_finite() || planned.iter().any(|share| share.is_nan() || *share <= 0.0) {
        return None;
    }
    let all: f64 = units.iter().map(|count| real(*count)).sum();
    let variant = |(count, share): (&u64, &f64)| {
        let (count, share) = (real(*count), share / whole);
        ln_gamma(PRIOR_UNITS * share + count) - ln_gamma(PRIOR_UNITS * share) - count * share.ln()
    };
    Some(ln_gamma(PRIOR_UNITS) - ln_gamma(PRIOR_UNITS + all) + units.iter().zip(planned).map(variant).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert!((ln_e_of_events(150, 100, 0.5).unwrap() - 3.300_245_5).abs() < 1e-7);
        assert!((ln_e_of_assignments(&[50_600, 49_400], &[0.5, 0.5]).unwrap() - 4.821_143_4).abs() < 1e-7);
    }

    #[test]
    fn edges() {
        assert_eq!((ln_e_of_events(1, 1, 0.0), ln_e_of_events(1, 1, 1.0), ln_e_of_events(1, 1, f64::NAN)), (None, None, None));
        assert!(ln_e_of_events(0, 0, 0.5).unwrap().abs() < 1e-12 && ln_e_of_assignments(&[0, 0], &[1.0, 1.0]).unwrap().abs() < 1e-9);
        assert_eq!((ln_e_of_assignments(&[1], &[1.0]), ln_e_of_assignments(&[1, 2], &[1.0]), ln_e_of_assignments(&[1, 2], &[1.0, 0.0])), (None, None, None));
        assert!(ln_e_of_events(u64::MAX >> 12, 0, 0.5).unwrap() > 1e15, "a coin that never falls on its other side");
    }

    #[test]
    fn the_scale_of_the_shares_does_not_matter() {
        let [one, other] = [[0.9, 0.1], [90.0, 10.0]].map(|planned| ln_e_of_assignments(&[8_800, 1_200], &planned).unwrap());
        assert!((one - other).abs() < 1e-9 && one > 7.0);
    }
}
