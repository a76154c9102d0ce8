//! An alarm for a stream that goes on for ever: a fixed false-alarm rate per time, not per look.
//!
//! The Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo, 2023): without a change it takes at least `length` observations on average
//! until a false alarm. Each bet λ grows by 1 + λ(error − usual), and begins anew at every observation.

/// The bets; an average over them needs no guess of how large a change will be.
const BETS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// Watches errors between 0 and 1 for a mean above the usual one.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    usual: f64,
    /// Bet and its evidence.
    evidence: Vec<(f64, f64)>,
}

impl Detector {
    /// For this usual error; `None` unless it lies in [0, 1).
    pub fn new(usual: f64) -> Option<Self> {
        // A bet that one observation without error would ruin is none.
        let bets = || BETS.into_iter().filter(|bet| bet * usual < 1.0);
        (0.0..1.0).contains(&usual).then(|| Self { usual, evidence: bets().map(|bet| (bet, 0.0)).collect() })
    }

    /// Takes one observation, and gives the evidence for a change so far. What is no number is left out; what lies outside is cut.
    pub fn observe(&mut self, error: f64) -> f64 {
        if !error.is_nan() {
            let surprise = error.clamp(0.0, 1.0) - self.usual;
            for (bet, evidence) in &mut self.evidence {
                *evidence = (*evidence + 1.0) * (1.0 + *bet * surprise);
            }
        }
        self.value()
    }

    /// The evidence so far. An alarm at a value of A comes at most once in A observations on average while nothing changes.
    pub fn value(&self) -> f64 {
        let (sum, count) = self.evidence.iter().fold((0.0, 0.0), |(sum, count), (_, evidence)| (sum + evidence, count + 1.0));
        sum / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        for usual in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Detector::new(usual), None, "{usual}");
        }
        let mut detector = Detector::new(0.1).unwrap();
        assert_eq!(detector.observe(f64::NAN), 0.0);
        assert_eq!(Detector::new(0.1).unwrap().observe(7.0), Detector::new(0.1).unwrap().observe(1.0));
        assert_eq!(Detector::new(0.9).unwrap().evidence.len(), 3);
    }

    #[test]
    fn a_change_is_seen_and_its_absence_is_not() {
        let mut detector = Detector::new(0.1).unwrap();
        let calm = (0..20_000).map(|number| detector.observe(f64::from(u32::from(number % 10 == 0)))).fold(0.0, f64::max);
        assert!(calm < 20_000.0, "{calm}");
        let alarm = (0..5_000).position(|number| detector.observe(f64::from(u32::from(number % 5 == 0))) >= 20_000.0);
        assert!(alarm.is_some_and(|observations| observations < 1_000), "{alarm:?}");
    }
}
