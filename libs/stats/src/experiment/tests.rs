#![allow(clippy::as_conversions, reason = "numbers of tests are small")]

mod bounds;
mod designs;
mod ended;
mod paired;
mod property;
mod simulation;
mod words;

use super::*;
use crate::Bucket;

/// Calls of a unit.
const CALLS: u64 = 20;
/// Deviation of buckets' means.
const DEVIATION: f64 = 0.02;
/// The standard error of a difference of arms with that deviation, whatever their units.
const ERROR: f64 = 0.003_563_5;

fn design(method: Method) -> Design {
    let (alpha, power, minimum_effect, shares) = (0.05, 0.8, 0.02, vec![0.5, 0.5]);
    Design { method, alpha, power, minimum_effect, direction: Direction::Decrease, looks: 5, maximum_units: 6_400, shares, paired: false }
}

fn three(method: Method) -> Design {
    Design { shares: vec![0.5, 0.25, 0.25], ..design(method) }
}

fn arm(units: u64, mean: f64) -> Arm {
    let calls = units * CALLS / 64;
    let bucket = |place: u64| Bucket { sum: calls as f64 * (mean + if place.is_multiple_of(2) { DEVIATION } else { -DEVIATION }), calls };
    Arm { units, labelled_units: units, buckets: (0..64).map(bucket).collect() }
}

/// Control at 0.4, treatment so many standard errors from it, with this part of the planned units.
fn arms(part: f64, errors: f64) -> Vec<Arm> {
    let units = (6_400.0 * part) as u64;
    vec![arm(units, 0.4), arm(units, 0.4 + errors * ERROR)]
}

fn three_arms(part: f64, errors: [f64; 2]) -> Vec<Arm> {
    let units = (4_800.0 * part) as u64;
    vec![arm(2 * units, 0.4), arm(units, 0.4 + errors[0] * ERROR), arm(units, 0.4 + errors[1] * ERROR)]
}

/// The judgement of a test whose units still come.
fn running(design: &Design, looks: &[Look], arms: &[Arm]) -> Result<Judgement, Mistake> {
    judge(design, looks, arms, false)
}

/// What is stored after passes over what was counted, and the verdict in the end.
fn judged(design: &Design, passes: &[Vec<Arm>]) -> (Vec<Look>, Option<Verdict>) {
    let (mut looks, mut verdict) = (Vec::new(), None);
    for arms in passes {
        let pass = running(design, &looks, arms).unwrap();
        assert!(pass.look.is_none() || pass.verdict.is_none(), "a look decides nothing before it is stored");
        looks.extend(pass.look);
        verdict = running(design, &looks, arms).unwrap().verdict;
    }
    (looks, verdict)
}

fn numbers(looks: &[Look]) -> Vec<u32> {
    looks.iter().map(|look| look.number).collect()
}

#[test]
fn a_look_is_taken_where_it_is_planned_and_never_twice() {
    use Method::{AlwaysValid, GroupSequential};
    let table: [(Method, &[f64], &[u32]); 8] = [
        (GroupSequential, &[0.1, 0.19], &[]),
        (GroupSequential, &[0.2, 0.2, 0.25, 0.39], &[1]),
        (GroupSequential, &[0.2, 0.4, 0.6, 0.8, 1.0], &[1, 2, 3, 4, 5]),
        (GroupSequential, &[0.7, 0.75, 1.3], &[3, 5]),
        (GroupSequential, &[2.0, 3.0], &[5]),
        (GroupSequential, &[0.399_95, 0.4], &[1, 2]),
        (GroupSequential, &[0.4, 0.3, 0.59, 0.6], &[2, 3]),
        (AlwaysValid, &[0.2, 0.45, 0.45], &[1, 2]),
    ];
    for (method, parts, expected) in table {
        let design = Design { minimum_effect: 1e-6, maximum_units: 640_000, ..design(method) };
        let passes: Vec<_> = parts.iter().map(|part| arms(100.0 * part, 1.0)).collect();
        assert_eq!(numbers(&judged(&design, &passes).0), expected, "{method:?} {parts:?}");
    }
}

#[test]
fn verdicts_of_two_variants() {
    use Method::{AlwaysValid, GroupSequential};
    let (treatment, control) = (Verdict::Winner { variant: 1 }, Verdict::Winner { variant: 0 });
    // Method, direction, parts and standard errors; bounds are 3.54, 3.24, 3.09, 2.99, 2.02 and, of the mixture, 3.36, 3.12, 3.06, 3.04, 3.03.
    type Row = (Method, Direction, &'static [(f64, f64)], Option<Verdict>);
    let table: [Row; 16] = [
        (GroupSequential, Direction::Decrease, &[(0.2, -5.2)], Some(treatment)),
        (GroupSequential, Direction::Decrease, &[(0.2, 5.2)], Some(control)),
        (GroupSequential, Direction::Increase, &[(0.2, 5.2)], Some(treatment)),
        (GroupSequential, Direction::Increase, &[(0.2, -5.2)], Some(control)),
        (GroupSequential, Direction::Decrease, &[(0.2, -3.4)], None),
        (GroupSequential, Direction::Decrease, &[(0.2, -3.0), (0.4, -3.2), (0.6, -3.2)], Some(treatment)),
        (GroupSequential, Direction::Decrease, &[(0.8, 0.0)], None),
        (GroupSequential, Direction::Decrease, &[(0.8, 0.0), (1.0, 1.0)], Some(Verdict::NoDifference)),
        (GroupSequential, Direction::Decrease, &[(0.8, -2.2), (1.0, -1.95)], Some(Verdict::NoDifference)),
        (GroupSequential, Direction::Decrease, &[(1.0, -2.1)], Some(treatment)),
        (AlwaysValid, Direction::Decrease, &[(0.2, -3.6)], Some(treatment)),
        (AlwaysValid, Direction::Decrease, &[(0.2, -3.3)], None),
        (AlwaysValid, Direction::Decrease, &[(1.0, -2.5)], Some(Verdict::NoDifference)),
        (AlwaysValid, Direction::Increase, &[(0.6, 3.2)], Some(treatment)),
        (AlwaysValid, Direction::Decrease, &[(0.2, 0.0)], Some(Verdict::NoDifference)),
        (AlwaysValid, Direction::Decrease, &[(0.2, 3.0), (0.4, 3.0)], None),
    ];
    for (method, direction, passes, expected) in table {
        let design = Design { direction, ..design(method) };
        let passes: Vec<_> = passes.iter().map(|(part, errors)| arms(*part, *errors)).collect();
        assert_eq!(judged(&design, &passes).1, expected, "{method:?} {direction:?} {:?}", judged(&design, &passes).0);
    }
    for method in [GroupSequential, AlwaysValid] {
        let design = Design { minimum_effect: 0.005, ..design(method) };
        assert_eq!(judged(&design, &[arms(1.0, 1.0)]).1, Some(Verdict::Inconclusive), "{method:?}");
        assert_eq!(judged(&design, &[arms(0.9, 1.0)]).1, None, "{method:?}");
    }
}

#[test]
fn several_treatments_share_alpha_and_the_best_wins() {
    let design = three(Method::GroupSequential);
    // At half of alpha, the bound of a first look that stands for three is 3.12, that of look 4 after it 3.19.
    type Row = (&'static [(f64, [f64; 2])], Option<Verdict>);
    let table: [Row; 8] = [
        (&[(0.6, [-2.8, 0.0])], None),
        (&[(0.6, [-3.3, 0.0])], Some(Verdict::Winner { variant: 1 })),
        (&[(0.6, [-3.3, -3.6])], Some(Verdict::Winner { variant: 2 })),
        (&[(0.6, [-3.3, 4.0])], Some(Verdict::Winner { variant: 1 })),
        (&[(0.6, [3.3, 0.0])], None),
        (&[(0.6, [3.3, 4.0])], Some(Verdict::Winner { variant: 0 })),
        (&[(0.6, [3.3, 0.0]), (0.8, [1.0, 3.3])], Some(Verdict::Winner { variant: 0 })),
        (&[(0.6, [3.3, 0.0]), (0.8, [-4.0, 0.0])], None),
    ];
    for (passes, expected) in table {
        let passes: Vec<_> = passes.iter().map(|(part, errors)| three_arms(*part, *errors)).collect();
        assert_eq!(judged(&design, &passes).1, expected, "{:?}", judged(&design, &passes).0);
    }
    // The treatment that is furthest behind says when to look.
    let mut behind = three_arms(0.6, [0.0, 0.0]);
    behind[2] = arm(2_790, 0.4);
    assert_eq!(numbers(&judged(&design, &[behind]).0), [2]);
}

#[test]
fn a_stopped_test_never_unstops_and_a_restart_changes_nothing() {
    for method in [Method::GroupSequential, Method::AlwaysValid] {
        let (design, crossing) = (design(method), arms(0.4, -5.0));
        let first = running(&design, &[], &crossing).unwrap();
        assert_eq!(first, running(&design, &[], &crossing).unwrap(), "the pass that was lost, once more");
        let stored = [serde_json::from_str(&serde_json::to_string(&first.look).unwrap()).unwrap()];
        assert_eq!(first.look.as_ref(), stored.first(), "a look survives where it is stored");
        let mut broken = arms(0.6, 9.0);
        broken[1].units = 10;
        for later in [crossing.clone(), arms(0.6, 0.0), arms(1.0, 6.0), vec![Arm::default(); 2], broken] {
            let judgement = running(&design, &stored, &later).unwrap();
            assert_eq!((judgement.verdict, judgement.look, judgement.next_look), (Some(Verdict::Winner { variant: 1 }), None, None));
        }
        // A look after the one that decided, which nobody should have stored, changes nothing either.
        let mut more = stored.to_vec();
        let of_another = running(&design, &[], &arms(0.8, 6.0)).unwrap().look.unwrap();
        more.push(of_another);
        assert_eq!(running(&design, &more, &crossing).unwrap().verdict, Some(Verdict::Winner { variant: 1 }));
    }
    let design = design(Method::AlwaysValid);
    let looks = [arms(0.2, 0.0), arms(0.4, -5.0)].map(|arms| running(&design, &[], &arms).unwrap().look.unwrap());
    assert_eq!(running(&design, &looks, &arms(0.4, -5.0)).unwrap().verdict, Some(Verdict::NoDifference));
}

#[test]
fn what_is_stored_is_finite() {
    let design = Design { looks: 200, alpha: 0.001, ..design(Method::GroupSequential) };
    let table = [(0.006, -50.0, Some(1)), (0.006, 0.0, Some(1)), (0.1, 0.0, Some(20)), (0.1, 1e-9, Some(20)), (0.1, -1e6, Some(20))];
    let always = [0.0, 1e-12, -1e6].map(|errors| (Method::AlwaysValid, (0.1, errors, Some(20))));
    for (method, (part, errors, expected)) in table.map(|row| (Method::GroupSequential, row)).into_iter().chain(always) {
        let look = running(&Design { method, ..design.clone() }, &[], &arms(part, errors)).unwrap().look;
        assert!(look.iter().all(|look| look.comparisons[0].crossed == (errors <= -50.0) && look.comparisons[0].lower < look.comparisons[0].upper));
        assert_eq!(look.as_ref().map(|look| look.number), expected, "{part} {errors}");
        let stored = serde_json::to_string(&look).unwrap();
        assert_eq!(serde_json::from_str::<Option<Look>>(&stored).unwrap(), look, "{stored}");
    }
}

#[test]
fn broken_counts_end_the_test_and_take_no_look() {
    let design = design(Method::GroupSequential);
    let fine = arms(0.4, -5.0);
    let changed = |variant: usize, change: &dyn Fn(&mut Arm)| {
        let mut arms = fine.clone();
        change(&mut arms[variant]);
        running(&design, &[], &arms).unwrap()
    };
    let lost = |part: f64| move |arm: &mut Arm| arm.units = (arm.units as f64 * part) as u64;
    let unlabelled = |part: f64| move |arm: &mut Arm| arm.labelled_units = (arm.labelled_units as f64 * part) as u64;
    let nobody = |arm: &mut Arm| *arm = Arm { units: arm.units, ..Arm::default() };
    let both = |arm: &mut Arm| (arm.units, arm.labelled_units) = (arm.units / 2, arm.labelled_units / 2);
    let table: [(&str, Judgement, Option<Reason>); 7] = [
        ("as planned", changed(0, &|_| {}), None),
        ("a little off", changed(0, &lost(0.98)), None),
        ("assignments", changed(0, &lost(0.8)), Some(Reason::SampleRatio)),
        ("assignments of the treatment", changed(1, &lost(0.8)), Some(Reason::SampleRatio)),
        ("outcomes", changed(1, &unlabelled(0.8)), Some(Reason::MissingLabels)),
        ("no outcomes", changed(1, &nobody), Some(Reason::MissingLabels)),
        ("both", changed(1, &both), Some(Reason::SampleRatio)),
    ];
    for (what, judgement, expected) in table {
        assert_eq!(judgement.verdict, expected.map(Verdict::Invalid), "{what}: {:?}", judgement.sample_ratio);
        assert_eq!(judgement.look.is_some(), expected.is_none(), "{what}");
    }
    // One that was stored before counts broke, and decided nothing, does not save it.
    let looks: Vec<Look> = running(&design, &[], &arms(0.4, 0.0)).unwrap().look.into_iter().collect();
    let mut broken = arms(1.0, -9.0);
    broken[0].labelled_units /= 2;
    let judgement = running(&design, &looks, &broken).unwrap();
    assert_eq!((looks.len(), judgement.verdict, judgement.look), (1, Some(Verdict::Invalid(Reason::MissingLabels)), None));
}

#[test]
fn an_arm_without_enough_outcomes_is_waited_for() {
    let design = Design { maximum_units: 40, ..design(Method::GroupSequential) };
    let mut few = vec![arm(64, 0.4), arm(64, 0.4)];
    few[1].buckets.truncate(7);
    let waiting = running(&design, &[], &few).unwrap();
    assert_eq!((waiting.look, waiting.verdict, waiting.effects), (None, None, vec![None]));
    assert!(waiting.information > 1.0);
    let nothing = running(&design, &[], &[Arm::default(), Arm::default()]).unwrap();
    assert_eq!((nothing.look, nothing.verdict, nothing.information), (None, None, 0.0));
    assert_eq!(nothing.next_look, Some(NextLook { number: 1, units: 16.0 }));
}

#[test]
fn what_a_look_says_is_consistent() {
    for (method, errors) in [Method::GroupSequential, Method::AlwaysValid].into_iter().flat_map(|method| (-80..80).map(move |tenth| (method, tenth))) {
        let look = running(&design(method), &[], &arms(0.4, f64::from(errors) / 10.0)).unwrap().look.unwrap();
        let seen = look.comparisons[0];
        assert_eq!(seen.crossed, seen.statistic.abs() >= seen.bound, "{method:?} {errors}");
        assert_eq!(seen.crossed, seen.lower > 0.0 || seen.upper < 0.0);
        let mean = f64::midpoint(seen.lower, seen.upper);
        assert!((mean - seen.estimate).abs() < 1e-12 && (look.information - 0.4).abs() < 1e-12 && look.units == [2_560, 2_560]);
        assert!((seen.standard_error / ERROR - 1.0).abs() < 1e-4 && seen.upper - seen.lower > 1.999_999 * seen.bound * seen.standard_error);
    }
    let looks = judged(&Design { minimum_effect: 1e-6, ..design(Method::GroupSequential) }, &[0.2, 0.4, 0.6, 0.8, 1.0].map(|part| arms(part, 0.5))).0;
    for (look, printed) in looks.iter().zip([3.5401, 3.2389, 3.0902, 2.9889, 2.0179]) {
        assert!((look.comparisons[0].bound - printed).abs() < 1e-4, "the normal's quantiles at .0004, .0012, .002, .0028 and .0436: {look:?}");
    }
}
