//! About how many units met a revision outside of tests: what a plan of a test needs to know, to a few percent and in a fixed size. (Units
//! of a test are counted one by one: they end with it, while those of a deployment would be a row each, for ever.)
//!
//! A sketch that keeps, for each of 512 parts of the hashes, the longest run of zeros that was seen in it (HyperLogLog; Flajolet, Fusy, Gandouet
//! and Meunier, 2007), so that order and repetition make no difference. This module must not know what the units were predicted.

use serde::{Deserialize, Serialize};

use crate::quality::real;

/// Leading bits of a hash that choose its part.
const BITS: u32 = 9;
/// Parts: the count is off by about 1.04 / √512, 5 %.
const PARTS: usize = 1 << BITS;
/// What makes the mean of so many parts unbiased: 0.7213 / (1 + 1.079 / parts).
const UNBIASED: f64 = 0.7213 / (1.0 + 1.079 / 512.0);
/// Below so many units for each part, the parts that nobody fell into tell more.
const FEW: f64 = 2.5;

/// Units whose outcome is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Predictions of theirs that count and have an outcome.
    pub calls: u64,
    /// The first of these predictions, in milliseconds.
    pub since: i64,
    /// By part, the longest run of zeros and 1; empty before the first.
    runs: Vec<u8>,
}

impl Users {
    /// One prediction of a unit, by its hash.
    pub fn add(&mut self, unit: u64, time: i64) {
        self.since = if self.calls == 0 { time } else { self.since.min(time) };
        self.calls += 1;
        self.runs.resize(PARTS, 0);
        let run = u8::try_from((unit << BITS).leading_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(longest) = usize::try_from(unit >> (u64::BITS - BITS)).ok().and_then(|part| self.runs.get_mut(part)) {
            *longest = run.max(*longest);
        }
    }

    /// About how many units there were.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0, and below 2^64 as counts are")]
    pub fn count(&self) -> u64 {
        let parts = real(u64::from(u16::try_from(self.runs.len()).unwrap_or(u16::MAX)));
        let raw = UNBIASED * parts * parts / self.runs.iter().map(|run| 0.5_f64.powi(i32::from(*run))).sum::<f64>();
        let empty: f64 = self.runs.iter().filter(|run| **run == 0).map(|_| 1.0).sum();
        let count = if raw <= FEW * parts && empty > 0.0 { parts * (parts / empty).ln() } else { raw };
        if count.is_finite() { count.round() as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::unit;

    #[test]
    fn everybody_is_counted_once_to_a_few_percent() {
        assert_eq!(Users::default().count(), 0);
        let (mut users, mut met) = (Users::default(), 0);
        for (so_many, off) in [(1_u32, 0.01), (100, 0.06), (1_000, 0.1), (5_000, 0.15), (100_000, 0.15)] {
            for user in met..so_many {
                let hash = unit(&format!("user-{user}")).unwrap();
                users.add(hash, 1_000 - i64::from(user));
                users.add(hash, 2_000);
            }
            met = so_many;
            let found = real(users.count()) / f64::from(so_many);
            assert!((found - 1.0).abs() < off, "{found} of {so_many}");
        }
        assert_eq!((users.calls, users.since), (200_000, 1_000 - 99_999));
        let stored = serde_json::to_string(&users).unwrap();
        assert!(stored.len() < 2_000, "{}", stored.len());
        assert_eq!(serde_json::from_str::<Users>(&stored).unwrap(), users);
    }

    #[test]
    fn order_makes_no_difference() {
        let told = |users: &[u32]| {
            users.iter().fold(Users::default(), |mut all, user| {
                all.add(unit(&user.to_string()).unwrap(), i64::from(*user));
                all
            })
        };
        assert_eq!(told(&[5, 3, 9, 3]), told(&[3, 3, 9, 5]));
    }
}
