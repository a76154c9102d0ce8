//! An A/B test: who is in it, and which variant each of them is assigned to. It must not know pods, nor backends' weights: a user
//! keeps the variant whatever a rollout does beside the test.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use crate::assign::{assign, unit};
use crate::routes::FULL;

/// The longest name of a variant, in bytes: the evaluator takes no longer one.
const NAME: usize = 128;
/// Variants of a test at least: one alone is compared with nothing.
const VARIANTS: usize = 2;

/// A test, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// The seed of the assignment, and of the names of units. Each test has its own, so that who met the treatment in one test is
    /// spread over all variants of the next one, and nobody can follow a user from one test to another.
    pub seed: String,
    /// The header that names a user.
    #[serde(deserialize_with = "header_name")]
    pub header: HeaderName,
    /// What is compared.
    pub variants: Vec<Variant>,
}

/// One side of a test.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// Its name: users are assigned to it, told to callers and to model servers.
    pub name: String,
    /// The backend that answers. Two variants may have the same one: that is an A/A test.
    pub revision: String,
    /// Its share of the users, in basis points.
    pub weight: u32,
}

/// Why a test is refused, and with it the routes.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// Nothing to compare.
    #[error("the test of routes.json has {0} variants; it takes {VARIANTS} or more")]
    Few(usize),
    /// Not a control and a treatment.
    #[error("the paired test of routes.json has {0} variants; it takes a control and a treatment")]
    NoPair(usize),
    /// Weights do not add up.
    #[error("the weights of the test's variants sum to {0}, not to {FULL}")]
    Sum(u32),
    /// A name that no header can carry.
    #[error("a variant is named {0:?}; a name has 1 to {NAME} visible ASCII characters")]
    Name(String),
    /// A variant is there twice.
    #[error("the test has variant {0:?} twice")]
    Twice(String),
    /// Nobody can answer for a variant.
    #[error("variant {variant:?} is answered by revision {revision:?}, which is no backend")]
    NoBackend {
        /// Its name.
        variant: String,
        /// What is not there.
        revision: String,
    },
}

impl Test {
    /// Checks what a parser cannot see. `is_backend` says whether there is such a revision.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, is_backend: impl Fn(&str) -> bool) -> Result<(), TestError> {
        if self.variants.len() < VARIANTS {
            return Err(TestError::Few(self.variants.len()));
        }
        for (place, Variant { name, revision, .. }) in self.variants.iter().enumerate() {
            if name.is_empty() || name.len() > NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TestError::Name(name.clone()));
            }
            if self.variants.iter().skip(place + 1).any(|other| other.name == *name) {
                return Err(TestError::Twice(name.clone()));
            }
            if !is_backend(revision) {
                return Err(TestError::NoBackend { variant: name.clone(), revision: revision.clone() });
            }
        }
        let sum = self.variants.iter().fold(0_u32, |sum, variant| sum.saturating_add(variant.weight));
        if sum == FULL { Ok(()) } else { Err(TestError::Sum(sum)) }
    }

    /// The control and the treatment of a paired test: its first and its only other variant.
    pub fn pair(&self) -> Option<(&Variant, &Variant)> {
        if let [control, treatment] = self.variants.as_slice() { Some((control, treatment)) } else { None }
    }

    /// Who calls. `None` for nobody in particular, who is in no test: an empty header names nobody, or all of its senders were one user.
    pub fn key<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        headers.get(&self.header).map(HeaderValue::as_bytes).filter(|key| !key.is_empty())
    }

    /// The variant of a user. It follows from the test and the user alone.
    pub fn variant(&self, key: &[u8]) -> Option<&Variant> {
        let place = assign(&self.seed, key, self.variants.iter().map(|variant| (variant.name.as_str(), variant.weight)));
        self.variants.get(place?)
    }

    /// The name of a user in this test. Its hash has a tag of its own and tells nothing of the assignment, so the evaluator may spread
    /// the units of each variant over its buckets by it.
    pub fn unit(&self, key: &[u8]) -> String {
        unit(&self.seed, key)
    }
}

fn header_name<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderName, D::Error> {
    let text = String::deserialize(from)?;
    HeaderName::from_str(&text).map_err(|_| serde::de::Error::custom(format_args!("{text:?} is no name of a header")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "0b8f6c1e-52d7-4a63-9b1f-7e2d4c5a9f10";

    type Named = [(&'static str, u32)];

    fn test(variants: &Named) -> Test {
        let variant = |(name, weight): &(&str, u32)| Variant { name: (*name).into(), revision: "r1".into(), weight: *weight };
        Test { seed: SEED.into(), header: HeaderName::from_static("x-user-id"), variants: variants.iter().map(variant).collect() }
    }

    fn assigned(test: &Test, user: u32) -> &str {
        &test.variant(format!("N{user}").as_bytes()).unwrap().name
    }

    #[test]
    fn golden_values() {
        // Made by an implementation of its own in Python; whoever analyses a test elsewhere must get these.
        let three = test(&[("control", 5_000), ("treatment", 3_000), ("holdout", 2_000)]);
        let users: String = (14_000..14_024).map(|user| assigned(&three, user).chars().next().unwrap()).collect();
        assert_eq!(users, "tthtcthchhthtcttththccht");
        assert_eq!(three.unit(b"N14228"), "2bdeb0fdb80a49f7");
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let uneven = test(&[("control", 7_000), ("treatment", 2_000), ("holdout", 1_000), ("ended", 0)]);
        let share = |name: &str| (0..20_000).filter(|user| assigned(&uneven, *user) == name).count();
        // Four standard deviations.
        for (name, expected, off) in [("control", 14_000, 260), ("treatment", 4_000, 230), ("holdout", 2_000, 170), ("ended", 0, 1)] {
            assert!(share(name).abs_diff(expected) < off, "{name}: {}", share(name));
        }
    }

    #[test]
    fn a_test_does_not_follow_the_one_before() {
        let (first, mut second) = (test(&[("control", 5_000), ("treatment", 5_000)]), test(&[("control", 5_000), ("treatment", 5_000)]));
        second.seed = "another".into();
        let again = (0..20_000).filter(|user| assigned(&first, *user) == assigned(&second, *user)).count();
        assert!(again.abs_diff(10_000) < 280, "{again} of 20000 met the same variant");
        assert_ne!(first.unit(b"N14228"), second.unit(b"N14228"));
    }

    #[test]
    fn the_name_of_a_unit_tells_nothing_of_its_variant() {
        let even = test(&[("control", 5_000), ("treatment", 5_000)]);
        let mut treated = [0_i32; 64];
        for user in 0..64_000 {
            let bucket = usize::from_str_radix(&even.unit(format!("N{user}").as_bytes()), 16).unwrap() % 64;
            treated[bucket] += if assigned(&even, user) == "treatment" { 1 } else { -1 };
        }
        // Each is a sum of about 1,000 coins: the squares together are chi-squared with 64 degrees of freedom.
        let chi_squared: f64 = treated.iter().map(|sum| f64::from(*sum).powi(2) / 1_000.0).sum();
        assert!((30.0..110.0).contains(&chi_squared), "{chi_squared}");
    }

    #[test]
    fn who_is_named_by_nothing_is_nobody() {
        let even = test(&[("control", 5_000), ("treatment", 5_000)]);
        let headers = |value: &'static str| HeaderMap::from_iter([(even.header.clone(), HeaderValue::from_static(value))]);
        assert_eq!(even.key(&headers("N14228")), Some(&b"N14228"[..]));
        assert_eq!((even.key(&headers("")), even.key(&HeaderMap::new())), (None, None));
    }

    #[test]
    fn what_cannot_be_a_test_is_refused() {
        let refused = |variants: &Named, backend: &str| test(variants).check(|revision| revision == backend).map_err(|error| error.to_string());
        assert_eq!(refused(&[("control", 4_000), ("treatment", 6_000)], "r1"), Ok(()), "two variants of one revision are an A/A test");
        let table: [(&Named, &str, &str); 9] = [
            (&[("control", 5_000), ("treatment", 5_001)], "r1", "the weights of the test's variants sum to 10001, not to 10000"),
            (&[("control", u32::MAX), ("treatment", 10_001)], "r1", "sum to 4294967295"),
            (&[("control", 10_000)], "r1", "has 1 variants; it takes 2 or more"),
            (&[], "r1", "has 0 variants"),
            (&[("control", 5_000), ("control", 5_000)], "r1", r#"the test has variant "control" twice"#),
            (&[("control", 5_000), ("treatment", 5_000)], "r2", r#"variant "control" is answered by revision "r1", which is no backend"#),
            (&[("", 5_000), ("treatment", 5_000)], "r1", r#"a variant is named """#),
            (&[("control ", 5_000), ("treatment", 5_000)], "r1", r#"a variant is named "control ""#),
            (&[("contr\u{f6}l", 5_000), ("treatment", 5_000)], "r1", "1 to 128 visible ASCII characters"),
        ];
        for (variants, backend, expected) in table {
            let error = refused(variants, backend).unwrap_err();
            assert!(error.contains(expected), "{variants:?}: {error}");
        }
    }
}
