//! Whole tests in memory: what is refused, when looks are taken, and how each end is told.

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ab_test::TestVerdict;
use plimsoll_crds::condition::{ConditionType, find, is_true};
use plimsoll_crds::model_deployment::{RoutesStatus, StableRevision, TestInProgress};
use plimsoll_crds::{ABTest, ModelDeployment};
use plimsoll_stats::Calls;
use serde_json::{Value, json};

use super::admission::is_left_to_a_test;
use super::plan::{Observed, Plan, labels, plan};
use super::quality::Quality;
use crate::deployment::tests::fixtures;

pub fn serving(number: u8) -> ModelDeployment {
    let mut deployment = fixtures::deployment("Latest");
    deployment.spec.outcomes = Some(fixtures::outcomes());
    let stable: StableRevision =
        serde_json::from_value(json!({"revision": "r", "modelVersion": fixtures::version_name(number), "digest": fixtures::digest(number),
        "contentDigest": "c", "runtimeDigest": "i", "since": fixtures::at(1).to_string()}))
        .unwrap();
    deployment.status.get_or_insert_default().stable = Some(stable);
    deployment
}

pub fn observed(test: &ABTest) -> Observed {
    Observed { deployment: Some(serving(1)), tests: vec![test.clone()], versions: (1..=3).map(fixtures::version).collect(), ..Observed::default() }
}

/// The deployment splits traffic for the test.
pub fn splitting(test: &ABTest) -> Observed {
    let mut observed = observed(test);
    let status = observed.deployment.as_mut().unwrap().status.as_mut().unwrap();
    let uid = test.metadata.uid.clone().unwrap();
    status.test = Some(TestInProgress { name: "newer".into(), uid, variants: Vec::new(), splitting: true, waiting_for: None, rejected: false });
    status.routes = Some(RoutesStatus { version: 2, weights: [("r".to_owned(), 10_000)].into(), verified: true });
    observed
}

/// So many users in each variant, whose mean losses are these; a share of the second variant's has an outcome, all or none of them.
fn counted(test: &ABTest, users: [u32; 2], loss: [f64; 2], known: bool) -> Quality {
    let arm = |place: usize| {
        let with_label = if place == 1 && !known { 0 } else { users[place] };
        let bucket = |number: u32| {
            let (count, noise) = (with_label / 64, (f64::from(number) * 2.399).sin() * 0.03);
            json!({"count": count, "logLoss": f64::from(count) * (loss[place] + noise), "squared": 0, "absolute": 0, "wrong": 0})
        };
        json!({"variant": labels(test)[place], "units": users[place], "labelledUnits": with_label, "buckets": (0..64).map(bucket).collect::<Vec<Value>>()})
    };
    serde_json::from_value(json!({"countedUntilUnixMs": 1, "arms": [arm(0), arm(1)]})).unwrap()
}

pub fn pass(test: &mut ABTest, mut observed: Observed, second: i64) -> Plan {
    observed.tests = vec![test.clone()];
    let plan = plan(test, &observed, Timestamp::from_second(second).unwrap());
    test.status = Some(plan.status.clone());
    plan
}

fn reason(test: &ABTest, kind: ConditionType) -> (String, String) {
    find(&test.status.as_ref().unwrap().conditions, kind).map(|found| (found.reason.clone(), found.message.clone())).unwrap_or_default()
}

/// Passes with these counts until nothing is new; gives the number of them.
fn settle(test: &mut ABTest, quality: &Quality, second: i64) -> usize {
    for number in 1..20 {
        let before = test.status.clone();
        let observed = Observed { counted: Some(Ok(quality.clone())), ..splitting(test) };
        pass(test, observed, second);
        if test.status == before {
            return number;
        }
    }
    panic!("a test does not come to rest")
}

#[test]
fn what_stands_against_a_test_is_told_with_its_place() {
    let change = |of: fn(&mut Observed, &mut ABTest)| {
        let mut test = fixtures::ab_test(1, 2);
        let mut observed = observed(&test);
        of(&mut observed, &mut test);
        pass(&mut test, observed, 1);
        reason(&test, ConditionType::Accepted)
    };
    type Row = (&'static str, &'static str, fn(&mut Observed, &mut ABTest));
    let table: [Row; 11] = [
        ("PromoteNeedsNewer", "treatment", |observed, test| {
            (*test, observed.deployment) = (fixtures::ab_test(3, 2), Some(serving(3)));
            test.spec.on_winner = plimsoll_crds::ab_test::OnWinner::Promote;
        }),
        ("NoDeployment", "spec.deployment", |observed, _| observed.deployment = None),
        ("NoOutcomes", "spec.outcomes", |observed, _| observed.deployment.as_mut().unwrap().spec.outcomes = None),
        ("BadDesign", "sum to 1", |_, test| test.spec.variants[0].weight = 60),
        ("BadDesign", "maximumDuration", |_, test| test.spec.design.maximum_duration = plimsoll_crds::DurationText::new("soon")),
        ("BadDesign", "above 0", |_, test| test.spec.design.maximum_duration = plimsoll_crds::DurationText::new("0s")),
        ("UnknownVersion", "nowhere", |_, test| test.spec.variants[1].model_version = "nowhere".into()),
        ("OtherModel", "treatment", |observed, _| observed.versions[1].spec.model = "other".into()),
        ("ControlIsNotStable", "control", |observed, _| observed.deployment = Some(serving(3))),
        ("NothingStable", "nothing yet", |observed, _| observed.deployment.as_mut().unwrap().status.as_mut().unwrap().stable = None),
        ("PromoteNeedsLatest", "version: Latest", |observed, test| {
            test.spec.on_winner = plimsoll_crds::ab_test::OnWinner::Promote;
            observed.deployment.as_mut().unwrap().spec.model.version = fixtures::version_name(1);
        }),
    ];
    for (expected, named, of) in table {
        let (reason, message) = change(of);
        assert_eq!(reason, expected, "{message}");
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_second_test_is_refused_and_the_first_goes_on() {
    let (mut first, mut second) = (fixtures::ab_test(1, 2), fixtures::ab_test(1, 3));
    (second.metadata.name, second.metadata.uid) = (Some("second".into()), Some("second-uid".into()));
    // Older by its time, but the other one has the deployment already.
    second.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(fixtures::at(100)));
    let world = Observed { tests: vec![first.clone(), second.clone()], ..splitting(&first) };
    first.status = Some(plan(&first, &world, fixtures::at(9)).status);
    second.status = Some(plan(&second, &world, fixtures::at(9)).status);
    assert!(first.status.as_ref().unwrap().started_at.is_some());
    let (reason, message) = reason(&second, ConditionType::Accepted);
    assert_eq!(reason, "AnotherTest");
    assert!(message.contains("newer"), "{message}");
    assert!(is_true(&second.status.as_ref().unwrap().conditions, ConditionType::Stalled));
}

#[test]
fn a_look_is_written_before_anything_follows_from_it() {
    let mut test = fixtures::ab_test(1, 2);
    let start = splitting(&test);
    pass(&mut test, start, 10);
    assert!(test.status.as_ref().unwrap().started_at.is_some() && is_true(&test.status.as_ref().unwrap().conditions, ConditionType::Running));
    let better = counted(&test, [600, 600], [0.6, 0.4], true);
    let once = Observed { counted: Some(Ok(better.clone())), ..splitting(&test) };
    let looked = pass(&mut test, once, 20);
    assert_eq!((looked.status.looks.len(), looked.status.verdict, looked.wake), (1, None, Some(std::time::Duration::ZERO)));
    assert!(looked.status.looks[0].comparisons[0].crossed, "{:?}", looked.status.looks);
    // The operator dies here; the evaluator's numbers are others by now, or gone.
    let gone = Observed { counted: Some(Err("away".into())), ..splitting(&test) };
    let waits = pass(&mut test, gone, 30);
    assert_eq!((waits.status.looks.len(), waits.status.verdict), (1, None));
    let worse = counted(&test, [700, 700], [0.4, 0.6], true);
    settle(&mut test, &worse, 40);
    let status = test.status.clone().unwrap();
    assert_eq!((status.verdict, status.winner.as_deref(), status.looks.len()), (Some(TestVerdict::Winner), Some("treatment"), 1));
    assert!(status.summary.unwrap().contains("wins"));
    // A verdict stays, whatever is counted then.
    let after = test.status.clone();
    settle(&mut test, &worse, 50);
    assert_eq!(test.status, after);
}

#[test]
fn what_was_counted_decides_how_a_test_ends() {
    for (what, users, loss, labelled, expected) in [
        ("equal", [1_100, 1_100], [0.5, 0.5], true, Some(TestVerdict::NoDifference)),
        ("worse", [1_100, 1_100], [0.4, 0.6], true, Some(TestVerdict::Winner)),
        ("users of one variant are lost", [10_000, 8_000], [0.5, 0.5], true, Some(TestVerdict::Invalid)),
        ("one variant has no outcomes", [1_000, 1_000], [0.5, 0.5], false, Some(TestVerdict::Invalid)),
        ("too early", [200, 200], [0.5, 0.5], true, None),
        ("nobody", [0, 0], [0.5, 0.5], true, None),
    ] {
        let mut test = fixtures::ab_test(1, 2);
        let quality = counted(&test, users, loss, labelled);
        settle(&mut test, &quality, 10);
        assert_eq!(test.status.as_ref().unwrap().verdict, expected, "{what}: {:?}", test.status);
    }
}

#[test]
fn harm_a_moved_window_and_time_end_a_test() {
    let ended = |second: i64, change: fn(&mut Observed)| {
        let mut test = fixtures::ab_test(1, 2);
        let start = splitting(&test);
        pass(&mut test, start, 10);
        let mut then = Observed { counted: Some(Ok(counted(&test, [200, 200], [0.5, 0.5], true))), ..splitting(&test) };
        change(&mut then);
        pass(&mut test, then, second);
        test.status.unwrap()
    };
    let failed = |failed| Calls { failed, all: 1_000 };
    let harmless = ended(20, |observed| observed.calls = vec![Calls { failed: 5, all: 1_000 }, Calls { failed: 9, all: 1_000 }]);
    assert_eq!(harmless.verdict, None, "within the margin of one in a hundred");
    for (control, treatment) in [(0, 100), (20, 200)] {
        let test = fixtures::ab_test(1, 2);
        assert!(super::guardrail::breach(&test, &[failed(control), failed(treatment)]).is_some(), "{control} {treatment}");
        assert!(super::guardrail::breach(&test, &[failed(treatment), failed(control)]).is_none(), "a control that fails is no harm of the treatment");
        assert!(super::guardrail::breach(&test, &[]).is_none());
    }
    let harm = ended(20, |observed| observed.calls = vec![Calls { failed: 0, all: 1_000 }, Calls { failed: 100, all: 1_000 }]);
    assert_eq!(harm.verdict, Some(TestVerdict::Inconclusive));
    assert!(harm.summary.unwrap().contains("treatment fails more calls"));
    let moved = ended(20, |observed| {
        observed.deployment.as_mut().unwrap().spec.outcomes.as_mut().unwrap().maturity = plimsoll_crds::DurationText::new("1h");
    });
    assert_eq!(moved.verdict, Some(TestVerdict::Invalid));
    let rejected = ended(20, |observed| {
        let held = observed.deployment.as_mut().unwrap().status.as_mut().unwrap().test.as_mut().unwrap();
        (held.splitting, held.rejected, held.waiting_for) = (false, true, Some("treatment: gil rejected it".into()));
    });
    assert_eq!(rejected.verdict, Some(TestVerdict::Inconclusive));
    assert!(rejected.summary.unwrap().contains("gil rejected it"));
    let twice = ended(20, |observed| {
        let Some(Ok(quality)) = observed.counted.as_mut() else { panic!("counted") };
        let mut other = quality.arms[1].clone();
        other.revision = "other".into();
        quality.arms.push(other);
    });
    assert_eq!(twice.verdict, Some(TestVerdict::Invalid));
    // An evaluator that is away ends nothing, until long after the end.
    let away: fn(&mut Observed) = |observed| observed.counted = Some(Err("away".into()));
    assert_eq!((ended(10 + 7 * 3_600 + 120, away).verdict, ended(10 + 9 * 3_600, away).verdict), (None, Some(TestVerdict::Inconclusive)));
    assert_eq!(find(&ended(20, away).conditions, ConditionType::Running).unwrap().reason, "EvaluatorAway");
    // An hour, and the six of the outcomes.
    assert_eq!(ended(10 + 7 * 3_600, |_| {}).verdict, None);
    let over = |_: &mut Observed| {};
    assert_eq!((ended(10 + 7 * 3_600 + 120, over).looks.len(), ended(10 + 7 * 3_600 + 120, over).verdict), (1, None), "a last look is written first");
    let nobody = ended(10 + 7 * 3_600 + 120, |observed| observed.counted = Some(Ok(Quality::default())));
    assert_eq!(nobody.verdict, Some(TestVerdict::Inconclusive));
}

#[test]
fn i8_a_pass_without_news_writes_nothing_and_a_pause_keeps_what_was_counted() {
    let mut test = fixtures::ab_test(1, 2);
    let quality = counted(&test, [300, 300], [0.5, 0.5], true);
    settle(&mut test, &quality, 10);
    let looks = test.status.as_ref().unwrap().looks.clone();
    assert_eq!(looks.len(), 1);
    let before = test.status.clone();
    let again = Observed { counted: Some(Ok(quality)), ..splitting(&test) };
    assert!(pass(&mut test, again, 900).notes.is_empty());
    assert_eq!(test.status, before);
    test.spec.paused = true;
    let paused = observed(&test);
    pass(&mut test, paused, 1_000);
    assert_eq!((reason(&test, ConditionType::Running).0.as_str(), &test.status.as_ref().unwrap().looks), ("Paused", &looks));
}

#[test]
fn counts_that_fall_behind_a_look_make_a_test_invalid() {
    let mut test = fixtures::ab_test(1, 2);
    let quality = counted(&test, [300, 300], [0.5, 0.5], true);
    settle(&mut test, &quality, 10);
    let fewer = counted(&test, [200, 200], [0.5, 0.5], true);
    settle(&mut test, &fewer, 20);
    let status = test.status.unwrap();
    assert_eq!((status.verdict, status.looks.len()), (Some(TestVerdict::Invalid), 1));
    assert!(status.summary.unwrap().contains("its database was changed"));
}

#[test]
fn a_test_that_began_is_judged_when_nobody_is_assigned_any_more() {
    let mut test = fixtures::ab_test(1, 2);
    let start = splitting(&test);
    pass(&mut test, start, 10);
    let mut over = Observed { counted: Some(Ok(counted(&test, [1_100, 1_100], [0.6, 0.4], true))), ..splitting(&test) };
    let held = over.deployment.as_mut().unwrap().status.as_mut().unwrap().test.as_mut().unwrap();
    (held.splitting, held.waiting_for) = (false, Some("the longest time is over".into()));
    pass(&mut test, over.clone(), 4_000);
    assert_eq!(reason(&test, ConditionType::Running).0, "Waiting");
    pass(&mut test, over, 4_001);
    assert_eq!(test.status.unwrap().verdict, Some(TestVerdict::Winner));
}

#[test]
fn latest_leaves_a_version_to_its_test_until_it_is_handed_over() {
    let (deployment, mut test) = (serving(1), fixtures::ab_test(1, 2));
    let left = |test: &ABTest, number: u8| is_left_to_a_test(&fixtures::version_name(number), &deployment, std::slice::from_ref(test));
    assert_eq!((left(&test, 1), left(&test, 2), left(&test, 3)), (false, true, false));
    test.spec.deployment = "other".into();
    assert!(!left(&test, 2));
}

#[test]
fn pairs_are_judged_by_their_differences_and_waited_for_a_little_longer() {
    let mut paired = fixtures::ab_test(1, 2);
    paired.spec.mode = plimsoll_crds::ab_test::Mode::Paired;
    let split = fixtures::ab_test(1, 2);
    // What is hard for one is hard for the other: so much that nothing could be told apart.
    let arm = |place: u32| {
        let bucket = |number: u32| {
            let (hard, own) = ((f64::from(number) * 2.399).sin() * 0.5, (f64::from(number * 7 + place) * 1.7).sin() * 0.02);
            json!({"count": 16, "logLoss": 16.0 * (0.6 - 0.02 * f64::from(place) + hard + own), "squared": 0, "absolute": 0, "wrong": 0})
        };
        let variant = &labels(&split)[usize::try_from(place).unwrap()];
        json!({"variant": variant, "units": 1_024, "labelledUnits": 1_024, "buckets": (0..64).map(bucket).collect::<Vec<Value>>()})
    };
    let quality: Quality = serde_json::from_value(json!({"countedUntilUnixMs": 1, "arms": [arm(0), arm(1)]})).unwrap();
    for (mut test, expected) in [(paired.clone(), TestVerdict::Winner), (split, TestVerdict::Inconclusive)] {
        pass(&mut test, splitting(&fixtures::ab_test(1, 2)), 10);
        settle(&mut test, &quality, 20);
        let status = test.status.unwrap();
        assert_eq!(status.verdict, Some(expected), "{:?}", status.summary);
    }
    // Too few for a look: the end of the time is the end of the test, a little later.
    let none = Quality { counted_until: 1, arms: Vec::new() };
    pass(&mut paired, splitting(&fixtures::ab_test(1, 2)), 10);
    let over = 10 + 3_600 + 60 + 21_600;
    for (second, ended) in [(over + 14, false), (over + 16, true)] {
        pass(&mut paired, Observed { counted: Some(Ok(none.clone())), ..splitting(&fixtures::ab_test(1, 2)) }, second);
        assert_eq!(paired.status.as_ref().unwrap().verdict.is_some(), ended, "{second}");
    }
}
