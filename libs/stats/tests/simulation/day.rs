//! One day of one test: a look every minute.

use std::collections::BTreeMap;

use plimsoll_stats::{
    Bucket, Buckets, ENOUGH_EVENTS, Effect, GroupSequential, Mixture, Pairs, Spending, clustered, ln_e_of_assignments, ln_e_of_events, ratios, shares,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Binomial, Distribution, Exp};

use crate::cell::{Cell, UNITS, Unit};
use crate::{ALPHA, RATIO_ALPHA};

/// Minutes of a day.
pub const LOOKS: usize = 1_440;
/// Looks of the group-sequential test.
const PLANNED: usize = 14;
/// What is planned, as a part of what the day brings on average: the last look comes within the day.
const PLANNED_PART: f64 = 0.99;
/// How far apart users of one cell are: their rates are drawn from a beta distribution with so many pseudo-calls.
const HABITS: f64 = 4.0;
/// One user where a cell of calls has so many: a day's calls are about as many.
pub const CALLS_OF_A_USER: u64 = 10;
/// Calls of a user, at most.
const MOST_CALLS: u64 = 50;
/// Minutes until a wrong outcome is known, on average.
const KNOWN_AFTER: f64 = 90.0;
/// Minutes after which a late outcome counts.
pub const WINDOW: usize = 300;
/// Buckets of users.
const BUCKETS: usize = 64;
/// The 97.5 % quantile of the normal.
const CRITICAL: f64 = 1.959_963_984_540_054;

/// Ways to look. The first two are what people do, the third is what a test is compared with.
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

    /// Whether its chance of error is a promise of ours. A z test of few events is only nearly what it says, as everywhere.
    pub fn promises(self) -> bool {
        !matches!(self, Self::EveryLook | Self::Careless | Self::OneLook)
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// Calls, or users with calls.
    units: u64,
    calls: u64,
    wrong: u64,
}

struct Arm {
    counts: Counts,
    /// Wrong calls beside calls, by user.
    users: Pairs,
    assigned: u64,
    buckets: Vec<Bucket>,
    /// What enters at which minute.
    later: Vec<Counts>,
    /// Labels that are there at the end, right and wrong.
    so_far: (u64, u64),
}

/// Which methods ever reject in this run.
pub fn run(cell: &Cell, seed: u64) -> BTreeMap<Method, bool> {
    let mut random = StdRng::seed_from_u64(cell.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed);
    let mut arms = [Arm::new(), Arm::new()];
    let mut rejected = BTreeMap::new();
    let mut reject = |method: Method, yes: bool| *rejected.entry(method).or_insert(false) |= yes;
    let mixture = Mixture::two_sided((UNITS * LOOKS as u64) as f64, ALPHA).unwrap();
    let (test, planned, mut looks) = (boundaries(), PLANNED_PART * cell.units(), 0);
    for minute in 0..LOOKS {
        let share = cell.share_at(minute);
        let treated = Binomial::new(UNITS, share).unwrap().sample(&mut random);
        for (arm, units, rate) in [(0, UNITS - treated, cell.rate), (1, treated, cell.rate + cell.effect)] {
            arms[arm].minute((cell.unit, rate), minute, units, &mut random);
        }
        let (assigned, wrong) = (arms.each_ref().map(|arm| arm.assigned), arms.each_ref().map(|arm| arm.counts.wrong));
        if cell.unit != Unit::Late {
            reject(Method::SampleRatio, ln_e_of_assignments(&assigned, &[1.0 - share, share]).unwrap() >= -RATIO_ALPHA.ln());
        }
        if cell.unit == Unit::Call {
            reject(Method::Events, ln_e_of_events(wrong[1], wrong[0], share).unwrap() >= -ALPHA.ln());
        }
        let Some(effect) = effect(cell.unit, &arms) else { continue };
        reject(Method::EveryLook, effect.statistic().abs() >= CRITICAL);
        reject(Method::AlwaysValid, mixture.ln_e_of(&effect) >= mixture.threshold());
        // A look comes when its part of the planned units is there; one that came too early for its numbers comes with the next.
        let due = test.information.iter().filter(|fraction| effect.units >= **fraction * planned).count();
        if due > looks {
            looks = due;
            reject(Method::GroupSequential, effect.score().abs() >= test.bounds[due - 1]);
        }
    }
    // The day is over before all of the planned units are there: the last look spends what is left.
    if let Some(effect) = effect(cell.unit, &arms).filter(|_| looks < PLANNED) {
        let bound = last_bound(looks, effect.units / planned);
        reject(Method::GroupSequential, bound.is_some_and(|bound| effect.score().abs() >= bound));
    }
    let at_the_end = |effect: Option<Effect>| effect.is_some_and(|effect| effect.p_value() < ALPHA);
    reject(Method::OneLook, at_the_end(effect(cell.unit, &arms)));
    let careless = |of: fn(&Arm) -> (u64, u64)| at_the_end(shares(of(&arms[1]), of(&arms[0])));
    match cell.unit {
        Unit::Call => {}
        Unit::User => {
            reject(Method::Careless, careless(|arm| (arm.counts.wrong, arm.counts.calls)));
            let [control, treatment] = arms.each_ref().map(|arm| Buckets { buckets: &arm.buckets, units: arm.counts.units });
            reject(Method::Buckets, at_the_end(clustered(treatment, control)));
        }
        Unit::Late => reject(Method::Careless, careless(|arm| (arm.so_far.1, arm.so_far.0 + arm.so_far.1))),
    }
    rejected
}

fn boundaries() -> GroupSequential {
    static ONCE: std::sync::OnceLock<GroupSequential> = std::sync::OnceLock::new();
    let times = || (1..=PLANNED).map(|look| look as f64 / PLANNED as f64).collect::<Vec<_>>();
    ONCE.get_or_init(|| GroupSequential::new(&times(), ALPHA, Spending::OBrienFleming).unwrap()).clone()
}

/// The boundary of a last look at so much information after so many looks; to the thousandth, so that it is computed once.
fn last_bound(looks: usize, fraction: f64) -> Option<f64> {
    static KNOWN: std::sync::Mutex<BTreeMap<(usize, u64), Option<f64>>> = std::sync::Mutex::new(BTreeMap::new());
    let thousandths = (1_000.0 * fraction).round();
    let key = (looks, thousandths as u64);
    if let Some(known) = KNOWN.lock().unwrap().get(&key) {
        return *known;
    }
    let mut information = boundaries().information[..looks].to_vec();
    information.push(thousandths / 1_000.0);
    let bound = GroupSequential::ended(&information, ALPHA, Spending::OBrienFleming).and_then(|test| test.bounds.last().copied());
    *KNOWN.lock().unwrap().entry(key).or_insert(bound)
}

fn effect(unit: Unit, arms: &[Arm; 2]) -> Option<Effect> {
    let [control, treatment] = arms;
    let of = |arm: &Arm| (arm.counts.wrong, arm.counts.calls);
    if unit != Unit::User {
        return shares(of(treatment), of(control));
    }
    arms.iter().all(|arm| arm.counts.units >= ENOUGH_EVENTS).then(|| ratios(treatment.users, control.users))?
}

impl Arm {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            users: Pairs::default(),
            assigned: 0,
            buckets: vec![Bucket::default(); BUCKETS],
            later: vec![Counts::default(); LOOKS],
            so_far: (0, 0),
        }
    }

    fn minute(&mut self, (unit, rate): (Unit, f64), minute: usize, units: u64, random: &mut StdRng) {
        self.assigned += units;
        match unit {
            Unit::Call => {
                let wrong = Binomial::new(units, rate).unwrap().sample(random);
                self.counts.add(&Counts { units, calls: units, wrong });
            }
            Unit::User => {
                let habits = Beta::new(HABITS * rate, HABITS * (1.0 - rate)).unwrap();
                for _ in 0..units / CALLS_OF_A_USER {
                    let calls = random.random_range(1..=MOST_CALLS);
                    let wrong = Binomial::new(calls, habits.sample(random)).unwrap().sample(random);
                    let bucket = &mut self.buckets[random.random_range(0..BUCKETS)];
                    *bucket = Bucket { sum: bucket.sum + wrong as f64, calls: bucket.calls + calls };
                    self.users = self.users.with(wrong as f64, calls as f64);
                    self.counts.add(&Counts { units: 1, calls, wrong });
                }
            }
            Unit::Late => {
                let wrong = Binomial::new(units, rate).unwrap().sample(random);
                let delay = Exp::new(1.0 / KNOWN_AFTER).unwrap();
                let known: Vec<usize> = (0..wrong).map(|_| minute + delay.sample(random) as usize).collect();
                let in_time = known.iter().filter(|at| **at < minute + WINDOW).count() as u64;
                self.so_far.1 += known.iter().filter(|at| **at < LOOKS).count() as u64;
                // Right ones are known when their window closes.
                if minute + WINDOW < LOOKS {
                    self.so_far.0 += units - wrong;
                    let calls = units - wrong + in_time;
                    self.later[minute + WINDOW] = Counts { units: calls, calls, wrong: in_time };
                }
                let mature = self.later[minute];
                self.counts.add(&mature);
            }
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.calls += other.calls;
        self.wrong += other.wrong;
    }
}
