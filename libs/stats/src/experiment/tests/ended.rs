//! Tests that end before their units are there.

use super::*;

/// A pass, where it says that the test ended.
fn last(design: &Design, looks: &[Look], arms: &[Arm]) -> Judgement {
    judge(design, looks, arms, true).unwrap()
}

#[test]
fn a_test_that_ended_takes_a_last_look_at_what_there_is() {
    use Method::{AlwaysValid, GroupSequential};
    let (won, alike, open) = (Verdict::Winner { variant: 1 }, Verdict::NoDifference, Verdict::Inconclusive);
    // Passes before, what is there in the end, the smallest difference that matters, what the last look has to reach, verdict. The mixture asks
    // for 3.12 at 0.4, 3.08 at 0.5 and 3.36 at 0.2; a group-sequential look for what earlier ones left.
    type Row = (Method, &'static [(f64, f64)], (f64, f64), f64, f64, Verdict);
    let table: [Row; 13] = [
        (GroupSequential, &[], (0.1, -2.1), 0.02, 1.9600, won),
        (GroupSequential, &[], (0.1, -1.9), 0.02, 1.9600, alike),
        (GroupSequential, &[], (0.1, -1.9), 0.005, 1.9600, open),
        (GroupSequential, &[(0.4, 0.0)], (0.5, -2.1), 0.02, 1.9738, won),
        (GroupSequential, &[(0.4, 0.0)], (0.4, -2.1), 0.02, 1.9738, won),
        (GroupSequential, &[(0.4, 0.0)], (0.4, 1.0), 0.005, 1.9738, open),
        (GroupSequential, &[(0.4, 0.0)], (0.3, -2.1), 0.02, 1.9738, won),
        (GroupSequential, &[(0.2, 0.0), (0.4, 0.0), (0.6, 0.0), (0.8, 0.0)], (0.8, -2.1), 0.02, 2.0179, won),
        (GroupSequential, &[(0.8, 0.0)], (1.2, -2.1), 0.02, 2.0179, won),
        (AlwaysValid, &[], (0.5, -3.3), 0.02, 3.0836, won),
        (AlwaysValid, &[], (0.5, -2.2), 0.02, 3.0836, alike),
        (AlwaysValid, &[(0.4, 0.0)], (0.4, 0.0), 0.005, 3.1238, open),
        (AlwaysValid, &[(0.4, 0.0)], (0.2, -3.5), 0.005, 3.3639, won),
    ];
    for (method, before, (part, errors), minimum_effect, bound, expected) in table {
        let what = format!("{method:?} {before:?} {part} {errors}");
        let design = Design { minimum_effect, ..design(method) };
        let before: Vec<_> = before.iter().map(|(part, errors)| arms(*part, *errors)).collect();
        let (mut looks, verdict) = judged(&design, &before);
        assert_eq!(verdict, None, "{what}");
        let now = arms(part, errors);
        let pass = last(&design, &looks, &now);
        assert_eq!(pass, last(&design, &looks, &now), "the pass that was lost, once more");
        let look = pass.look.unwrap();
        assert_eq!((pass.verdict, pass.next_look, look.number), (None, None, design.looks), "{what}");
        assert!((look.comparisons[0].bound - bound).abs() < 1e-4, "{what}: {look:?}");
        looks.push(serde_json::from_str(&serde_json::to_string(&look).unwrap()).unwrap());
        for ended in [true, false] {
            let after = judge(&design, &looks, &arms(1.0, 9.0), ended).unwrap();
            assert_eq!((after.verdict, after.look, after.next_look), (Some(expected), None, None), "{what}");
        }
    }
}

#[test]
fn an_end_changes_no_verdict_and_trusts_no_broken_count() {
    for method in [Method::GroupSequential, Method::AlwaysValid] {
        let design = Design { minimum_effect: 0.005, ..design(method) };
        let (looks, verdict) = judged(&design, &[arms(0.4, -5.0)]);
        let decided = last(&design, &looks, &arms(0.5, 9.0));
        assert_eq!((decided.verdict, decided.look), (verdict, None));
        let mut broken = arms(0.5, -5.0);
        broken[1].labelled_units /= 2;
        let invalid = last(&design, &[], &broken);
        assert_eq!((invalid.verdict, invalid.look, invalid.next_look), (Some(Verdict::Invalid(Reason::MissingLabels)), None, None));
    }
}

#[test]
fn a_test_that_ended_without_enough_for_a_look_is_inconclusive() {
    let mut few = arms(0.4, -5.0);
    few[1].buckets.truncate(7);
    for method in [Method::GroupSequential, Method::AlwaysValid] {
        let design = Design { minimum_effect: 0.005, ..design(method) };
        let (looks, _) = judged(&design, &[arms(0.2, 0.0)]);
        for (looks, arms) in [(&[][..], vec![Arm::default(); 2]), (&[][..], few.clone()), (&looks[..], few.clone())] {
            let pass = last(&design, looks, &arms);
            assert_eq!((pass.verdict, pass.look, pass.next_look), (Some(Verdict::Inconclusive), None, None), "{method:?}");
        }
    }
}

#[test]
fn all_treatments_take_the_last_look() {
    let design = three(Method::GroupSequential);
    let (mut looks, _) = judged(&design, &[three_arms(0.6, [3.3, 0.0])]);
    let now = three_arms(0.7, [0.0, 2.5]);
    looks.extend(last(&design, &looks, &now).look);
    assert_eq!(last(&design, &looks, &now).verdict, Some(Verdict::Winner { variant: 0 }), "{looks:?}");
}
