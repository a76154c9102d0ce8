//! Whether a candidate fails more calls than the stable revision, valid however often it is asked.
//!
//! Both arms have a confidence sequence at alpha / 2. Pass: the largest difference that they leave is below the margin. Fail: the
//! smallest difference that they leave is above 0, and the margin is not excluded. Each is wrong with probability at most alpha over all looks.

use crate::{Interval, Verdict, confidence_sequence};

/// Calls of one revision since the step began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that failed through the server's fault.
    pub failed: u64,
    /// All calls.
    pub all: u64,
}

/// How a comparison ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRate {
    /// Pass, Fail, NoData or TooLittle.
    pub verdict: Verdict,
    /// Candidate's rate minus stable's: the values that the counts do not exclude.
    pub difference: Interval,
    /// The numbers and the rule, for people.
    pub message: String,
}

/// Compares the candidate's failed calls with the stable revision's.
pub fn compare(candidate: Calls, stable: Calls, margin: f64, alpha: f64) -> ErrorRate {
    let arm = |calls: Calls| confidence_sequence(calls.failed, calls.all, alpha / 2.0);
    let (ours, theirs) = (arm(candidate), arm(stable));
    let difference = Interval { lower: ours.lower - theirs.upper, upper: ours.upper - theirs.lower };
    let verdict = match (candidate.all, stable.all) {
        (0, _) | (_, 0) => Verdict::NoData,
        _ if difference.upper < margin => Verdict::Pass,
        _ if difference.lower > 0.0 => Verdict::Fail,
        _ => Verdict::TooLittle,
    };
    let rule = match verdict {
        Verdict::Pass => format!("at most {:.3} points worse, less than the margin of {:.3}", 100.0 * difference.upper, 100.0 * margin),
        Verdict::Fail => format!("at least {:.3} points worse", 100.0 * difference.lower),
        Verdict::NoData => "no calls on both sides yet".to_owned(),
        Verdict::TooLittle | Verdict::ProviderError => {
            format!("between {:.3} and {:.3} points worse: not enough calls to tell", 100.0 * difference.lower, 100.0 * difference.upper)
        }
    };
    let message =
        format!("candidate {} of {} calls failed, stable {} of {}: {rule} (alpha {alpha})", candidate.failed, candidate.all, stable.failed, stable.all);
    ErrorRate { verdict, difference, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(candidate: (u64, u64), stable: (u64, u64)) -> Verdict {
        let calls = |(failed, all)| Calls { failed, all };
        compare(calls(candidate), calls(stable), 0.005, 0.001).verdict
    }

    #[test]
    fn verdicts_of_a_canary() {
        let table = [
            ("nothing yet", (0, 0), (0, 100), Verdict::NoData),
            ("no stable calls", (0, 100), (0, 0), Verdict::NoData),
            ("dead, twelve calls", (12, 12), (0, 100), Verdict::Fail),
            ("clean but few", (0, 500), (0, 4_500), Verdict::TooLittle),
            ("clean, 80 s at 300 calls/s", (0, 2_600), (0, 23_400), Verdict::Pass),
            ("one percent on both sides, few", (10, 1_000), (90, 9_000), Verdict::TooLittle),
            ("one percent on both sides, many", (1_000, 100_000), (9_000, 900_000), Verdict::Pass),
            ("three percent against one", (90, 3_000), (270, 27_000), Verdict::Fail),
            ("harm below the margin is tolerated", (1_200, 1_000_000), (9_000, 9_000_000), Verdict::Pass),
            ("a broken stable does not hold a healthy candidate", (0, 200), (900, 900), Verdict::Pass),
        ];
        for (what, candidate, stable, expected) in table {
            assert_eq!(verdict(candidate, stable), expected, "{what}");
        }
    }

    /// A small generator (splitmix64), so that the simulation is the same everywhere.
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
        }
    }

    /// How many of 300 runs with a look after every 50 calls ever end in `wrong`.
    fn wrong_runs(rates: (f64, f64), wrong: Verdict) -> u32 {
        let mut random = Random(7);
        let mut count = 0;
        for _ in 0..300 {
            let (mut candidate, mut stable) = (Calls::default(), Calls::default());
            for call in 1..=10_000 {
                let to_candidate = random.uniform() < 0.1;
                let (calls, rate) = if to_candidate { (&mut candidate, rates.0) } else { (&mut stable, rates.1) };
                calls.all += 1;
                calls.failed += u64::from(random.uniform() < rate);
                if call % 50 == 0 && compare(candidate, stable, 0.005, 0.05).verdict == wrong {
                    count += 1;
                    break;
                }
            }
        }
        count
    }

    #[test]
    fn wrong_verdicts_are_rarer_than_alpha_over_200_looks() {
        // 25 of 300 is the 99 % bound of a true rate of 5 %.
        assert!(wrong_runs((0.02, 0.02), Verdict::Fail) <= 25, "false alarms");
        assert!(wrong_runs((0.025, 0.02), Verdict::Pass) <= 25, "harm at the margin passes");
    }
}
