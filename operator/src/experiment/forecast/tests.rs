//! What is said of a test before it starts, from invented histories, and when it is written.

use plimsoll_crds::condition::{ConditionType, find};
use plimsoll_crds::{ABTest, DurationText};
use serde_json::{Value, json};

use super::super::plan::{Observed, Plan};
use super::super::quality::Quality;
use super::super::tests::{observed, pass, splitting};
use super::*;
use crate::deployment::tests::fixtures;

/// So many milliseconds in an hour.
const HOUR: i64 = 3_600_000;

/// Users of the stable revision with twenty calls each, who came evenly over so many hours and whose log loss has this standard deviation.
fn counted(users: u32, deviation: f64, hours: i64) -> Quality {
    let calls = 20 * u64::from(users);
    let bucket = |place: u32| {
        // As far from the mean as the mean of a 64th of the users is.
        let off = deviation * (63.0 / f64::from(users.max(1))).sqrt() * if place.is_multiple_of(2) { 1.0 } else { -1.0 };
        json!({"count": calls / 64, "logLoss": real(calls / 64) * (0.5 + off), "squared": 0, "absolute": 0, "wrong": 0})
    };
    let arm = json!({"revision": "r", "variant": "", "units": 0, "labelledUnits": 0, "buckets": (0..64).map(bucket).collect::<Vec<Value>>(),
        "users": {"labelled": users, "calls": calls, "sinceUnixMs": HOUR}});
    serde_json::from_value(json!({"countedUntilUnixMs": HOUR + hours * HOUR, "arms": [arm]})).unwrap()
}

fn test(units: i64, longest: &str) -> ABTest {
    let mut test = fixtures::ab_test(1, 2);
    (test.spec.design.maximum_units_per_variant, test.spec.design.maximum_duration) = (units, DurationText::new(longest));
    test
}

fn seen(test: &ABTest, quality: Quality) -> Observed {
    Observed { counted: Some(Ok(quality)), ..observed(test) }
}

#[test]
fn a_plan_says_whether_users_and_time_are_enough() {
    // A difference of 0.01 at a standard deviation of 0.42: 2 · 2.8² · 0.42² / 0.01² = 27,700 with one look, and 4 % more with four.
    let table = [
        ("enough", 40_000, "28d", true, 955_000, "about 29,000 show a difference of 0.01 in log loss"),
        (
            "too few",
            1_000,
            "28d",
            false,
            44_900,
            "maximumUnitsPerVariant is too small: with 1,000 users for each variant only differences of 0.0535 in log loss",
        ),
        ("too short", 40_000, "2d", false, 194_000, "maximumDuration is too short: at about 310 new users an hour 2d bring about 7,400 users for each variant"),
        ("too few, too short", 1_000, "1h", false, 25_200, "bring about 150 users for each variant, who show differences of 0.136 only"),
        ("as long as it may", 100_000, "8d", true, 713_000, "ends it with about 30,000 users for each variant"),
    ];
    for (what, units, longest, enough, seconds, said) in table {
        let test = test(units, longest);
        let plan = forecast(&test, &seen(&test, counted(12_345, 0.42, 40))).unwrap();
        assert_eq!(
            (plan.units_planned, plan.units_needed, plan.enough, plan.expected_seconds),
            (units, Some(29_000), Some(enough), Some(seconds)),
            "{what}: {plan:?}"
        );
        assert!(plan.message.contains(said), "{what}: {}", plan.message);
    }
    let test = test(40_000, "28d");
    let plan = forecast(&test, &seen(&test, counted(12_345, 0.42, 40))).unwrap();
    assert_eq!(
        plan.message,
        "40,000 users with an outcome are planned for each variant; about 29,000 show a difference of 0.01 in log loss (alpha 0.05, power 0.8; spread 0.42 per user, \
         20 calls a user, from about 12,000 users of revision r). At about 310 new users an hour it takes about 11.1 d, the time for the last outcomes included."
    );
    assert_eq!((plan.detectable_effect, plan.units_observed, plan.revision.as_deref()), (Some(0.00846), Some(12_000), Some("r")));
}

#[test]
fn what_is_missing_is_named_and_nothing_is_planned() {
    type Row = (&'static str, fn(&mut Observed));
    fn arm(observed: &mut Observed) -> &mut super::super::quality::Counted {
        let Some(Ok(quality)) = observed.counted.as_mut() else { panic!("counted") };
        &mut quality.arms[0]
    }
    let table: [Row; 12] = [
        ("has no spec.router.stickyHeader", |observed| observed.deployment.as_mut().unwrap().spec.router.sticky_header = None),
        ("by x-session (spec.router.stickyHeader), and this test by x-user-id", |observed| {
            observed.deployment.as_mut().unwrap().spec.router.sticky_header = Some("x-session".into());
        }),
        ("cannot be asked", |observed| observed.counted = Some(Err("refused".into()))),
        ("cannot be asked", |observed| observed.counted = None),
        ("no outcomes of what serves yet", |observed| observed.counted = Some(Ok(Quality::default()))),
        ("no outcomes of what serves yet", |observed| arm(observed).revision = "before".into()),
        ("no outcomes of what serves yet", |observed| observed.counted = Some(Ok(counted(0, 0.42, 1)))),
        ("counts users in tests only", |observed| arm(observed).users = None),
        ("counts users in tests only", |observed| arm(observed).buckets.clear()),
        ("fewer than 100 users", |observed| observed.counted = Some(Ok(counted(99, 0.42, 1)))),
        ("fewer than 100 users", |observed| arm(observed).buckets.truncate(1)),
        ("is the same for all users", |observed| observed.counted = Some(Ok(counted(12_800, 0.0, 1)))),
    ];
    let test = test(40_000, "28d");
    for (said, change) in table {
        let mut observed = seen(&test, counted(12_800, 0.42, 40));
        change(&mut observed);
        let plan = forecast(&test, &observed).unwrap();
        assert!(plan.message.starts_with("How many users it takes is not known: ") && plan.message.contains(said), "{}", plan.message);
        assert_eq!(TestPlan { message: plan.message.clone(), units_planned: 40_000, ..TestPlan::default() }, plan);
    }
    let mut nameless = seen(&test, counted(12_800, 0.42, 40));
    arm(&mut nameless).users.as_mut().unwrap().calls /= 2;
    assert!(forecast(&test, &nameless).unwrap().message.contains("have no x-user-id"));
    let nobody = Observed { deployment: None, ..seen(&test, counted(12_800, 0.42, 40)) };
    assert_eq!(forecast(&test, &nobody), None);
}

/// One pass at which the evaluator says this.
fn asked(test: &mut ABTest, quality: Quality, second: i64) -> Plan {
    let observed = seen(test, quality);
    pass(test, observed, second)
}

#[test]
fn i8_a_plan_is_written_again_only_for_news() {
    let mut test = test(40_000, "28d");
    let first = asked(&mut test, counted(12_345, 0.42, 40), 10);
    let written = first.status.plan.clone().unwrap();
    assert!(written.enough == Some(true) && first.wake.is_some(), "asked again until it starts");
    assert_eq!(find(&first.status.conditions, ConditionType::Running).unwrap().reason, "Waiting");
    // Each second a few more users, at about the same spread.
    for second in 0..50 {
        let users = 12_345 + u32::try_from(second).unwrap() * 90;
        let plan = asked(&mut test, counted(users, 0.42 + 0.0005 * f64::from(users % 7), 40 + second / 4), 20 + second);
        assert_eq!((&plan.status, plan.notes.len()), (&first.status, 0), "{second}");
    }
    let away = Observed { counted: Some(Err("away".into())), ..observed(&test) };
    assert_eq!(pass(&mut test, away, 90).status, first.status, "an evaluator that is away takes nothing back");
    // News: another spread, twice the users, another revision; each once.
    let told = asked(&mut test, counted(20_000, 0.84, 65), 100);
    assert_eq!((told.status.plan.as_ref().unwrap().enough, told.notes[0].reason, told.notes[0].warning), (Some(false), "PlanTooSmall", true));
    assert!(asked(&mut test, counted(20_100, 0.84, 65), 110).notes.is_empty());
    assert_ne!(asked(&mut test, counted(50_000, 0.84, 162), 120).status.plan, told.status.plan);
    let mut moved = seen(&test, Quality::default());
    moved.deployment.as_mut().unwrap().status.as_mut().unwrap().stable.as_mut().unwrap().reference.revision = "next".into();
    assert_eq!(pass(&mut test, moved, 130).status.plan.unwrap().units_needed, None);
    let few: Vec<_> = (10..90).map(|users| asked(&mut test, counted(users, 0.42, 1), 140).status).collect();
    assert!(few.iter().all(|status| status == &few[0]), "users that are too few are not counted in words");
}

#[test]
fn what_was_planned_stays_from_the_start_on() {
    let mut test = test(40_000, "28d");
    asked(&mut test, counted(12_345, 0.42, 40), 10);
    // The pass that starts the test is the last one that plans.
    let start = Observed { counted: Some(Ok(counted(50_000, 0.84, 160))), ..splitting(&test) };
    let started = pass(&mut test, start, 20).status;
    assert!(started.started_at.is_some());
    assert_eq!(started.plan.as_ref().unwrap().units_observed, Some(50_000));
    for (quality, second) in [(counted(90_000, 0.1, 200), 30), (Quality::default(), 40)] {
        let later = Observed { counted: Some(Ok(quality)), ..splitting(&test) };
        assert_eq!(pass(&mut test, later, second).status.plan, started.plan);
    }
}

#[test]
fn nobody_is_asked_for_a_test_that_will_not_come() {
    let (mut paused, mut wrong) = (test(40_000, "28d"), test(40_000, "soon"));
    paused.spec.paused = true;
    for (test, what) in [(&mut paused, "paused"), (&mut wrong, "a bad design")] {
        let plan = asked(test, counted(12_345, 0.42, 40), 10);
        assert_eq!((plan.status.plan, plan.wake), (None, None), "{what}");
    }
}
