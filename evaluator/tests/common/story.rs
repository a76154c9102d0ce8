//! A whole A/B test, invented: users with habits, their calls and what came true, through the ledger in virtual time, judged as an operator
//! does. It gives what was counted, and the ABTest as JSON, as it is handed over.
#![allow(dead_code, reason = "each program uses a part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Arm, Entry, Prediction, Said};
use plimsoll_evaluator::report::input::Test;
use plimsoll_evaluator::report::slices::Slices;
use plimsoll_evaluator::report::slices::read::{Limits, Range, read};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::state::State;
use plimsoll_evaluator::store::Sqlite;
use plimsoll_stats::Bucket;
use plimsoll_stats::experiment::{self, Design, Direction, Judgement, Look, Method, Names, Verdict};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;
/// 2026-11-02 06:00 UTC.
pub const BEGIN: i64 = 1_793_599_200_000;
pub const UID: &str = "5d1f7c3e-8a42-4b6f-9c1d-2e7a6b9f0c34";

/// Of each hour of the day, how many come, in percent of the mean.
const WAVE: [u64; 24] = [30, 25, 25, 30, 40, 60, 90, 120, 140, 150, 160, 165, 170, 165, 160, 150, 140, 130, 120, 105, 85, 65, 50, 40];

/// Of the inputs, if they are kept. Somebody typed one by hand.
const CARRIERS: [&str; 14] = ["UA", BAD, "B6", "DL", "AA", "MQ", "<b>US</b> & others, which somebody typed by hand", "9E", "WN", "VX", "FL", "AS", "F9", "YV"];
const BAD: &str = "EV";

/// What is invented.
pub struct Story {
    /// The test's name.
    pub name: &'static str,
    /// The control first: its name, its share in percent, and how much worse than perfect its probabilities are.
    pub variants: Vec<(&'static str, i64, f64)>,
    pub method: Method,
    pub minimum_effect: f64,
    pub maximum_units: u64,
    pub looks: u32,
    /// Users that come new every hour, over a day.
    pub users: u32,
    pub hours: i64,
    /// The part of the last variant's users that gets lost.
    pub lost: f64,
    /// Whether inputs are kept, and treatments are bad for one of the carriers.
    pub inputs: bool,
}

impl Story {
    /// A treatment that is better, found after some days.
    pub fn winner() -> Self {
        let variants = vec![("control", 50, 0.95), ("treatment", 50, 0.75)];
        let (method, lost) = (Method::GroupSequential, 0.0);
        Self { name: "delay-2026-11", variants, method, minimum_effect: 0.02, maximum_units: 4_000, looks: 10, users: 70, hours: 96, lost, inputs: false }
    }

    /// A treatment that is better, but for one of the carriers.
    pub fn sliced_winner() -> Self {
        Self { variants: vec![("control", 50, 0.95), ("treatment", 50, 0.55)], inputs: true, ..Self::winner() }
    }

    fn arm(&self, variant: &str, revision: &str) -> Arc<Arm> {
        Arc::new(Arm { revision: revision.into(), variant: format!("{}.{}.{variant}", self.name, &UID[..8]) })
    }

    fn design(&self) -> Design {
        Design {
            method: self.method,
            alpha: 0.05,
            power: 0.8,
            minimum_effect: self.minimum_effect,
            direction: Direction::Decrease,
            looks: self.looks,
            maximum_units: self.maximum_units,
            shares: self.variants.iter().map(|(_, weight, _)| f64::from(i32::try_from(*weight).unwrap()) / 100.0).collect(),
            paired: false,
        }
    }

    /// The calls of one hour: each with its time, what was predicted, and what came true.
    fn hour(&self, rng: &mut SmallRng, hour: i64, known: &mut Vec<(u64, usize, f64)>) -> Vec<(i64, Entry, Entry)> {
        let (wave, users) = (WAVE[usize::try_from((hour + 6) % 24).unwrap()], u64::from(self.users));
        for _ in 0..users * wave * rng.random_range(80..=120) / 10_000 {
            let mut drawn = rng.random_range(0..100);
            let variant = self.variants.iter().position(|(_, weight, _)| {
                drawn -= weight;
                drawn < 0
            });
            known.push((rng.random(), variant.unwrap_or(0), rng.random_range(-1.0..1.0)));
        }
        let mut said = Vec::new();
        for (place, (unit, variant, habit)) in known.iter().enumerate().rev().take(usize::try_from(3 * users * wave / 100).unwrap()) {
            if *variant + 1 == self.variants.len() && self.lost > 0.0 && f64::from(u32::try_from(*unit % 1_000).unwrap()) < 1_000.0 * self.lost {
                continue;
            }
            let (name, _, spread) = self.variants[*variant];
            let inputs = if self.inputs { inputs(*unit, place) } else { Value::Null };
            let spread = if *variant > 0 && inputs["carrier"] == BAD { 3.0 * spread } else { spread };
            let odds: f64 = habit + rng.random_range(-2.0..2.0);
            let truth = rng.random_bool(1.0 / (1.0 + (-odds).exp()));
            let seen: f64 = odds + rng.random_range(-2.0..2.0) * spread;
            let value = 1.0 / (1.0 + (-seen).exp());
            let time = BEGIN + hour * HOUR + rng.random_range(0..HOUR);
            let id = format!("{hour}-{place}/0");
            let prediction = Prediction {
                arm: self.arm(name, &format!("r{variant}")),
                unit: Some(*unit),
                value,
                positive: value >= 0.5,
                weight: 1.0,
                features: if self.inputs { inputs.to_string() } else { String::new() },
            };
            let outcome = Entry { id: id.clone(), said: Said::CameTrue(f64::from(u8::from(truth))) };
            said.push((time, Entry { id, said: Said::Predicted(time, prediction) }, outcome));
        }
        said
    }

    /// Tells it. Gives what was counted at the end, and the test.
    pub fn told(&self) -> (State, Value) {
        let folder = folder();
        let (ledger, test) = self.lived(&folder);
        (ledger.state().clone(), test)
    }

    /// The same, and its slices.
    pub fn sliced(&self) -> (State, Value, Slices) {
        let folder = folder();
        let (ledger, test) = self.lived(&folder);
        let understood = Test::parse(self.name, test.to_string().as_bytes()).unwrap();
        let range = Range::of(&understood, ledger.state());
        let slices = read(&mut *ledger.reader().unwrap(), &understood, &range, Task::BinaryClassification, Limits::OF_A_PAGE).unwrap();
        (ledger.state().clone(), test, slices)
    }

    fn lived(&self, folder: &tempfile::TempDir) -> (Ledger, Value) {
        let settings = Settings::new(Task::BinaryClassification, 2 * HOUR, 1_000 * HOUR);
        let mut ledger = Ledger::open(Box::new(Sqlite::open(&folder.path().join("evaluator.db")).unwrap()), settings).unwrap();
        ledger.step(BEGIN, &[]).unwrap();
        let (mut rng, mut known, mut looks, mut end) = (SmallRng::seed_from_u64(7), Vec::new(), Vec::new(), None);
        for hour in 0..self.hours {
            let now = BEGIN + (hour + 1) * HOUR;
            // Nobody is assigned any more when it has ended; what was said matures.
            let calls = if end.is_none() { self.hour(&mut rng, hour, &mut known) } else { Vec::new() };
            let missing = rng.random_range(0.02..0.06);
            let predictions: Vec<Entry> = calls.iter().map(|(_, prediction, _)| prediction.clone()).collect();
            let outcomes: Vec<Entry> = calls.into_iter().filter(|_| !rng.random_bool(missing)).map(|(_, _, outcome)| outcome).collect();
            while ledger.step(now, &[predictions.clone(), outcomes.clone()]).unwrap().behind {}
            let judged = self.judged(&looks.iter().map(|(_, look): &(i64, Look)| look.clone()).collect::<Vec<_>>(), ledger.state());
            if let (None, Some(_)) = (end, judged.verdict) {
                end = Some(now);
            }
            looks.extend(judged.look.map(|look| (ledger.state().closed, look)));
        }
        let test = self.test(ledger.state(), &looks, end);
        (ledger, test)
    }

    fn counted(&self, state: &State) -> Vec<experiment::Arm> {
        let by_name: BTreeMap<&str, _> = state.arms.iter().map(|(arm, counted)| (arm.variant.as_str(), counted)).collect();
        let arm = |(name, _, _): &(&str, i64, f64)| {
            let Some(counted) = by_name.get(self.arm(name, "").variant.as_str()) else {
                return experiment::Arm { buckets: vec![Bucket::default(); 64], ..experiment::Arm::default() };
            };
            let buckets = counted.buckets.all().iter().map(|sums| Bucket { sum: sums.losses.log_loss.value(), calls: sums.losses.count }).collect();
            experiment::Arm { units: counted.units, labelled_units: counted.labelled_units, buckets }
        };
        self.variants.iter().map(arm).collect()
    }

    fn judged(&self, looks: &[Look], state: &State) -> Judgement {
        experiment::judge(&self.design(), looks, &self.counted(state), false).unwrap()
    }

    fn test(&self, state: &State, looks: &[(i64, Look)], end: Option<i64>) -> Value {
        let design = self.design();
        let seen: Vec<Look> = looks.iter().map(|(_, look)| look.clone()).collect();
        let judged = self.judged(&seen, state);
        let time = |ms: i64| plimsoll_time(ms);
        let look = |(counted_until, look): &(i64, Look)| {
            let comparisons: Vec<Value> = look
                .comparisons
                .iter()
                .zip(self.variants.iter().skip(1))
                .map(|(comparison, (name, _, _))| {
                    let mut comparison = serde_json::to_value(comparison).unwrap();
                    comparison["variant"] = json!(name);
                    comparison
                })
                .collect();
            json!({"number": look.number, "at": time(counted_until + 2 * HOUR), "countedUntil": counted_until, "information": look.information, "units": look.units, "comparisons": comparisons})
        };
        let names: Vec<&str> = self.variants.iter().map(|(name, _, _)| *name).collect();
        let said = |verdict| experiment::sentence(&design, verdict, &Names { variants: &names, metric: "log loss" }, &seen, &self.counted(state));
        let (verdict, winner) = match judged.verdict {
            Some(Verdict::Winner { variant }) => (json!("Winner"), json!(names[variant])),
            Some(Verdict::NoDifference) => (json!("NoDifference"), Value::Null),
            Some(Verdict::Inconclusive) => (json!("Inconclusive"), Value::Null),
            Some(Verdict::Invalid(_)) => (json!("Invalid"), Value::Null),
            None => (Value::Null, Value::Null),
        };
        let variants: Vec<Value> = self
            .variants
            .iter()
            .enumerate()
            .map(|(place, (name, weight, _))| json!({"name": name, "modelVersion": format!("flight-delay-v{}", place + 7), "weight": weight}))
            .collect();
        let method = if self.method == Method::AlwaysValid { "AlwaysValid" } else { "GroupSequential" };
        json!({
            "metadata": {"name": self.name, "namespace": "flights", "uid": UID, "creationTimestamp": time(BEGIN - HOUR / 2), "generation": 1},
            "spec": {"deployment": "flight-delay", "variants": variants, "unit": {"header": "x-user-id"}, "onWinner": "Report", "paused": false,
                "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": self.minimum_effect},
                "guardrails": [{"metric": "errorRate", "margin": 0.01, "alpha": 0.001}],
                "design": {"method": method, "alpha": 0.05, "power": 0.8, "maximumUnitsPerVariant": self.maximum_units, "looks": self.looks, "maximumDuration": "28d"}},
            "status": {"observedGeneration": 1, "startedAt": time(BEGIN), "endedAt": end.map(time), "maturitySeconds": 7_200,
                "plan": {"message": "4,000 users with an outcome are planned for each variant; about 3,100 show a difference of 0.02 in log loss.",
                    "unitsPlanned": self.maximum_units, "unitsNeeded": 3_100, "detectableEffect": 0.0176, "expectedSeconds": 345_600, "enough": true},
                "looks": looks.iter().map(look).collect::<Vec<_>>(),
                "sampleRatio": looks.last().map(|_| json!({"assigned": judged.sample_ratio.ln_e_assigned, "labelled": judged.sample_ratio.ln_e_labelled})),
                "verdict": verdict, "winner": winner, "summary": judged.verdict.map(said),
                "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "the test can run", "lastTransitionTime": time(BEGIN)},
                    {"type": "Running", "status": if end.is_some() { "False" } else { "True" }, "reason": if end.is_some() { "Ended" } else { "CollectingOutcomes" },
                        "message": if end.is_some() { "the test has ended" } else { "users are assigned to variants" }, "lastTransitionTime": time(BEGIN)}]},
        })
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(if std::path::Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" }).unwrap()
}

/// The inputs of a call, which follow from who asks and how often somebody did.
fn inputs(unit: u64, place: usize) -> Value {
    let drawn = |salt: u64| {
        let mut mixed = unit.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 40
    };
    let call = drawn(100 + u64::try_from(place).unwrap());
    // The first are the most frequent.
    let carrier = CARRIERS[usize::try_from(drawn(1) % 14 * (drawn(2) % 14) / 14).unwrap()];
    let engines = if drawn(3).is_multiple_of(20) { Value::Null } else { json!(1 + drawn(4) % 4 / 3) };
    json!({"carrier": carrier, "distance": 80 + (call % 70) * (call % 70), "engines": engines, "weekend": drawn(5).is_multiple_of(3), "planned_departure_delay_minutes": f64::from(u16::try_from(call % 400).unwrap()) / 8.0 - 5.0})
}

/// As Kubernetes writes it.
fn plimsoll_time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
