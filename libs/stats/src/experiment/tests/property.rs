use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// However data comes, with passes lost before their look was stored, no number comes twice, and the test ends: with its units, or with
    /// what there is.
    #[test]
    fn looks_ascend_and_every_test_ends(
        always in any::<bool>(),
        looks in 1..=12_u32,
        minimum in 0.001..0.05_f64,
        short in any::<bool>(),
        steps in prop::collection::vec((0.0..0.4_f64, -6.0..6.0_f64, any::<bool>()), 1..20),
    ) {
        let method = if always { Method::AlwaysValid } else { Method::GroupSequential };
        let design = Design { looks, minimum_effect: minimum, ..design(method) };
        let (mut stored, mut part, mut ended) = (Vec::<Look>::new(), 0.0, None);
        let ends = if short { (0.01, 0.5, false) } else { (1.0, 0.5, false) };
        let passes = steps.len();
        for (pass, (step, errors, lost)) in steps.into_iter().chain([ends]).enumerate() {
            part += step;
            let over = short && pass == passes;
            let arms = arms(part, errors);
            let pass = judge(&design, &stored, &arms, over).unwrap();
            prop_assert_eq!(&pass, &judge(&design, &stored, &arms, over).unwrap());
            prop_assert!(ended.is_none() || (pass.verdict == ended && pass.look.is_none()), "{:?} after {:?}", pass, ended);
            prop_assert!(pass.look.is_none() || pass.verdict.is_none());
            if let Some(look) = pass.look.filter(|_| !lost) {
                prop_assert!(stored.last().is_none_or(|last| look.number > last.number && look.information > last.information));
                prop_assert!(look.number <= looks && (over || f64::from(look.number) <= look.information * f64::from(looks)));
                stored.push(look);
            }
            ended = running(&design, &stored, &arms).unwrap().verdict;
        }
        prop_assert!(ended.is_some(), "{:?}", stored);
    }
}
