//! Users with many calls each, judged from the first to the last look.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Binomial, Distribution};
use statrs::distribution::{Beta as BetaCdf, ContinuousCDF};

use super::*;

const RUNS: u64 = 300;
/// Power may be so far from what was planned: numbers of users are small, and looks come a little late.
const POWER_LOST: f64 = 0.02;
/// The effect that tests are planned for: the treatment's rates are so much lower.
const LOWERED: f64 = 0.2;
/// Users' rates are drawn from Beta(A, B).
const A: f64 = 1.6;
const B: f64 = 3.8;
/// Calls of a user: 1 to so many.
const MOST_CALLS: u64 = 39;
/// Passes of the judge in the time in which the planned units come.
const PASSES: u64 = 30;
/// Passes after which a test with too few users is ended.
const PATIENCE: u64 = 2 * PASSES;

/// How users come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Coming {
    /// With all of their calls at once.
    Once,
    /// At any time, and again and again from then on: those who came first have the most calls.
    Back,
    /// All of a few, who call now and then: who is seen at all soon is everybody, while calls go on.
    Few,
    /// The same, of fewer than were planned: the test is ended, long after the last of them was seen.
    TooFew,
}

/// What happened in a test of two variants.
#[derive(Default)]
struct Run {
    verdict: Option<Verdict>,
    /// Whether a test for one look said 5 % at any look.
    careless: bool,
    /// Whether an interval missed the true difference.
    missed: bool,
}

struct User {
    variant: usize,
    bucket: usize,
    rate: f64,
    /// In all of the time in which the planned units come, twice over.
    calls: u64,
    seen: bool,
}

struct World {
    random: SmallRng,
    arms: [Arm; 2],
    users: Vec<User>,
}

impl World {
    fn new(seed: u64) -> Self {
        let arms = [0, 1].map(|_| Arm { buckets: vec![Bucket::default(); 64], ..Arm::default() });
        Self { random: SmallRng::seed_from_u64(seed), arms, users: Vec::new() }
    }

    fn come(&mut self, users: u64, lowered: f64) {
        for _ in 0..users {
            let variant = usize::from(self.random.random_bool(0.5));
            let rate = Beta::new(A, B).unwrap().sample(&mut self.random) * if variant == 1 { 1.0 - lowered } else { 1.0 };
            let (bucket, calls) = (self.random.random_range(0..64), self.random.random_range(1..=MOST_CALLS));
            self.users.push(User { variant, bucket, rate, calls, seen: false });
        }
    }

    /// So many of a user's calls.
    fn call(&mut self, user: usize, calls: u64) {
        let (user, random) = (&mut self.users[user], &mut self.random);
        let arm = &mut self.arms[user.variant];
        let new = u64::from(calls > 0 && !user.seen);
        user.seen |= calls > 0;
        arm.units += new;
        arm.labelled_units += new;
        arm.buckets[user.bucket].sum += Binomial::new(calls, user.rate).unwrap().sample(random) as f64;
        arm.buckets[user.bucket].calls += calls;
    }

    fn pass(&mut self, coming: Coming, total: u64, lowered: f64) {
        let (before, each_pass) = (self.users.len(), total / PASSES + 1);
        match coming {
            Coming::Once | Coming::Back => self.come(each_pass, lowered),
            Coming::Few if before == 0 => self.come(total * 6 / 5, lowered),
            Coming::TooFew if before == 0 => self.come(total * 7 / 10, lowered),
            Coming::Few | Coming::TooFew => {}
        }
        for user in 0..self.users.len() {
            let calls = self.users[user].calls;
            match coming {
                Coming::Once if user >= before => self.call(user, calls),
                Coming::Once => {}
                Coming::Back if user >= before => self.call(user, 1),
                Coming::Back | Coming::Few | Coming::TooFew => {
                    let calls = u64::from(self.random.random_range(0..2 * PASSES) < calls);
                    self.call(user, calls);
                }
            }
        }
    }
}

fn run(design: &Design, seed: u64, lowered: f64, coming: Coming) -> Run {
    let (mut world, mut run, mut looks) = (World::new(seed), Run::default(), Vec::new());
    for pass in 0.. {
        assert!(pass < 20 * PASSES, "a test ends");
        world.pass(coming, design.total_units() as u64, lowered);
        let ended = coming == Coming::TooFew && pass >= PATIENCE;
        let judgement = judge(design, &looks, &world.arms, ended).unwrap();
        if let Some(look) = judgement.look {
            run.careless |= judgement.effects[0].unwrap().p_value() < 0.05;
            let (seen, truth) = (look.comparisons[0], -lowered * A / (A + B));
            run.missed |= !(seen.lower..=seen.upper).contains(&truth);
            looks.push(look);
        }
        run.verdict = judge(design, &looks, &world.arms, ended).unwrap().verdict;
        if run.verdict.is_some() {
            return run;
        }
    }
    run
}

/// `PLIMSOLL_RUNS` runs; so many by themselves.
pub(super) fn number_of_runs(by_themselves: u64) -> u64 {
    std::env::var("PLIMSOLL_RUNS").map_or(by_themselves, |runs| runs.parse().unwrap())
}

fn runs(design: &Design, lowered: f64, coming: Coming) -> Vec<Run> {
    let runs = number_of_runs(RUNS);
    let half = |half: u64| move || (half..runs).step_by(2).map(|seed| run(design, seed, lowered, coming)).collect::<Vec<_>>();
    std::thread::scope(|scope| [0, 1].map(|which| scope.spawn(half(which))).into_iter().flat_map(|thread| thread.join().unwrap()).collect())
}

fn count(runs: &[Run], holds: impl Fn(&Run) -> bool) -> u32 {
    u32::try_from(runs.iter().filter(|run| holds(run)).count()).unwrap()
}

fn is_won(run: &Run) -> bool {
    matches!(run.verdict, Some(Verdict::Winner { .. }))
}

/// One-sided 99 % lower bound of a share (Clopper and Pearson, 1934).
fn lower_bound(events: u32, trials: u32) -> f64 {
    if events == 0 { 0.0 } else { BetaCdf::new(f64::from(events), f64::from(trials - events) + 1.0).unwrap().inverse_cdf(0.01) }
}

/// What a user's calls vary by: the same rate in all of them, and chance in each.
fn variance(lowered: f64) -> f64 {
    let most = MOST_CALLS as f64;
    let (calls, squared) = ((most + 1.0) / 2.0, (most + 1.0) * (2.0 * most + 1.0) / 6.0);
    let kept = 1.0 - lowered;
    let (mean, habits) = (kept * A / (A + B), kept * kept * A * B / ((A + B).powi(2) * (A + B + 1.0)));
    (squared * habits + calls * (mean - mean * mean - habits)) / (calls * calls)
}

/// With the units that the minimum effect takes: a fifth of the control's rate.
fn planned(method: Method, looks: u32) -> Design {
    let design = Design { method, looks, minimum_effect: LOWERED * A / (A + B), ..design(method) };
    let plan = plan(&design, Spread::Variance(f64::midpoint(variance(0.0), variance(LOWERED)))).unwrap();
    Design { maximum_units: plan.units_per_variant as u64, ..design }
}

/// Whether chance does not explain that so many are more than this share.
pub(super) fn is_above(events: u32, trials: usize, share: f64) -> bool {
    lower_bound(events, u32::try_from(trials).unwrap()) > share
}

#[test]
fn equal_variants_differ_no_more_often_than_alpha_says() {
    use Coming::{Back, Few, Once, TooFew};
    use Method::{AlwaysValid, GroupSequential};
    for (method, looks) in [(GroupSequential, 5), (GroupSequential, 10), (GroupSequential, 30), (AlwaysValid, 5), (AlwaysValid, 30)] {
        let design = planned(method, looks);
        for coming in [Once, Back, Few, TooFew] {
            let runs = runs(&design, 0.0, coming);
            let (won, careless, missed) = (count(&runs, is_won), count(&runs, |run| run.careless), count(&runs, |run| run.missed));
            let units = design.maximum_units;
            println!("{method:?}, {looks} looks, {units} units, {coming:?}: {won} won, {careless} by one test at each look, of {}", runs.len());
            assert!(!is_above(won, runs.len(), design.alpha), "{method:?} {looks} {coming:?}: {won} of {} found a difference", runs.len());
            assert!(won <= missed, "who wins has excluded no difference");
            assert!(is_above(careless, runs.len(), design.alpha), "looks are too few for this test to mean anything: {careless}");
        }
    }
}

#[test]
fn the_minimum_effect_is_found_as_often_as_planned() {
    use Method::{AlwaysValid, GroupSequential};
    for (method, looks) in [(GroupSequential, 5), (GroupSequential, 10), (GroupSequential, 30), (AlwaysValid, 10)] {
        let design = planned(method, looks);
        let runs = runs(&design, LOWERED, Coming::Once);
        let won = count(&runs, |run| run.verdict == Some(Verdict::Winner { variant: 1 }));
        let none = count(&runs, |run| run.verdict == Some(Verdict::NoDifference));
        let missed = count(&runs, |run| run.missed);
        println!("{method:?}, {looks} looks, {} units: {won} won, {none} without difference, {missed} missed, of {}", design.maximum_units, runs.len());
        let (trials, share) = (runs.len() as f64, f64::from(won) / runs.len() as f64);
        let noise = 3.0 * (design.power * (1.0 - design.power) / trials).sqrt();
        assert!((share - design.power).abs() < noise + POWER_LOST, "{method:?}: {share}");
        assert!(!is_above(none, runs.len(), design.alpha) && !is_above(missed, runs.len(), design.alpha), "{method:?}: {none} {missed}");
    }
}
