use super::*;

#[test]
fn a_wrong_design_is_refused_by_name() {
    let right = design(Method::GroupSequential);
    let table = [
        (right.clone(), None),
        (three(Method::AlwaysValid), None),
        (Design { shares: vec![1.0], ..right.clone() }, Some(Mistake::Variants(1))),
        (Design { shares: vec![], ..right.clone() }, Some(Mistake::Variants(0))),
        (Design { shares: vec![0.5, 0.25], ..right.clone() }, Some(Mistake::Shares(0.75))),
        (Design { shares: vec![1.0, 0.0], ..right.clone() }, Some(Mistake::Shares(1.0))),
        (Design { alpha: 0.0, ..right.clone() }, Some(Mistake::Alpha(0.0))),
        (Design { alpha: 0.5, ..right.clone() }, Some(Mistake::Alpha(0.5))),
        (Design { power: 0.05, ..right.clone() }, Some(Mistake::Power(0.05))),
        (Design { power: 1.0, ..right.clone() }, Some(Mistake::Power(1.0))),
        (Design { minimum_effect: 0.0, ..right.clone() }, Some(Mistake::MinimumEffect(0.0))),
        (Design { minimum_effect: -0.1, ..right.clone() }, Some(Mistake::MinimumEffect(-0.1))),
        (Design { looks: 0, ..right.clone() }, Some(Mistake::Looks(0))),
        (Design { looks: 200, ..right.clone() }, None),
        (Design { looks: 201, ..right.clone() }, Some(Mistake::Looks(201))),
        (Design { maximum_units: 0, ..right.clone() }, Some(Mistake::MaximumUnits)),
    ];
    for (design, mistake) in table {
        assert_eq!(design.check().err(), mistake, "{design:?}");
        if let Some(mistake) = mistake {
            let arms = vec![Arm::default(); design.shares.len()];
            assert_eq!(judge(&design, &[], &arms), Err(mistake));
            assert!(mistake.to_string().len() > 10);
        }
    }
    for number in [f64::NAN, f64::INFINITY] {
        let wrong = [
            Design { alpha: number, ..right.clone() },
            Design { power: number, ..right.clone() },
            Design { minimum_effect: number, ..right.clone() },
            Design { shares: vec![0.5, number], ..right.clone() },
        ];
        assert!(wrong.iter().all(|design| design.check().is_err()), "{number}");
    }
}

#[test]
fn arms_and_looks_of_another_test_are_refused() {
    let (two, all) = (design(Method::GroupSequential), three(Method::GroupSequential));
    assert_eq!(judge(&two, &[], &three_arms(0.4, [0.0, 0.0])), Err(Mistake::Arms { planned: 2, found: 3 }));
    let look = judge(&all, &[], &three_arms(0.4, [0.0, 0.0])).unwrap().look.unwrap();
    assert_eq!(judge(&two, std::slice::from_ref(&look), &arms(0.4, 0.0)), Err(Mistake::ForeignLook(2)));
    assert_eq!(judge(&all, &[look.clone(), look], &three_arms(0.4, [0.0, 0.0])), Err(Mistake::ForeignLook(2)), "twice");
}

#[test]
fn alpha_and_units_are_shared_as_planned() {
    let all = three(Method::GroupSequential);
    assert_eq!((all.alpha_of_a_treatment(), all.total_units()), (0.025, 19_200.0));
    assert_eq!(all.planned_units(), [12_800.0, 12_800.0], "4 · 9,600 · 4,800 / 14,400");
    assert_eq!(design(Method::GroupSequential).planned_units(), [12_800.0]);
}
