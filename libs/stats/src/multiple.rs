//! Many tests at once: how many of the small p-values are to be believed. This module must not know what was tested.

use crate::moments::real;

/// Adjusted p-values by which at most a share of the rejected is wrong on average (Benjamini and Hochberg, 1995), for tests that are
/// independent or rise together. A p-value that is no number counts as 1.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    adjusted(p_values, 1.0)
}

/// The same for tests that depend on each other in any way (Benjamini and Yekutieli, 2001).
pub fn benjamini_yekutieli(p_values: &[f64]) -> Vec<f64> {
    adjusted(p_values, (1..=p_values.len()).map(|rank| 1.0 / rank_of(rank)).sum())
}

/// Which e-values are rejected so that at most `alpha` of the rejected are wrong on average, whatever their dependence (Wang and Ramdas, 2022).
pub fn e_benjamini_hochberg(ln_e_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<f64> = ln_e_values.iter().copied().filter(|value| !value.is_nan()).collect();
    order.sort_unstable_by(|one, other| other.total_cmp(one));
    let all = rank_of(ln_e_values.len());
    let passes = |(rank, value): &(usize, &f64)| **value >= (all / (alpha * rank_of(*rank))).ln();
    let smallest = (1..).zip(&order).filter(passes).last().map(|(_, value)| *value);
    ln_e_values.iter().map(|value| smallest.is_some_and(|smallest| *value >= smallest)).collect()
}

fn adjusted(p_values: &[f64], factor: f64) -> Vec<f64> {
    let value = |p: &f64| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) };
    let mut order: Vec<(usize, f64)> = p_values.iter().map(value).enumerate().collect();
    order.sort_unstable_by(|one, other| other.1.total_cmp(&one.1));
    let all = rank_of(p_values.len());
    let (mut smallest, mut result) = (1.0_f64, vec![1.0; p_values.len()]);
    for (rank, (place, p)) in (1..=p_values.len()).rev().zip(order) {
        smallest = smallest.min(p * all * factor / rank_of(rank));
        if let Some(slot) = result.get_mut(place) {
            *slot = smallest;
        }
    }
    result
}

fn rank_of(rank: usize) -> f64 {
    u64::try_from(rank).map_or(f64::NAN, real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert!(benjamini_hochberg(&[]).is_empty() && e_benjamini_hochberg(&[], 0.05).is_empty());
        assert_eq!(benjamini_hochberg(&[f64::NAN, 0.0, 2.0]), [1.0, 0.0, 1.0]);
        assert_eq!(benjamini_hochberg(&[0.04]), [0.04]);
    }

    #[test]
    fn e_values_are_rejected_from_the_largest_down() {
        let ln = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
        assert_eq!(e_benjamini_hochberg(&ln(&[80.0, 1.0, 45.0, 0.5]), 0.05), [true, false, true, false]);
        assert_eq!(e_benjamini_hochberg(&ln(&[79.0, 1.0, 39.0, 0.5]), 0.05), [false; 4]);
        assert_eq!(e_benjamini_hochberg(&[f64::NAN, f64::INFINITY], 0.05), [false, true]);
    }
}
