//! One day of one test: a look every minute.

use std::collections::BTreeMap;

use plimsoll_stats::{Bucket, Effect, GroupSequential, Mixture, Moments, Pairs, Spending, clustered, ln_e_of_assignments, ln_e_of_events, means, ratios};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Binomial, Distribution, Exp};

use crate::cell::{Cell, UNITS, Unit};
use crate::{ALPHA, RATIO_ALPHA};

/// Minutes of a day.
const LOOKS: usize = 1_440;
/// Looks of the group-sequential test.
const PLANNED: usize = 14;
/// The mean of a normal is trusted from so many events on, in each variant.
const EVENTS: f64 = 25.0;
/// Minutes after which a late outcome counts.
const WINDOW: usize = 300;
/// Minutes over which a ramped treatment rises from a twentieth of its share to all of it.
const RAMP: usize = 700;
/// Buckets of users.
const BUCKETS: usize = 64;
/// The 97.5 % quantile of the normal.
const CRITICAL: f64 = 1.959_963_984_540_054;

/// Ways to look. The first three are what people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// A test for one look, at every look.
    EveryLook,
    /// The same over calls, as if calls of one user were independent, or over the labels that are there, whenever they came.
    Careless,
    OneLook,
    AlwaysValid,
    GroupSequential,
    Events,
    Buckets,
    SampleRatio,
}

impl Method {
    pub const ALL: [Self; 8] =
        [Self::EveryLook, Self::Careless, Self::OneLook, Self::AlwaysValid, Self::GroupSequential, Self::Events, Self::Buckets, Self::SampleRatio];

    pub fn name(self) -> &'static str {
        match self {
            Self::EveryLook => "z at every look",
            Self::Careless => "z at the end, per call or label so far",
            Self::OneLook => "z at the end",
            Self::AlwaysValid => "always valid",
            Self::GroupSequential => "group sequential",
            Self::Events => "exact count",
            Self::Buckets => "64 buckets, at the end",
            Self::SampleRatio => "sample ratio",
        }
    }

    /// Whether its chance of error is a promise of ours.
    pub fn promises(self) -> bool {
        !matches!(self, Self::EveryLook | Self::Careless)
    }
}

/// Sums over the units of a variant.
#[derive(Clone, Copy, Default)]
struct Sums {
    units: u64,
    calls: f64,
    wrong: f64,
    wrong_squared: f64,
    calls_squared: f64,
    product: f64,
}

struct Arm {
    sums: Sums,
    assigned: u64,
    buckets: Vec<Bucket>,
    /// What enters at which minute.
    later: Vec<Sums>,
    /// Labels that are there at the end, right and wrong.
    so_far: (u64, u64),
}

/// Which methods ever reject in this run.
pub fn run(cell: &Cell, seed: u64) -> BTreeMap<Method, bool> {
    let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ cell.name.bytes().map(u64::from).sum::<u64>());
    let arm = || Arm { sums: Sums::default(), assigned: 0, buckets: vec![Bucket::default(); BUCKETS], later: vec![Sums::default(); LOOKS], so_far: (0, 0) };
    let mut arms = [arm(), arm()];
    let mut rejected = BTreeMap::new();
    let mut reject = |method: Method, yes: bool| *rejected.entry(method).or_insert(false) |= yes;
    let whole = (UNITS * LOOKS as u64) as f64;
    let mixture = Mixture::tightest_at(whole, ALPHA).unwrap();
    let planned = boundaries();
    for minute in 0..LOOKS {
        let share = share(cell, minute);
        let treated = Binomial::new(UNITS, share).unwrap().sample(&mut random);
        for (arm, units, rate) in [(0, UNITS - treated, cell.rate), (1, treated, cell.rate + cell.effect)] {
            arms[arm].minute((cell.unit, rate), minute, units, &mut random);
        }
        let (assigned, wrong) = (arms.each_ref().map(|arm| arm.assigned), arms.each_ref().map(|arm| arm.sums.wrong as u64));
        if cell.unit != Unit::Late {
            reject(Method::SampleRatio, ln_e_of_assignments(&assigned, &[1.0 - share, share]).unwrap() >= -RATIO_ALPHA.ln());
        }
        if cell.unit == Unit::Call {
            reject(Method::Events, ln_e_of_events(wrong[1], wrong[0], share).unwrap() >= -ALPHA.ln());
        }
        let Some(effect) = effect(cell.unit, &arms) else { continue };
        let enough = arms.iter().all(|arm| arm.sums.wrong >= EVENTS && arm.sums.calls - arm.sums.wrong >= EVENTS);
        reject(Method::EveryLook, enough && effect.statistic().abs() >= CRITICAL);
        reject(Method::AlwaysValid, enough && mixture.ln_e_of(&effect) >= -ALPHA.ln());
        let last = if cell.unit == Unit::Late { LOOKS - WINDOW } else { LOOKS };
        let done = if cell.unit == Unit::Late { (minute + 1).saturating_sub(WINDOW) } else { minute + 1 };
        if let Some(look) = (0..PLANNED).find(|look| done == last * (look + 1) / PLANNED) {
            reject(Method::GroupSequential, enough && effect.statistic().abs() >= planned.bounds[look]);
        }
    }
    let at_the_end = |effect: Option<Effect>| effect.is_some_and(|effect| effect.p_value() < ALPHA);
    reject(Method::OneLook, at_the_end(effect(cell.unit, &arms)));
    match cell.unit {
        Unit::Call => {}
        Unit::User => {
            let calls = |arm: &Arm| shares(arm.sums.wrong, arm.sums.calls);
            reject(Method::Careless, at_the_end(means(calls(&arms[1]), calls(&arms[0]))));
            reject(Method::Buckets, at_the_end(clustered(&arms[1].buckets, &arms[0].buckets, arms[0].sums.units + arms[1].sums.units)));
        }
        Unit::Late => {
            let labels = |arm: &Arm| shares(arm.so_far.1 as f64, (arm.so_far.0 + arm.so_far.1) as f64);
            reject(Method::Careless, at_the_end(means(labels(&arms[1]), labels(&arms[0]))));
        }
    }
    rejected
}

fn boundaries() -> GroupSequential {
    static ONCE: std::sync::OnceLock<GroupSequential> = std::sync::OnceLock::new();
    let times = || (1..=PLANNED).map(|look| look as f64 / PLANNED as f64).collect::<Vec<_>>();
    ONCE.get_or_init(|| GroupSequential::new(&times(), ALPHA, Spending::OBrienFleming).unwrap()).clone()
}

fn share(cell: &Cell, minute: usize) -> f64 {
    if cell.unit == Unit::Late { cell.share * (0.05 + 0.95 * (minute as f64 / RAMP as f64).min(1.0)) } else { cell.share }
}

fn effect(unit: Unit, arms: &[Arm; 2]) -> Option<Effect> {
    let [control, treatment] = arms.each_ref().map(|arm| &arm.sums);
    if unit == Unit::User {
        return ratios(treatment.pairs(), control.pairs());
    }
    means(shares(treatment.wrong, treatment.calls), shares(control.wrong, control.calls))
}

fn shares(wrong: f64, calls: f64) -> Moments {
    Moments::of_sums(calls as u64, wrong, wrong)
}

impl Sums {
    fn pairs(&self) -> Pairs {
        Pairs::of_sums(self.units, (self.wrong, self.calls), (self.wrong_squared, self.calls_squared), self.product)
    }

    fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.calls += other.calls;
        self.wrong += other.wrong;
        self.wrong_squared += other.wrong_squared;
        self.calls_squared += other.calls_squared;
        self.product += other.product;
    }
}

impl Arm {
    fn minute(&mut self, (unit, rate): (Unit, f64), minute: usize, units: u64, random: &mut SmallRng) {
        self.assigned += units;
        match unit {
            Unit::Call => {
                let wrong = Binomial::new(units, rate).unwrap().sample(random) as f64;
                self.sums.add(&Sums { units, calls: units as f64, wrong, ..Sums::default() });
            }
            Unit::User => {
                // A tenth of the units: a minute's calls are as many as ever.
                let habits = Beta::new(4.0 * rate, 4.0 * (1.0 - rate)).unwrap();
                for _ in 0..units / 10 {
                    let calls = random.random_range(1..=50_u64);
                    let wrong = Binomial::new(calls, habits.sample(random)).unwrap().sample(random) as f64;
                    let bucket = &mut self.buckets[random.random_range(0..BUCKETS)];
                    *bucket = Bucket { sum: bucket.sum + wrong, calls: bucket.calls + calls };
                    let calls = calls as f64;
                    self.sums.add(&Sums { units: 1, calls, wrong, wrong_squared: wrong * wrong, calls_squared: calls * calls, product: wrong * calls });
                }
            }
            Unit::Late => {
                let wrong = Binomial::new(units, rate).unwrap().sample(random);
                let delay = Exp::new(1.0 / 90.0).unwrap();
                let arrivals: Vec<usize> = (0..wrong).map(|_| minute + delay.sample(random) as usize).collect();
                let in_time = arrivals.iter().filter(|at| **at < minute + WINDOW).count() as f64;
                self.so_far.1 += arrivals.iter().filter(|at| **at < LOOKS).count() as u64;
                if minute + WINDOW < LOOKS {
                    self.so_far.0 += units - wrong;
                    let calls = (units - wrong) as f64 + in_time;
                    self.later[minute + WINDOW].add(&Sums { units: calls as u64, calls, wrong: in_time, ..Sums::default() });
                }
                let mature = self.later[minute];
                self.sums.add(&mature);
            }
        }
    }
}
