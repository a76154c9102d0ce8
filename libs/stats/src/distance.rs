//! Distances of two samples that are counted in the same buckets. This module must not know what a distance leads to.

use std::f64::consts::PI;

use crate::moments::real;

/// Terms of both series of the Kolmogorov distribution.
const TERMS: u32 = 40;
/// Where one series converges faster than the other.
const MEETS: f64 = 1.0;

/// The largest difference of the shares below any edge (Kolmogorov and Smirnov). `None` without counts on both sides, or with other buckets.
pub fn kolmogorov_smirnov(one: &[u64], other: &[u64]) -> Option<f64> {
    Some(cumulative(one, other)?.iter().map(|(one, other)| (one - other).abs()).fold(0.0, f64::max))
}

/// At most the chance of a distance at least as large between samples of the same distribution, where both are large. Buckets hide part of
/// the distance: the fewer there are, the smaller the true chance is.
pub fn kolmogorov_p_value(distance: f64, one: u64, other: u64) -> f64 {
    let x = distance * (real(one) * real(other) / (real(one) + real(other))).sqrt();
    if x.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 1.0;
    }
    if x < MEETS {
        let term = |k: u32| (-(f64::from(2 * k - 1) * PI).powi(2) / (8.0 * x * x)).exp();
        return 1.0 - (2.0 * PI).sqrt() / x * (1..=TERMS).map(term).sum::<f64>();
    }
    let term = |k: u32| if k.is_multiple_of(2) { -1.0 } else { 1.0 } * (-2.0 * f64::from(k * k) * x * x).exp();
    2.0 * (1..=TERMS).map(term).sum::<f64>()
}

/// How far one sample has to be moved to become the other, in the unit of the places (Wasserstein, order 1). Places ascend,
/// one for each bucket, all finite.
pub fn wasserstein(places: &[f64], one: &[u64], other: &[u64]) -> Option<f64> {
    if places.len() != one.len()
        || !places.iter().all(|place| place.is_finite())
        || !places.windows(2).all(|pair| matches!(pair, [before, after] if before <= after))
    {
        return None;
    }
    let steps = places.windows(2).map(|pair| pair.iter().rev().copied().reduce(|after, before| after - before).unwrap_or_default());
    Some(cumulative(one, other)?.iter().zip(steps).map(|((one, other), step)| (one - other).abs() * step).sum())
}

/// The Jensen-Shannon distance, the root of the divergence to base 2: between 0 and 1, whatever is empty.
pub fn jensen_shannon(one: &[u64], other: &[u64]) -> Option<f64> {
    let term = |share: f64, middle: f64| if share == 0.0 { 0.0 } else { share * (share / middle).log2() };
    let divergence: f64 = shares(one, other)?
        .iter()
        .map(|(one, other)| {
            let middle = f64::midpoint(*one, *other);
            f64::midpoint(term(*one, middle), term(*other, middle))
        })
        .sum();
    Some(divergence.clamp(0.0, 1.0).sqrt())
}

fn cumulative(one: &[u64], other: &[u64]) -> Option<Vec<(f64, f64)>> {
    let (all_of_one, all_of_other) = wholes(one, other)?;
    let mut below = (0.0, 0.0);
    let share = |(one, other): (&u64, &u64)| {
        below = (below.0 + real(*one), below.1 + real(*other));
        (below.0 / all_of_one, below.1 / all_of_other)
    };
    Some(one.iter().zip(other).map(share).collect())
}

fn shares(one: &[u64], other: &[u64]) -> Option<Vec<(f64, f64)>> {
    let (all_of_one, all_of_other) = wholes(one, other)?;
    Some(one.iter().zip(other).map(|(one, other)| (real(*one) / all_of_one, real(*other) / all_of_other)).collect())
}

fn wholes(one: &[u64], other: &[u64]) -> Option<(f64, f64)> {
    let whole = |counts: &[u64]| counts.iter().map(|count| real(*count)).sum::<f64>();
    let wholes = (whole(one), whole(other));
    (one.len() == other.len() && wholes.0 > 0.0 && wholes.1 > 0.0).then_some(wholes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        for (one, other) in [(&[][..], &[][..]), (&[0, 0], &[1, 1]), (&[1, 1], &[1])] {
            assert_eq!((kolmogorov_smirnov(one, other), jensen_shannon(one, other)), (None, None), "{one:?} {other:?}");
        }
        assert_eq!((kolmogorov_smirnov(&[4, 6], &[40, 60]), jensen_shannon(&[4, 6], &[40, 60])), (Some(0.0), Some(0.0)));
        assert_eq!((kolmogorov_smirnov(&[5, 0], &[0, 7]), jensen_shannon(&[5, 0], &[0, 7])), (Some(1.0), Some(1.0)));
        assert_eq!((wasserstein(&[0.0, 10.0], &[5, 0], &[0, 7]), wasserstein(&[1.0, 0.0], &[5, 0], &[0, 7])), (Some(10.0), None));
        assert_eq!((wasserstein(&[0.0, f64::INFINITY], &[5, 5], &[5, 5]), kolmogorov_smirnov(&[u64::MAX, u64::MAX], &[1, 1])), (None, Some(0.0)));
        assert_eq!((kolmogorov_p_value(0.0, 10, 10), kolmogorov_p_value(1.0, 10_000, 10_000)), (1.0, 0.0));
    }

    #[test]
    fn both_series_meet() {
        let [below, above] = [MEETS - 1e-12, MEETS + 1e-12].map(|x| kolmogorov_p_value(x, 2, 2));
        assert!((below - above).abs() < 1e-10, "{below} {above}");
    }
}
