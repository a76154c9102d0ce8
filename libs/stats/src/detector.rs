//! An alarm for a stream that goes on for ever: a fixed rate of false alarms per time, not per look.
//!
//! The Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo, 2023): while the mean is at most the usual one, it takes at least `length`
//! observations on average until an alarm. Each bet λ grows by 1 + λ(error − usual), and begins anew with every observation. This module
//! must not know what an alarm leads to.

/// The bets; an average over them needs no guess of how large a change will be.
const BETS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Evidence tends to about 1.55 / usual while there is no error at all. So that this is no alarm, the usual error counts as so much / length.
const LEAST: f64 = 8.0;

/// Watches errors between 0 and 1 for a mean above the usual one.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    usual: f64,
    length: f64,
    /// Bet and its evidence.
    evidence: Vec<(f64, f64)>,
}

impl Detector {
    /// For this usual error, with at least `length` observations between false alarms on average. `None` unless the error lies in [0, 1) and the
    /// length is above 8.
    pub fn new(usual: f64, length: f64) -> Option<Self> {
        let counted = usual.max(LEAST / length);
        // A bet that one observation without error would ruin is none.
        let bets = || BETS.into_iter().filter(|bet| bet * counted < 1.0);
        let usable = (0.0..1.0).contains(&usual) && length > LEAST && length.is_finite();
        usable.then(|| Self { usual: counted, length, evidence: bets().map(|bet| (bet, 0.0)).collect() })
    }

    /// Takes one observation, and says whether that makes an alarm; after one, everything begins anew. What is no number is left out; what lies
    /// outside is cut.
    pub fn observe(&mut self, error: f64) -> bool {
        if error.is_nan() {
            return false;
        }
        let surprise = error.clamp(0.0, 1.0) - self.usual;
        for (bet, evidence) in &mut self.evidence {
            *evidence = (*evidence + 1.0) * (1.0 + *bet * surprise);
        }
        let alarm = self.evidence() >= self.length;
        if alarm {
            self.evidence.iter_mut().for_each(|(_, evidence)| *evidence = 0.0);
        }
        alarm
    }

    /// The evidence for a change so far; an alarm comes at `length`.
    pub fn evidence(&self) -> f64 {
        let (sum, count) = self.evidence.iter().fold((0.0, 0.0), |(sum, count), (_, evidence)| (sum + evidence, count + 1.0));
        sum / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        for (usual, length) in [(-0.1, 1e4), (1.0, 1e4), (f64::NAN, 1e4), (0.1, 8.0), (0.1, f64::NAN), (0.1, f64::INFINITY)] {
            assert_eq!(Detector::new(usual, length), None, "{usual} {length}");
        }
        let after = |error: f64| {
            let mut detector = Detector::new(0.1, 1e4).unwrap();
            (detector.observe(error), detector.evidence())
        };
        assert_eq!((after(f64::NAN), after(7.0)), ((false, 0.0), after(1.0)));
        assert_eq!(Detector::new(0.9, 1e4).unwrap().evidence.len(), 3);
    }

    #[test]
    fn a_stream_without_errors_is_no_change() {
        for usual in [0.0, 1e-5, 1e-4, 0.1] {
            let mut detector = Detector::new(usual, 20_000.0).unwrap();
            assert!((0..100_000).all(|_| !detector.observe(0.0)), "{usual}");
            assert!(!detector.observe(1.0), "{usual}: one error");
        }
    }

    #[test]
    fn a_change_is_seen_and_its_absence_is_not() {
        let mut detector = Detector::new(0.1, 20_000.0).unwrap();
        assert!((0..20_000).all(|number| !detector.observe(f64::from(u32::from(number % 10 == 0)))));
        let alarm = (0..5_000).position(|number| detector.observe(f64::from(u32::from(number % 5 == 0))));
        assert!(alarm.is_some_and(|observations| observations < 1_000), "{alarm:?}");
        assert_eq!(detector.evidence(), 0.0, "it begins anew");
    }
}
