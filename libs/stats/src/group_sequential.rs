//! Group-sequential tests: few looks at planned amounts of information, and a boundary for each that keeps the whole test's chance of error.
//!
//! The score process is a Brownian motion with drift. The density of paths that no look has stopped is carried from look to look by numerical
//! integration (Armitage, McPherson and Rowe, 1969) with Gauss-Legendre panels no wider than one step's deviation, exact to about 1e-10. This
//! module must not know where information comes from: it is counted in [`crate::Effect::units`], never in minutes or by an estimated variance.
//!
//! All of it holds for units that come once. Of units that come back, looks have less in common than their units say: see `experiment::bounds`.

use crate::search::edge;
use crate::{Spending, normal};

/// Beyond so many deviations nothing is integrated: 1e-18 of the paths.
const REACH: f64 = 9.0;
/// No boundary is searched above this: 1e-300 of the paths.
const HIGHEST: f64 = 37.0;
/// Evaluations when a drift is searched.
const STEPS: u32 = 60;
/// The most looks of one test.
pub const MOST_LOOKS: usize = 200;
/// The least information between two looks, as a fraction of what is planned: below it, panels would be too many.
pub const LEAST_STEP: f64 = 1e-4;
/// Positive nodes and weights of the Gauss-Legendre rule with ten points (Abramowitz and Stegun, table 25.4).
const RULE: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// A two-sided test with a boundary for each look: no difference is rejected where |score| reaches it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSequential {
    /// Information at each look, as a fraction of what is planned. The last look may be beyond the plan.
    pub information: Vec<f64>,
    /// The boundary of each look; infinite where nothing may be spent.
    pub bounds: Vec<f64>,
}

impl GroupSequential {
    /// The boundaries of a test at `alpha`, half of it on each side, for looks at what information was really there. A boundary follows
    /// from the looks before it alone, so a test is made anew with each look, and those that were are as they were.
    ///
    /// `None` unless alpha lies in (0, 1), and the looks ascend by at least [`LEAST_STEP`] up to the planned information or one look beyond.
    pub fn new(information: &[f64], alpha: f64, spending: Spending) -> Option<Self> {
        Self::made(information, alpha, spending, false)
    }

    /// The same for a test that ends with its last look, however much information is there: it spends what is left.
    pub fn ended(information: &[f64], alpha: f64, spending: Spending) -> Option<Self> {
        Self::made(information, alpha, spending, true)
    }

    fn made(information: &[f64], alpha: f64, spending: Spending, ended: bool) -> Option<Self> {
        let (last, before) = information.split_last()?;
        let steps = std::iter::once(&0.0).chain(information).zip(information).all(|(before, after)| after - before >= LEAST_STEP);
        let within = before.iter().all(|time| *time < 1.0) && last.is_finite();
        let usable = steps && within && information.len() <= MOST_LOOKS && alpha > 0.0 && alpha < 1.0 && spending.is_usable();
        if !usable {
            return None;
        }
        let (mut bounds, mut spent, mut paths) = (Vec::with_capacity(information.len()), 0.0, Paths::beginning());
        for (look, time) in information.iter().enumerate() {
            let next = information.get(look + 1).copied();
            let allowed = if ended && next.is_none() { alpha / 2.0 } else { spending.spent(*time, alpha / 2.0) };
            let bound = paths.bound(*time, allowed - spent);
            spent = allowed;
            paths = paths.carried(*time, bound, next, 0.0);
            bounds.push(bound);
        }
        Some(Self { information: information.to_vec(), bounds })
    }

    /// The chance that each look stops the test on the lower and on the upper side, when the score at full information has the mean `drift`.
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

    /// The mean of the score at full information with which the test has this power; `None` unless power lies between alpha and 1.
    pub fn drift(&self, power: f64) -> Option<f64> {
        if !(power > self.power(0.0) && power < 1.0) {
            return None;
        }
        let (mut low, mut high) = (0.0, 1.0);
        while self.power(high) < power {
            (low, high) = (high, 2.0 * high);
        }
        // The rule of Illinois: a power takes long to compute.
        let mut ends = (self.power(low) - power, self.power(high) - power);
        for _ in 0..STEPS {
            let middle = (low * ends.1 - high * ends.0) / (ends.1 - ends.0);
            let beyond = self.power(middle) - power;
            if beyond.abs() < 1e-13 || middle <= low || middle >= high {
                return Some(middle);
            }
            if beyond < 0.0 { (low, ends) = (middle, (beyond, ends.1 / 2.0)) } else { (high, ends) = (middle, (ends.0 / 2.0, beyond)) }
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
        edge(0.0, HIGHEST, |bound| self.above(time, bound, 0.0) > share)
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
    let panels = ((high - low) / width).ceil().max(1.0);
    let half = (high - low) / panels / 2.0;
    let centres = std::iter::successors(Some(0.5), |panel| Some(panel + 1.0)).take_while(|panel| *panel < panels).map(|panel| low + 2.0 * half * panel);
    for centre in centres {
        nodes.extend(RULE.iter().rev().map(|(place, weight)| (centre - half * place, half * weight)));
        nodes.extend(RULE.iter().map(|(place, weight)| (centre + half * place, half * weight)));
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
    fn no_path_is_lost() {
        let unequal = [0.001, 0.0011, 0.3, 0.301, 0.95, 1.2];
        for (information, drift) in [(even(96), 0.0), (even(96), 3.0), (unequal.to_vec(), 0.0), (unequal.to_vec(), -2.0)] {
            let bounds = vec![2.5; information.len()];
            let test = GroupSequential { information, bounds };
            let mut paths = Paths::beginning();
            for (look, time) in test.information.iter().enumerate() {
                let whole: f64 = paths.nodes.iter().map(|(_, mass)| mass).sum();
                let parts = paths.below(*time, -2.5, drift) + paths.above(*time, 2.5, drift);
                paths = paths.carried(*time, 2.5, Some(test.information.get(look + 1).copied().unwrap_or(time + 0.1)), drift);
                let left: f64 = paths.nodes.iter().map(|(_, mass)| mass).sum();
                assert!((whole - parts - left).abs() < 1e-10, "look {look} of {:?}: {whole} {parts} {left}", test.information.len());
            }
        }
    }

    #[test]
    fn looks_come_as_they_come() {
        let (planned, spending) = ([0.25, 0.5, 0.75, 1.0], Spending::OBrienFleming);
        let whole = GroupSequential::new(&planned, 0.05, spending).unwrap();
        let first = GroupSequential::new(&planned[..2], 0.05, spending).unwrap();
        assert_eq!(first.bounds, whole.bounds[..2], "what was decided stays decided");
        // More than planned, or less: all of alpha is spent, and no more.
        let more = GroupSequential::new(&[0.25, 0.5, 0.75, 1.07], 0.05, spending).unwrap();
        let less = GroupSequential::ended(&[0.25, 0.5, 0.8], 0.05, spending).unwrap();
        for test in [more, less] {
            assert!((test.power(0.0) - 0.05).abs() < 1e-12, "{test:?}");
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
        let wrong: [(&[f64], f64); 9] = [
            (&[], 0.05),
            (&[0.0, 1.0], 0.05),
            (&[0.5, 0.5], 0.05),
            (&[0.3, 0.1 + 0.2, 1.0], 0.05),
            (&[0.5, 1.1, 1.2], 0.05),
            (&[1.0], 0.0),
            (&[1.0], 1.0),
            (&[f64::NAN], 0.05),
            (&[0.5, f64::INFINITY], 0.05),
        ];
        for (information, alpha) in wrong {
            assert_eq!(GroupSequential::new(information, alpha, Spending::Pocock), None, "{information:?} {alpha}");
        }
        let test = GroupSequential::new(&[1e-4, 1.0], 0.05, Spending::OBrienFleming).unwrap();
        assert!(test.bounds[0].is_infinite() && (test.bounds[1] - 1.959_964).abs() < 1e-6);
        assert_eq!((test.drift(0.0), test.drift(1.0), test.drift(f64::NAN)), (None, None, None));
        for exponent in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(GroupSequential::new(&[0.5, 1.0], 0.05, Spending::Power(exponent)), None, "{exponent}");
        }
    }
}
