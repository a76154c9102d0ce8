use proptest::prelude::*;

use super::*;
use crate::moments::real;

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
        (Design { paired: true, ..right.clone() }, None),
        (Design { paired: true, shares: vec![0.6, 0.4], ..right.clone() }, Some(Mistake::Pairs)),
        (Design { paired: true, shares: vec![0.5, 0.25, 0.25], ..right.clone() }, Some(Mistake::Pairs)),
    ];
    for (design, mistake) in table {
        assert_eq!(design.check().err(), mistake, "{design:?}");
        assert_eq!(plan(&design, Spread::Variance(1.0)).is_none(), mistake.is_some(), "{design:?}");
        if let Some(mistake) = mistake {
            let arms = vec![Arm::default(); design.shares.len()];
            assert_eq!(running(&design, &[], &arms), Err(mistake));
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
    assert_eq!(running(&two, &[], &three_arms(0.4, [0.0, 0.0])), Err(Mistake::Arms { planned: 2, found: 3 }));
    let look = running(&all, &[], &three_arms(0.4, [0.0, 0.0])).unwrap().look.unwrap();
    assert_eq!(running(&two, std::slice::from_ref(&look), &arms(0.4, 0.0)), Err(Mistake::ForeignLook(2)));
    assert_eq!(running(&all, &[look.clone(), look], &three_arms(0.4, [0.0, 0.0])), Err(Mistake::ForeignLook(2)), "twice");
}

#[test]
fn alpha_and_units_are_shared_as_planned() {
    let all = three(Method::GroupSequential);
    assert_eq!((all.alpha_of_a_treatment(), all.total_units()), (0.025, 19_200.0));
    assert_eq!(all.planned_units(), [12_800.0, 12_800.0], "4 · 9,600 · 4,800 / 14,400");
    assert_eq!(design(Method::GroupSequential).planned_units(), [12_800.0]);
}

#[test]
fn units_and_power_belong_together() {
    // Ten against eleven percent: 14,749 units with one look; 1.039 times as many with five, a fifth of alpha for four of them.
    let rate = |method, looks, shares: &[f64]| Design {
        looks,
        shares: shares.to_vec(),
        direction: Direction::Increase,
        minimum_effect: 0.01,
        maximum_units: 14_749,
        ..design(method)
    };
    let planned = |design: &Design| plan(design, Spread::Rate(0.1)).unwrap();
    let one = planned(&rate(Method::GroupSequential, 1, &[0.5, 0.5]));
    assert!((one.units_per_variant - 14_749.0).abs() < 2.0 && (one.power_at_maximum - 0.8).abs() < 1e-3, "{one:?}");
    let five = planned(&rate(Method::GroupSequential, 5, &[0.5, 0.5]));
    assert!((1.035..1.043).contains(&(five.units_per_variant / 14_749.0)) && five.power_at_maximum < 0.8, "{five:?}");
    let always = planned(&rate(Method::AlwaysValid, 20, &[0.5, 0.5]));
    assert!((1.4..2.1).contains(&(always.units_per_variant / 14_749.0)) && always.power_at_maximum < 0.6, "{always:?}");
    let (uneven, several) = (planned(&rate(Method::GroupSequential, 5, &[0.9, 0.1])), planned(&rate(Method::GroupSequential, 5, &[0.34, 0.33, 0.33])));
    assert!(uneven.units_per_variant > 2.5 * five.units_per_variant && several.units_per_variant > 1.1 * five.units_per_variant);
    for (method, shares) in
        [Method::GroupSequential, Method::AlwaysValid].into_iter().flat_map(|method| [vec![0.8, 0.2], vec![0.5, 0.3, 0.2]].map(|shares| (method, shares)))
    {
        let design = Design { shares, ..design(method) };
        let maximum_units = plan(&design, Spread::Variance(0.3)).unwrap().units_per_variant as u64;
        let power = plan(&Design { maximum_units, ..design }, Spread::Variance(0.3)).unwrap().power_at_maximum;
        assert!((power - 0.8).abs() < 1e-2, "{method:?} {power}");
    }
    for spread in [Spread::Variance(0.0), Spread::Variance(f64::NAN), Spread::Rate(0.0), Spread::Rate(1.0), Spread::Rate(0.995)] {
        assert_eq!(plan(&rate(Method::GroupSequential, 5, &[0.5, 0.5]), spread), None, "{spread:?}");
    }
}

#[test]
fn the_effect_of_the_maximum_is_the_one_whose_units_it_is() {
    for method in [Method::GroupSequential, Method::AlwaysValid] {
        let design = Design { shares: vec![0.7, 0.3], ..design(method) };
        let found = plan(&design, Spread::Variance(0.3)).unwrap().effect_at_maximum;
        let again = plan(&Design { minimum_effect: found, ..design.clone() }, Spread::Variance(0.3)).unwrap();
        assert!((again.units_per_variant - real(design.maximum_units)).abs() <= 1.0, "{again:?}");
        assert!((again.power_at_maximum - design.power).abs() < 1e-4 && (again.effect_at_maximum - found).abs() < 1e-9, "{again:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    /// A smaller effect, more power, a larger spread and a smaller alpha all take more units.
    #[test]
    fn needed_units_fall_with_the_effect_and_grow_with_power(
        effect in 0.005_f64..0.5, variance in 0.01_f64..4.0, power in 0.3_f64..0.9, alpha in 0.001_f64..0.2, share in 0.1_f64..0.9, looks in 1_u32..6,
    ) {
        let design = Design { looks, power, alpha, minimum_effect: effect, shares: vec![1.0 - share, share], ..design(Method::GroupSequential) };
        let units = |design: Design, variance| plan(&design, Spread::Variance(variance)).unwrap().units_per_variant;
        let needed = units(design.clone(), variance);
        let larger = units(Design { minimum_effect: 2.0 * effect, ..design.clone() }, variance);
        let (surer, stricter) = (Design { power: power + 0.05, ..design.clone() }, Design { alpha: alpha / 2.0, ..design.clone() });
        prop_assert!(larger <= (needed / 4.0).ceil() + 1.0, "{} of {}", larger, needed);
        prop_assert!(units(surer, variance) >= needed && units(stricter, variance) >= needed);
        prop_assert!(units(design, 2.0 * variance) >= needed.max(2.0 * needed - 2.0));
    }
}
