//! Drift of counts in buckets: the population stability index with bounds.
//!
//! PSI = Σ (p − q) ln(p / q) with half a count added to each bucket. Without drift PSI · nₑ is about chi-squared with B − 1
//! degrees of freedom, nₑ = 1 / (1/N + 1/M); with a true PSI of λ / nₑ it is noncentral with noncentrality λ. Inverting
//! that gives bounds for the true PSI (compare arXiv 2307.11878). The usual thresholds of 0.1 and 0.25 on the plain index are too loud for
//! few samples and deaf for many; a bound is neither.

use crate::{Verdict, noncentral_chi_squared_cdf};

/// Added to every bucket, so that an empty one has a logarithm.
const SMOOTHING: f64 = 0.5;
/// Halvings when a noncentrality is searched.
const HALVINGS: u32 = 40;

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
#[expect(clippy::as_conversions, reason = "counts below 2^53")]
pub fn psi_bounds(arm: &Arm, alpha: f64) -> Option<Psi> {
    let (reference, traffic): (u64, u64) = (arm.reference.iter().sum(), arm.traffic.iter().sum());
    if reference == 0 || traffic == 0 || arm.reference.len() != arm.traffic.len() || arm.reference.len() < 2 {
        return None;
    }
    let buckets = arm.reference.len() as f64;
    let share = |count: u64, all: u64| (count as f64 + SMOOTHING) / (all as f64 + SMOOTHING * buckets);
    let value = arm.reference.iter().zip(&arm.traffic).map(|(q, p)| (share(*q, reference), share(*p, traffic))).map(|(q, p)| (p - q) * (p / q).ln()).sum::<f64>();
    let effective = 1.0 / (1.0 / reference as f64 + 1.0 / traffic as f64);
    let statistic = value * effective;
    let bound = |probability: f64| noncentrality(statistic, buckets - 1.0, probability) / effective;
    Some(Psi { value, lower: bound(1.0 - alpha), upper: bound(alpha), samples: traffic })
}

/// The noncentrality at which the statistic is the given quantile; 0 when even no drift puts it above.
fn noncentrality(statistic: f64, degrees: f64, probability: f64) -> f64 {
    let above = |candidate: f64| noncentral_chi_squared_cdf(statistic, degrees, candidate) > probability;
    if !above(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, statistic.max(1.0));
    while above(high) {
        low = high;
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if above(middle) { low = middle } else { high = middle }
    }
    low
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

    proptest! {
        #[test]
        fn bounds_enclose_the_index_up_to_its_bias(counts in prop::collection::vec((1_u64..5_000, 1_u64..5_000), 2..12)) {
            let arm = Arm { reference: counts.iter().map(|c| c.0).collect(), traffic: counts.iter().map(|c| c.1).collect() };
            let psi = psi_bounds(&arm, 0.01).unwrap();
            prop_assert!(psi.lower <= psi.value && psi.lower <= psi.upper);
        }
    }
}
