//! Two answers to each call: what they have in common is not in their difference.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

use super::simulation::{is_above, number_of_runs};
use super::*;
use crate::{Buckets, Effect, clustered, paired};

/// Calls of a user: 1 to so many.
const MOST_CALLS: u32 = 20;
/// Losses vary by how hard a user's calls are, by how hard each call is, and by how differently two models answer.
const USER: f64 = 0.5;
const CALL: f64 = 1.0;
/// The last again for all calls of a user: their differences are not independent.
const DIFFERENT: [f64; 2] = [0.1, 0.2];
/// Users of a look at one time.
const USERS: u64 = 300;

fn design() -> Design {
    Design { paired: true, ..super::design(Method::GroupSequential) }
}

struct World {
    random: SmallRng,
    control: Arm,
    treatment: Arm,
    /// Bucket, control's and treatment's loss of each call.
    rows: Vec<(usize, f64, f64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let arm = || Arm { buckets: vec![Bucket::default(); 64], ..Arm::default() };
        Self { random: SmallRng::seed_from_u64(seed), control: arm(), treatment: arm(), rows: Vec::new() }
    }

    /// So many users, whose calls the treatment answers with losses that are so much lower.
    fn come(&mut self, users: u64, lower: f64) {
        for _ in 0..users {
            let mut drawn = |deviation: f64| Normal::new(0.0, deviation).unwrap().sample(&mut self.random);
            let (hard, other) = (drawn(USER), drawn(DIFFERENT[0]));
            let (bucket, calls) = (self.random.random_range(0..64), self.random.random_range(1..=MOST_CALLS));
            for _ in 0..calls {
                let mut drawn = |deviation: f64| Normal::new(0.0, deviation).unwrap().sample(&mut self.random);
                let control = 2.0 + hard + drawn(CALL);
                let treatment = control + other + drawn(DIFFERENT[1]) - lower;
                self.rows.push((bucket, control, treatment));
                for (arm, loss) in [(&mut self.control, control), (&mut self.treatment, treatment)] {
                    arm.buckets[bucket].sum += loss;
                    arm.buckets[bucket].calls += 1;
                }
            }
            for arm in [&mut self.control, &mut self.treatment] {
                arm.units += 1;
                arm.labelled_units += 1;
            }
        }
    }

    fn effect(&self, by: impl Fn(Buckets<'_>, Buckets<'_>) -> Option<Effect>) -> Effect {
        let of = |arm: &Arm| (arm.buckets.clone(), arm.labelled_units);
        let (ours, theirs) = (of(&self.treatment), of(&self.control));
        by(Buckets { buckets: &ours.0, units: ours.1 }, Buckets { buckets: &theirs.0, units: theirs.1 }).unwrap()
    }
}

#[test]
fn the_difference_and_its_error_are_those_of_a_plain_computation() {
    let mut world = World::new(5);
    world.come(100, 0.1);
    let rows = world.rows.len() as f64;
    let mean = world.rows.iter().map(|(_, control, treatment)| treatment - control).sum::<f64>() / rows;
    let mut residuals = [0.0; 64];
    for (bucket, control, treatment) in &world.rows {
        residuals[*bucket] += treatment - control - mean;
    }
    let filled = world.control.buckets.iter().filter(|bucket| bucket.calls > 0).count() as f64;
    let variance = filled / (filled - 1.0) * residuals.iter().map(|residual| residual * residual).sum::<f64>() / (rows * rows);
    let effect = world.effect(paired);
    assert!((effect.estimate - mean).abs() < 1e-12 && (effect.standard_error / variance.sqrt() - 1.0).abs() < 1e-9, "{effect:?} {mean} {variance}");
    assert_eq!((effect.degrees, effect.units), (filled - 1.0, 200.0));
    let (few, none) = ([Bucket { sum: 1.0, calls: 5 }; crate::ENOUGH_BUCKETS - 1], [Bucket::default(); 64]);
    assert_eq!(paired(Buckets { buckets: &few, units: 9 }, Buckets { buckets: &few, units: 9 }), None);
    assert_eq!(paired(Buckets { buckets: &none, units: 0 }, Buckets { buckets: &none, units: 0 }), None);
}

#[test]
fn pairs_tell_much_more_than_users_that_are_split_and_are_wrong_no_more_often() {
    let runs = number_of_runs(1_000);
    let (mut rejected, mut split) = (0, 0);
    let mut narrower = 0.0;
    for seed in 0..runs {
        let mut world = World::new(seed);
        world.come(USERS, 0.0);
        let (pairs, apart) = (world.effect(paired), world.effect(clustered));
        rejected += u32::from(pairs.p_value() < 0.05);
        split += u32::from(apart.p_value() < 0.05);
        narrower += pairs.standard_error / apart.standard_error / runs as f64;
    }
    println!("of {runs}: {rejected} rejected as pairs, {split} as if they were apart; intervals of pairs have {narrower:.3} of the width");
    let share = f64::from(rejected) / runs as f64;
    assert!((share - 0.05).abs() < 4.0 * (0.05 * 0.95 / runs as f64).sqrt(), "{share}");
    assert!(split * 10 < rejected, "what both have in common is taken for chance: {split}");
    assert!(narrower < 0.25, "{narrower}");
}

/// The variance of the difference of a user's answers, by its calls.
fn variance() -> f64 {
    let most = f64::from(MOST_CALLS);
    let (calls, squared) = ((most + 1.0) / 2.0, (most + 1.0) * (2.0 * most + 1.0) / 6.0);
    (squared * DIFFERENT[0].powi(2) + calls * DIFFERENT[1].powi(2)) / (calls * calls)
}

#[test]
fn a_paired_test_is_planned_looked_at_and_decided_as_any_other() {
    let design = Design { minimum_effect: 0.03, ..design() };
    let planned = plan(&design, Spread::Difference(variance())).unwrap().units_per_variant;
    let design = Design { maximum_units: planned as u64, ..design };
    let runs = number_of_runs(300);
    let won = |lower: f64| {
        let mut won = 0;
        for seed in 0..runs {
            let (mut world, mut looks) = (World::new(seed), Vec::new());
            let verdict = loop {
                world.come(design.maximum_units / 10 + 1, lower);
                let arms = [world.control.clone(), world.treatment.clone()];
                let judged = running(&design, &looks, &arms).unwrap();
                assert!(judged.sample_ratio.reason().is_none());
                looks.extend(judged.look);
                if let Some(verdict) = running(&design, &looks, &arms).unwrap().verdict {
                    break verdict;
                }
            };
            won += u32::from(matches!(verdict, Verdict::Winner { .. }));
        }
        won
    };
    let (wrong, right) = (won(0.0), won(0.03));
    println!("{planned} users: {wrong} of {runs} found a difference that is none, {right} one of the smallest that matters");
    assert!(!is_above(wrong, runs as usize, design.alpha), "{wrong}");
    let share = f64::from(right) / runs as f64;
    assert!((share - design.power).abs() < 3.0 * (0.16 / runs as f64).sqrt() + 0.03, "{share}");
}
