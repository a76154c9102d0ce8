//! Who answers whom: weighted rendezvous hashing.
//!
//! Each backend scores -w / ln(u) with u uniform from a keyed hash of backend and user; the highest score wins (Schindelhauer and
//! Schomaker, 2005). The share of a backend is its share of the weight, and a change of weights moves only the users that it must.
//! The same seed gives the same answer in every replica and after every restart; the golden values say it for other languages.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// 2^53: so many values has a uniform number.
const UNIFORM: f64 = 9_007_199_254_740_992.0;

/// The place of the backend that `key` is assigned to, among (name, weight); `None` when no weight is above 0.
pub fn assign<'a>(seed: &str, key: &[u8], backends: impl Iterator<Item = (&'a str, u32)>) -> Option<usize> {
    backends
        .enumerate()
        .filter(|(_, (_, weight))| *weight > 0)
        .map(|(place, (name, weight))| (place, -f64::from(weight) / uniform(seed, name, key).ln()))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(place, _)| place)
}

/// The name under which others know a user: who has it cannot tell the user, and another deployment, or a test of it, has another
/// name for the same one.
pub fn unit(seed: &str, key: &[u8]) -> String {
    format!("{:016x}", hash([b"unit", seed.as_bytes(), key]))
}

/// A number in (0, 1).
#[expect(clippy::as_conversions, reason = "53 bits fit")]
fn uniform(seed: &str, backend: &str, key: &[u8]) -> f64 {
    ((hash([seed.as_bytes(), backend.as_bytes(), key]) >> 11) as f64 + 0.5) / UNIFORM
}

/// SipHash-2-4 with a zero key over these parts, each with its length before it.
fn hash(parts: [&[u8]; 3]) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in parts {
        hasher.write(&u64::try_from(part.len()).unwrap_or(0).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_candidate(users: std::ops::Range<u32>, weight: u32) -> Vec<bool> {
        users.map(|user| assign("seed", user.to_string().as_bytes(), [("old", 10_000 - weight), ("new", weight)].into_iter()) == Some(1)).collect()
    }

    #[test]
    fn golden_values() {
        // Made by an implementation of its own in Python; whoever assigns users elsewhere must get these numbers.
        let users: Vec<usize> = (0..16).map(|user: u32| usize::from(to_candidate(user..user + 1, 5_000)[0])).collect();
        assert_eq!(users, [1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_unit_has_one_name_in_each_deployment() {
        assert_eq!(unit("a", b"N14228"), unit("a", b"N14228"));
        assert!(unit("a", b"N14228") != unit("b", b"N14228") && unit("a", b"N14228") != unit("a", b"N14229"));
        assert_eq!(unit("a", b"N14228").len(), 16);
    }

    #[test]
    fn shares_follow_weights_and_a_rise_moves_only_whom_it_must() {
        let (ten, twenty) = (to_candidate(0..20_000, 1_000), to_candidate(0..20_000, 2_000));
        let share = |list: &[bool]| list.iter().filter(|new| **new).count();
        assert!(share(&ten).abs_diff(2_000) < 150 && share(&twenty).abs_diff(4_000) < 200, "{} {}", share(&ten), share(&twenty));
        assert!(ten.iter().zip(&twenty).all(|(before, after)| !before || *after), "nobody goes back when the candidate's weight rises");
    }

    proptest! {
        #[test]
        fn a_backend_without_weight_is_never_chosen(key in ".*", weight in 1_u32..10_000) {
            prop_assert_eq!(assign("s", key.as_bytes(), [("a", 0), ("b", weight), ("c", 0)].into_iter()), Some(1));
            prop_assert_eq!(assign("s", key.as_bytes(), [("a", 0)].into_iter()), None);
        }
    }
}
