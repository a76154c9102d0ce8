//! Drift of counts in buckets: the population stability index with bounds.
//!
//! PSI = Σ (p − q) ln(p / q) with half a count added to each bucket. Without drift PSI · nₑ is about chi-squared with B − 1
//! degrees of freedom, nₑ = 1 / (1/N + 1/M); with a true PSI of λ / nₑ it is noncentral with noncentrality λ. Inverting
//! that gives bounds for the true PSI (compare arXiv 2307.11878). The usual thresholds of 0.1 and 0.25 on the plain index are too loud for
//! few samples and deaf for many; a bound is neither.

use crate::search::edge_above;
use crate::{Verdict, noncentral_chi_squared_cdf};

/// Added to every bucket, so that an empty one has a logarithm.
const SMOOTHING: f64 = 0.5;
/// The expected count below which a bucket is rare.
const RARE: f64 = 5.0;

/// A population stability index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Psi {
    /// The index.
    pub value: f64,
    /// The true index is at least this, with confidence 1 − alpha.
    pub lower: f64,
    /// The true index is at most this, with confidence 1 − alpha.
    pub upper: f64,
    /// Counts of the traffic.
    pub samples: u64,
}

/// Counts of one revision's traffic beside those of its training data, in the same buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arm {
    /// The training data.
    pub reference: Vec<u64>,
    /// The traffic.
    pub traffic: Vec<u64>,
}

/// Whether the candidate's traffic is too far from what it was trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftBounds {
    /// Pass, Fail, NoData or TooLittle.
    pub verdict: Verdict,
    /// The smallest excess that the counts leave.
    pub lower: f64,
    /// The largest excess that the counts leave.
    pub upper: f64,
}

/// The index of an arm with its bounds; `None` without counts on either side or with buckets that do not match.
///
/// Buckets that are rare on both sides are counted as one: the chi-squared approximation asks for an expected count of five.
#[expect(clippy::as_conversions, reason = "counts below 2^53")]
pub fn psi_bounds(arm: &Arm, alpha: f64) -> Option<Psi> {
    let (reference, traffic): (u64, u64) = (arm.reference.iter().sum(), arm.traffic.iter().sum());
    if reference == 0 || traffic == 0 || arm.reference.len() != arm.traffic.len() || arm.reference.len() < 2 {
        return None;
    }
    let arm = pooled(arm, reference, traffic);
    if arm.reference.len() < 2 {
        // Everything lies in one bucket, on both sides: there is no distance, and nothing that could be wrong about it.
        return Some(Psi { value: 0.0, lower: 0.0, upper: 0.0, samples: traffic });
    }
    let buckets = arm.reference.len() as f64;
    let share = |count: u64, all: u64| (count as f64 + SMOOTHING) / (all as f64 + SMOOTHING * buckets);
    let value =
        arm.reference.iter().zip(&arm.traffic).map(|(q, p)| (share(*q, reference), share(*p, traffic))).map(|(q, p)| (p - q) * (p / q).ln()).sum::<f64>();
    let effective = 1.0 / (1.0 / reference as f64 + 1.0 / traffic as f64);
    let statistic = value * effective;
    let bound = |probability: f64| noncentrality(statistic, buckets - 1.0, probability) / effective;
    Some(Psi { value, lower: bound(1.0 - alpha), upper: bound(alpha), samples: traffic })
}

/// The arm with its rare buckets as one. Rare: without drift the smaller side would be expected to have fewer than five counts in it.
#[expect(clippy::as_conversions, reason = "counts below 2^53")]
fn pooled(arm: &Arm, reference: u64, traffic: u64) -> Arm {
    let expected = |both: u64| both as f64 * reference.min(traffic) as f64 / (reference + traffic) as f64;
    let mut buckets: Vec<(u64, u64)> = arm.reference.iter().copied().zip(arm.traffic.iter().copied()).collect();
    buckets.sort_unstable_by_key(|(reference, traffic)| reference + traffic);
    let mut kept: Vec<(u64, u64)> = Vec::with_capacity(buckets.len());
    let mut rest = (0, 0);
    for bucket in buckets {
        if expected(rest.0 + rest.1) < RARE && expected(bucket.0 + bucket.1) < RARE {
            rest = (rest.0 + bucket.0, rest.1 + bucket.1);
        } else {
            kept.push(bucket);
        }
    }
    if expected(rest.0 + rest.1) >= RARE || kept.is_empty() {
        kept.push(rest);
    } else if let Some(smallest) = kept.first_mut() {
        *smallest = (smallest.0 + rest.0, smallest.1 + rest.1);
    }
    Arm { reference: kept.iter().map(|bucket| bucket.0).collect(), traffic: kept.iter().map(|bucket| bucket.1).collect() }
}

/// The noncentrality at which the statistic is the given quantile; 0 when even no drift puts it above.
fn noncentrality(statistic: f64, degrees: f64, probability: f64) -> f64 {
    let above = |candidate: f64| noncentral_chi_squared_cdf(statistic, degrees, candidate) > probability;
    if !above(0.0) {
        return 0.0;
    }
    edge_above(0.0, statistic.max(1.0), above)
}

/// Judges the candidate's distance from its training data, less the stable revision's distance from its own where one is given:
/// both see the same world, so what the world changed cancels out. Fail: the excess is surely above the threshold. Pass: surely not.
pub fn excess(candidate: Option<Psi>, stable: Option<Option<Psi>>, threshold: f64, minimum_samples: u64) -> DriftBounds {
    let none = |verdict| DriftBounds { verdict, lower: 0.0, upper: 0.0 };
    let (Some(ours), Some(theirs)) = (candidate, stable.unwrap_or(Some(Psi { value: 0.0, lower: 0.0, upper: 0.0, samples: u64::MAX }))) else {
        return none(Verdict::NoData);
    };
    if ours.samples.min(theirs.samples) < minimum_samples {
        return none(Verdict::TooLittle);
    }
    let (lower, upper) = (ours.lower - theirs.upper, ours.upper - theirs.lower);
    let verdict = match () {
        () if lower > threshold => Verdict::Fail,
        () if upper < threshold => Verdict::Pass,
        () => Verdict::TooLittle,
    };
    DriftBounds { verdict, lower, upper }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_of_the_reference_case() {
        // PSI 0.0364, N 50,000, M 5,000, 10 buckets: the lower bound at 5 % is 0.02604 (scipy.stats.ncx2).
        let effective = 1.0 / (1.0 / 50_000.0 + 1.0 / 5_000.0);
        let lower = noncentrality(0.0364 * effective, 9.0, 0.95) / effective;
        assert!((lower - 0.02604).abs() < 1e-5, "{lower}");
    }

    #[test]
    fn the_index_of_small_counts() {
        // With half a count in each bucket; 0.0372183816 without.
        let arm = Arm { reference: vec![16, 18, 16, 14, 12, 12], traffic: vec![16, 16, 16, 16, 16, 8] };
        let psi = psi_bounds(&arm, 0.05).unwrap();
        assert!((psi.value - 0.0354).abs() < 1e-3, "{psi:?}");
        assert_eq!(psi.lower, 0.0);
    }

    #[test]
    fn verdicts() {
        let psi = |value: f64, samples| Some(Psi { value, lower: value * 0.9, upper: value * 1.1, samples });
        let table = [
            ("no traffic", None, Some(psi(0.1, 900)), Verdict::NoData),
            ("no stable traffic", psi(0.1, 900), Some(None), Verdict::NoData),
            ("few", psi(9.0, 10), Some(psi(0.1, 900)), Verdict::TooLittle),
            ("both far from home alike", psi(2.0, 900), Some(psi(2.0, 900)), Verdict::TooLittle),
            ("both a little", psi(0.2, 900), Some(psi(0.2, 900)), Verdict::Pass),
            ("only the candidate", psi(2.0, 900), Some(psi(0.2, 900)), Verdict::Fail),
            ("only the stable", psi(0.2, 900), Some(psi(2.0, 900)), Verdict::Pass),
            ("alone and near", psi(0.1, 900), None, Verdict::Pass),
            ("alone and far", psi(0.5, 900), None, Verdict::Fail),
        ];
        for (what, candidate, stable, expected) in table {
            assert_eq!(excess(candidate, stable, 0.25, 500).verdict, expected, "{what}");
        }
    }

    /// Shares of a feature with a few common values and a long tail, as airports have.
    fn long_tail() -> Vec<f64> {
        let weights: Vec<f64> = (0..40).map(|rank| 0.7_f64.powi(rank)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// Counts drawn by SplitMix64, so that the test is the same everywhere.
    fn draw(shares: &[f64], count: usize, seed: &mut u64) -> Vec<u64> {
        let mut counts = vec![0; shares.len()];
        for _ in 0..count {
            *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            // 32 bits are enough, and exact.
            let mut left = f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap()) / f64::from(u32::MAX);
            let place = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            counts[place.unwrap_or(0)] += 1;
        }
        counts
    }

    #[test]
    fn without_drift_the_lower_bound_is_above_zero_no_more_often_than_stated() {
        let (shares, mut seed) = (long_tail(), 7);
        let reference = draw(&shares, 20_000, &mut seed);
        for traffic in [100, 500, 5_000] {
            let alarms = (0..1_000).filter(|_| {
                let arm = Arm { reference: reference.clone(), traffic: draw(&shares, traffic, &mut seed) };
                psi_bounds(&arm, 0.05).unwrap().lower > 0.0
            });
            // 50 are stated; 80 is more than four standard deviations above, and the approximation is allowed a little.
            let alarms = alarms.count();
            assert!(alarms < 80, "{alarms} of 1,000 with {traffic} rows");
        }
    }

    #[test]
    fn rare_buckets_are_counted_as_one_and_none_is_lost() {
        let arm = Arm { reference: vec![1_000, 2, 0, 1, 900, 1], traffic: vec![100, 0, 0, 0, 90, 1] };
        let pooled = pooled(&arm, 1_904, 191);
        assert_eq!(pooled, Arm { reference: vec![904, 1_000], traffic: vec![91, 100] });
        let one = Arm { reference: vec![3, 0], traffic: vec![2, 0] };
        assert_eq!(psi_bounds(&one, 0.05).unwrap().value, 0.0);
        // A value that training never saw is not rare when callers send it.
        let unknown = Arm { reference: vec![1_000, 0], traffic: vec![0, 1_000] };
        assert!(psi_bounds(&unknown, 0.001).unwrap().lower > 5.0);
    }

    proptest! {
        #[test]
        fn bounds_enclose_the_index_up_to_its_bias(counts in prop::collection::vec((1_u64..5_000, 1_u64..5_000), 2..12)) {
            let arm = Arm { reference: counts.iter().map(|c| c.0).collect(), traffic: counts.iter().map(|c| c.1).collect() };
            let psi = psi_bounds(&arm, 0.01).unwrap();
            prop_assert!(psi.lower <= psi.value && psi.lower <= psi.upper);
        }
    }
}
