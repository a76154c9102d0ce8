//! Verdicts by hand, and how often they are wrong.

use super::*;

const RULE: SkillRule = SkillRule { loss: Loss::Logarithm, minimum: 0.05, outcomes: 500, alpha: 0.001 };

/// A small generator (splitmix64), so that the simulation is the same everywhere.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / (f64::from(u32::MAX) + 1.0)
    }

    fn below(&mut self, most: u32) -> u32 {
        (0..most).find(|number| self.uniform() * f64::from(most - number) < 1.0).unwrap_or(0)
    }
}

/// Users of four kinds: how likely their outcome is, and what the model says of them.
struct Population {
    kinds: [(f64, f64); 4],
}

/// A model that tells kinds apart; one that is too sure; one whose answers are turned around; one of rare events.
const GOOD: Population = Population { kinds: [(0.1, 0.12), (0.2, 0.2), (0.5, 0.45), (0.8, 0.75)] };
const TOO_SURE: Population = Population { kinds: [(0.1, 0.01), (0.3, 0.1), (0.4, 0.2), (0.8, 0.99)] };
const INVERTED: Population = Population { kinds: [(0.1, 0.88), (0.2, 0.8), (0.5, 0.55), (0.8, 0.25)] };
const RARE: Population = Population { kinds: [(0.01, 0.01), (0.02, 0.03), (0.1, 0.08), (0.2, 0.3)] };

fn log_loss(said: f64, truth: f64) -> f64 {
    -(truth * said.ln() + (1.0 - truth) * (1.0 - said).ln())
}

impl Population {
    /// Every kind is as common as any other.
    fn skill(&self) -> f64 {
        let mean = |of: fn(&(f64, f64)) -> f64| self.kinds.iter().map(of).sum::<f64>() / 4.0;
        let rate = mean(|kind| kind.0);
        1.0 - mean(|(chance, said)| log_loss(*said, *chance)) / log_loss(rate, rate)
    }

    /// Users with 1 to 9 calls each, until there are so many calls; then somebody looks, and again.
    fn looked_at(&self, (each, looks): (u64, u64), random: &mut Random, mut look_at: impl FnMut(&[Scored])) {
        let mut buckets = [Scored::default(); 64];
        let mut count = 0;
        for look in 1..=looks {
            while count < look * each {
                let (place, kind) = (random.below(64), random.below(4));
                let (chance, said) = self.kinds[usize::try_from(kind).unwrap()];
                let bucket = &mut buckets[usize::try_from(place).unwrap()];
                for _ in 0..=random.below(9) {
                    let truth = f64::from(u8::from(random.uniform() < chance));
                    *bucket = bucket.with(&Scored { count: 1, loss: log_loss(said, truth), truth, truth_squared: truth });
                    count += 1;
                }
            }
            look_at(&buckets);
        }
    }
}

/// Runs; `PLIMSOLL_RUNS` makes it larger.
fn runs() -> u32 {
    std::env::var("PLIMSOLL_RUNS").map_or(400, |runs| runs.parse().unwrap())
}

/// A count of wrong runs that a promise of `alpha` passes with hardly one chance in a million: five standard deviations above.
fn most(runs: u32, alpha: f64) -> f64 {
    let expected = f64::from(runs) * alpha;
    expected + 5.0 * (expected * (1.0 - alpha)).sqrt()
}

#[test]
fn wrong_verdicts_are_rarer_than_alpha_over_all_looks_of_users_who_call_again_and_again() {
    let mut random = Random(11);
    for (name, population) in [("good", &GOOD), ("too sure", &TOO_SURE), ("inverted", &INVERTED), ("rare", &RARE)] {
        // Exactly as good as is asked: Pass and Fail are both as wrong as they can be.
        let rules = [0.05, 0.001].map(|alpha| SkillRule { minimum: population.skill(), alpha, ..RULE });
        let mut wrong = [(0_u32, 0_u32); 2];
        for _ in 0..runs() {
            let mut seen = [(false, false); 2];
            population.looked_at((250, 20), &mut random, |buckets| {
                for (rule, (failed, passed)) in rules.iter().zip(&mut seen) {
                    let verdict = skill(buckets, *rule).verdict;
                    (*failed, *passed) = (*failed || verdict == Verdict::Fail, *passed || verdict == Verdict::Pass);
                }
            });
            for (wrong, seen) in wrong.iter_mut().zip(seen) {
                *wrong = (wrong.0 + u32::from(seen.0), wrong.1 + u32::from(seen.1));
            }
        }
        for (rule, (failed, passed)) in rules.iter().zip(wrong) {
            println!("{name}, skill {:.3}, alpha {}: {failed} false Fail and {passed} false Pass in {} runs", rule.minimum, rule.alpha, runs());
            assert!(f64::from(failed.max(passed)) < most(runs(), rule.alpha), "{name}, alpha {}: {failed}, {passed}", rule.alpha);
        }
    }
}

#[test]
fn a_good_model_passes_and_a_bad_one_fails_soon() {
    let mut random = Random(5);
    for (population, right, first) in [(&GOOD, Verdict::Pass, 8), (&INVERTED, Verdict::Fail, 1), (&TOO_SURE, Verdict::Fail, 20)] {
        for _ in 0..20 {
            let mut verdicts = Vec::new();
            population.looked_at((500, 20), &mut random, |buckets| verdicts.push(skill(buckets, RULE).verdict));
            let place = verdicts.iter().position(|verdict| *verdict == right);
            assert!(place.is_some_and(|place| place < first), "skill {}: {verdicts:?}", population.skill());
            assert!(verdicts.iter().all(|verdict| *verdict == right || *verdict == Verdict::TooLittle), "{verdicts:?}");
        }
    }
}

/// 64 buckets of ten predictions each, `hits` of them positive; which lose so much together.
fn buckets(hits: u64, loss: impl Fn(u64) -> f64) -> Vec<Scored> {
    (0..64).map(|place| Scored { count: 10, loss: loss(place), truth: real(hits), truth_squared: real(hits) }).collect()
}

#[test]
fn verdicts_by_hand() {
    // Entropy of 0.3 is 0.6109 a prediction. Losses differ a little from bucket to bucket.
    let around = |mean: f64| move |place: u64| 10.0 * mean * (1.0 + 0.02 * (real(place % 5) - 2.0));
    let of = |buckets: &[Scored]| skill(buckets, RULE).verdict;
    assert_eq!(of(&buckets(3, around(0.4))), Verdict::Pass);
    assert_eq!(of(&buckets(3, around(0.6))), Verdict::Fail, "skill 0.018 of 0.05");
    assert_eq!(of(&buckets(3, around(0.7))), Verdict::Fail, "worse than nothing");
    assert_eq!(of(&buckets(3, around(0.6109 * 0.95))), Verdict::TooLittle, "just what is asked");
    assert_eq!(of(&[]), Verdict::NoData);
    assert_eq!(of(&buckets(3, around(0.4))[..49]), Verdict::TooLittle, "490 outcomes of 500");
    assert_eq!(of(&buckets(0, around(0.4))), Verdict::TooLittle, "one class");
    assert_eq!(of(&[Scored { count: 800, loss: 1.0, truth: 300.0, truth_squared: 300.0 }]), Verdict::TooLittle, "one user");
    assert_eq!(of(&buckets(3, |_| 0.0)), Verdict::TooLittle, "nobody is always right: nothing varies");
    let found = skill(&buckets(3, around(0.4)), RULE);
    let (value, bounds) = (found.value.unwrap(), found.bounds.unwrap());
    assert!((value - (1.0 - 0.4 / 0.610_864)).abs() < 0.003 && bounds.lower < value && value < bounds.upper, "{found:?}");
    // The error of ln(loss) is 0.02 · √2 / 8, of skill 0.654 of that; on each side 4.4 of them, for Student's t has longer tails than the mixture's 4.1.
    assert!((bounds.upper - bounds.lower - 2.0 * 4.4 * 0.654 * 0.003_54).abs() < 0.001, "{found:?}");
    assert_eq!((found.outcomes, found.base_rate), (640, Some(0.3)));
}

#[test]
fn each_loss_has_its_own_base_rate() {
    let squares: Vec<Scored> = (0..64).map(|place: u64| Scored { count: 10, loss: 2.0 + 0.1 * real(place % 5), truth: 70.0, truth_squared: 590.0 }).collect();
    let found = skill(&squares, SkillRule { loss: Loss::Square, ..RULE });
    // Variance 59 − 49, and a squared error of 0.22 or a little less.
    assert!((found.value.unwrap() - 0.978).abs() < 0.001 && found.verdict == Verdict::Pass, "{found:?}");
    let brier = skill(&buckets(3, |place| 1.0 + 0.1 * real(place % 5)), SkillRule { loss: Loss::Brier, ..RULE });
    assert!((brier.value.unwrap() - (1.0 - 0.12 / 0.21)).abs() < 0.01 && brier.verdict == Verdict::Pass, "{brier:?}");
    // Numbers that never differ have no base rate to be better than.
    let same: Vec<Scored> = (0..64).map(|_| Scored { count: 10, loss: 2.0, truth: 70.0, truth_squared: 490.0 }).collect();
    let nothing = skill(&same, SkillRule { loss: Loss::Square, ..RULE });
    assert_eq!((nothing.verdict, nothing.value), (Verdict::TooLittle, None));
}
