//! Group-sequential tests: few looks at planned amounts of information, and a boundary for each that keeps the whole test's chance of error.
//!
//! The score process is a Brownian motion with drift. The density of paths that no look has stopped is carried from look to look by numerical
//! integration (Armitage, McPherson and Rowe, 1969) with Gauss-Legendre panels no wider than one step's deviation, exact to about 1e-13.

use crate::{Spending, normal};

/// Beyond so many deviations nothing is integrated: 1e-18 of the paths.
const REACH: f64 = 9.0;
/// Halvings when a boundary or a drift is searched.
const HALVINGS: u32 = 60;
/// No boundary is searched above this: 1e-300 of the paths.
const HIGHEST: f64 = 37.0;
/// The most looks of one test.
pub const MOST_LOOKS: usize = 200;
/// Positive nodes and weights of the Gauss-Legendre rule with ten points (Abramowitz and Stegun, table 25.4).
const RULE: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// A two-sided test with a boundary for each look: no difference is rejected where |z| reaches it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSequential {
    /// Fractions of the planned information, ascending, the last one 1 at most.
    pub information: Vec<f64>,
    /// The boundary of each look; infinite where nothing may be spent.
    pub bounds: Vec<f64>,
}

impl GroupSequential {
    /// The boundaries of a test at `alpha`, half of it on each side. `None` unless the looks ascend in (0, 1] and alpha lies in (0, 1).
    pub fn new(information: &[f64], alpha: f64, spending: Spending) -> Option<Self> {
        let ascending = information.windows(2).all(|pair| matches!(pair, [before, after] if before < after));
        let within = information.first().is_some_and(|first| *first > 0.0) && information.last().is_some_and(|last| *last <= 1.0);
        let usable = ascending && within && information.len() <= MOST_LOOKS && alpha > 0.0 && alpha < 1.0;
        if !usable {
            return None;
        }
        let (mut bounds, mut spent, mut paths) = (Vec::with_capacity(information.len()), 0.0, Paths::beginning());
        for (look, time) in information.iter().enumerate() {
            let allowed = spending.spent(*time, alpha / 2.0);
            let bound = paths.bound(*time, allowed - spent);
            spent = allowed;
            paths = paths.carried(*time, bound, information.get(look + 1).copied(), 0.0);
            bounds.push(bound);
        }
        Some(Self { information: information.to_vec(), bounds })
    }

    /// The chance that each look stops the test on the lower and on the upper side, when the statistic at full information has the mean `drift`.
    pub fn crossings(&self, drift: f64) -> Vec<(f64, f64)> {
        let mut paths = Paths::beginning();
        let mut crossings = Vec::with_capacity(self.bounds.len());
        for (look, (time, bound)) in self.information.iter().zip(&self.bounds).enumerate() {
            crossings.push((paths.below(*time, -bound, drift), paths.above(*time, *bound, drift)));
            paths = paths.carried(*time, *bound, self.information.get(look + 1).copied(), drift);
        }
        crossings
    }

    /// The chance that the test finds a difference, on either side.
    pub fn power(&self, drift: f64) -> f64 {
        self.crossings(drift).iter().map(|(lower, upper)| lower + upper).sum()
    }

    /// The mean of the statistic at full information with which the test has this power; `None` unless power lies between alpha and 1.
    pub fn drift(&self, power: f64) -> Option<f64> {
        if !(power > self.power(0.0) && power < 1.0) {
            return None;
        }
        let (mut low, mut high) = (0.0, 1.0);
        while self.power(high) < power {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.power(middle) < power { low = middle } else { high = middle }
        }
        Some(high)
    }

    /// The fraction of the planned information that the test takes on average.
    pub fn expected_information(&self, drift: f64) -> f64 {
        let last = self.information.last().copied().unwrap_or_default();
        let early = self.information.iter().zip(self.crossings(drift));
        let (sum, stopped) = early.fold((0.0, 0.0), |(sum, stopped), (time, (lower, upper))| (sum + time * (lower + upper), stopped + lower + upper));
        sum + last * (1.0 - stopped)
    }
}

/// The density of the paths that go on, on the nodes of an integration rule.
struct Paths {
    time: f64,
    /// Place, weight times density.
    nodes: Vec<(f64, f64)>,
}

impl Paths {
    /// All paths begin at 0.
    fn beginning() -> Self {
        Self { time: 0.0, nodes: vec![(0.0, 1.0)] }
    }

    /// The chance that a path is above the boundary at the next look.
    fn above(&self, time: f64, bound: f64, drift: f64) -> f64 {
        let step = time - self.time;
        let (edge, deviation) = (bound * time.sqrt() - drift * step, step.sqrt());
        self.nodes.iter().map(|(place, mass)| mass * normal::cdf((place - edge) / deviation)).sum()
    }

    fn below(&self, time: f64, bound: f64, drift: f64) -> f64 {
        let step = time - self.time;
        let (edge, deviation) = (bound * time.sqrt() - drift * step, step.sqrt());
        self.nodes.iter().map(|(place, mass)| mass * normal::cdf((edge - place) / deviation)).sum()
    }

    /// The boundary above which this share of all paths is, on each side.
    fn bound(&self, time: f64, share: f64) -> f64 {
        if share <= 0.0 || self.above(time, HIGHEST, 0.0) >= share {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, HIGHEST);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.above(time, middle, 0.0) > share { low = middle } else { high = middle }
        }
        high
    }

    /// The paths that this look does not stop. Where another look follows, panels are as narrow as its step.
    fn carried(&self, time: f64, bound: f64, next: Option<f64>, drift: f64) -> Self {
        let Some(next) = next else { return Self { time, nodes: Vec::new() } };
        let (step, centre, reach) = (time - self.time, drift * time, REACH * time.sqrt());
        let edge = bound * time.sqrt();
        let (low, high) = ((-edge).max(centre - reach), edge.min(centre + reach));
        if low >= high {
            return Self { time, nodes: Vec::new() };
        }
        let deviation = step.sqrt();
        let density = |place: f64| {
            let from = |(start, mass): &(f64, f64)| mass * normal::density((place - start - drift * step) / deviation) / deviation;
            self.near(place - drift * step, REACH * deviation).iter().map(from).sum::<f64>()
        };
        let nodes = rule(low, high, deviation.min((next - time).sqrt()));
        Self { time, nodes: nodes.into_iter().map(|(place, weight)| (place, weight * density(place))).collect() }
    }

    /// The nodes from which a place is within reach.
    fn near(&self, place: f64, reach: f64) -> &[(f64, f64)] {
        let first = self.nodes.partition_point(|(node, _)| *node < place - reach);
        let last = self.nodes.partition_point(|(node, _)| *node <= place + reach);
        self.nodes.get(first..last).unwrap_or_default()
    }
}

/// Places and weights between two ends, in panels no wider than `width`, ascending.
fn rule(low: f64, high: f64, width: f64) -> Vec<(f64, f64)> {
    let mut nodes = Vec::new();
    let panel = (high - low) / ((high - low) / width).ceil().max(1.0);
    let mut start = low;
    while start < high - 1e-9 * panel {
        let (centre, half) = (start + panel / 2.0, panel / 2.0);
        nodes.extend(RULE.iter().rev().map(|(place, weight)| (centre - half * place, half * weight)));
        nodes.extend(RULE.iter().map(|(place, weight)| (centre + half * place, half * weight)));
        start += panel;
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(looks: u32) -> Vec<f64> {
        (1..=looks).map(|look| f64::from(look) / f64::from(looks)).collect()
    }

    #[test]
    fn published_boundaries() {
        // R's ldbounds and gsDesign: five looks, two-sided .05.
        let table = [(Spending::OBrienFleming, [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]), (Spending::Pocock, [2.4380, 2.4268, 2.4102, 2.3966, 2.3860])];
        for (spending, printed) in table {
            let test = GroupSequential::new(&even(5), 0.05, spending).unwrap();
            for (found, printed) in test.bounds.iter().zip(printed) {
                assert!((found - printed).abs() < 1e-4, "{spending:?} {:?}", test.bounds);
            }
        }
    }

    #[test]
    fn the_chance_of_error_is_alpha_however_many_looks() {
        for (looks, alpha) in [(1, 0.05), (2, 0.01), (14, 0.05), (96, 0.05), (200, 0.001)] {
            for spending in [Spending::OBrienFleming, Spending::Pocock, Spending::Power(2.0)] {
                let test = GroupSequential::new(&even(looks), alpha, spending).unwrap();
                assert!((test.power(0.0) - alpha).abs() < 1e-11, "{looks} {spending:?} {}", test.power(0.0));
            }
        }
    }

    #[test]
    fn more_drift_more_power_and_less_information() {
        let test = GroupSequential::new(&even(10), 0.05, Spending::OBrienFleming).unwrap();
        let drift = test.drift(0.8).unwrap();
        assert!((test.power(drift) - 0.8).abs() < 1e-9 && (2.80..2.90).contains(&drift), "{drift}");
        assert!(test.expected_information(2.0 * drift) < test.expected_information(drift) && test.expected_information(0.0) < 1.0);
        assert!((test.power(-drift) - 0.8).abs() < 1e-9);
    }

    #[test]
    fn edges() {
        for (information, alpha) in
            [(vec![], 0.05), (vec![0.0, 1.0], 0.05), (vec![0.5, 0.5], 0.05), (vec![0.5, 1.1], 0.05), (vec![1.0], 0.0), (vec![1.0], 1.0), (vec![f64::NAN], 0.05)]
        {
            assert_eq!(GroupSequential::new(&information, alpha, Spending::Pocock), None, "{information:?} {alpha}");
        }
        let test = GroupSequential::new(&[1e-6, 1.0], 0.05, Spending::OBrienFleming).unwrap();
        assert!(test.bounds[0].is_infinite() && (test.bounds[1] - 1.959_964).abs() < 1e-6);
        assert_eq!((test.drift(0.0), test.drift(1.0), test.drift(f64::NAN)), (None, None, None));
    }
}
