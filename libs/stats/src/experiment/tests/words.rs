use super::*;

const TWO: Names<'_> = Names { variants: &["control", "treatment"], metric: "log loss" };
const THREE: Names<'_> = Names { variants: &["old", "new", "newer"], metric: "log loss" };

fn said(design: &Design, names: &Names<'_>, passes: &[Vec<Arm>]) -> String {
    let (looks, verdict) = judged(design, passes);
    sentence(design, verdict.unwrap(), names, &looks, passes.last().unwrap())
}

#[test]
fn a_stakeholder_reads_what_was_decided_and_by_what() {
    let (two, all) = (design(Method::GroupSequential), three(Method::GroupSequential));
    let mut lost = arms(0.4, 0.0);
    lost[1].units = 2_000;
    let mut unlabelled = arms(0.4, 0.0);
    unlabelled[1].labelled_units = 2_000;
    let close = Design { minimum_effect: 0.001, ..two.clone() };
    let table = [
        (
            said(&two, &TWO, &[arms(0.4, -5.0)]),
            "treatment has a log loss that is 0.018 lower than control (95 % interval 0.006 to 0.029, after 2,560 + 2,560 units): it wins.",
        ),
        (
            said(&two, &TWO, &[arms(0.4, 5.0)]),
            "treatment has a log loss that is 0.018 higher than control (95 % interval 0.006 to 0.029, after 2,560 + 2,560 units): control wins.",
        ),
        (
            said(&all, &THREE, &[three_arms(0.6, [-3.3, -3.6])]),
            "newer has a log loss that is 0.013 lower than old (97.5 % interval 0.001 to 0.024, after 2,880 + 5,760 units): newer wins.",
        ),
        (
            said(&all, &THREE, &[three_arms(0.6, [3.3, 0.0]), three_arms(0.8, [1.0, 3.3])]),
            "new has a log loss that is 0.012 higher than old (97.5 % interval 0.000 to 0.023, after 2,880 + 5,760 units); \
             newer has a log loss that is 0.012 higher than old (97.5 % interval 0.000 to 0.023, after 3,840 + 7,680 units): old wins.",
        ),
        (
            said(&two, &TWO, &[arms(1.0, 0.0)]),
            "treatment and control differ in log loss by less than 0.02 (95 % interval of the difference -0.0071 to 0.0071, \
             after 6,400 + 6,400 units): no difference that matters.",
        ),
        (
            said(&close, &TWO, &[arms(1.0, 1.0)]),
            "treatment may have a lower or a higher log loss than control (95 % interval of the difference -0.0035 to 0.0106, \
             after 6,400 + 6,400 units): the test ended before it could tell.",
        ),
        (
            said(&Design { minimum_effect: 0.001, ..all.clone() }, &THREE, &[three_arms(0.6, [3.3, 0.0]), three_arms(1.0, [1.0, 0.0])]),
            "new has a log loss that is 0.012 higher than old (97.5 % interval 0.000 to 0.023, after 2,880 + 5,760 units); \
             newer may have a lower or a higher log loss than old (97.5 % interval of the difference -0.0082 to 0.0082, \
             after 4,800 + 9,600 units): the test ended before it could tell.",
        ),
        (
            said(&two, &TWO, &[lost]),
            "Units were not assigned as planned (control has 56.14 % of 4,560 units instead of 50.00 %, treatment has 43.86 % of 4,560 units \
             instead of 50.00 %): the test says nothing. Look for calls that only one variant loses: its errors, its time limits, its routes.",
        ),
        (
            said(&two, &TWO, &[unlabelled]),
            "Outcomes are missing for one variant more than for another (100.00 % of control's 2,560 units have one, 78.12 % of treatment's \
             2,560 units have one): the test says nothing. Look at who reports outcomes, and how late.",
        ),
    ];
    for (said, expected) in table {
        assert_eq!(said, expected);
    }
}

#[test]
fn what_is_not_there_is_not_made_up() {
    let two = design(Method::GroupSequential);
    let nameless = Names { variants: &[], metric: "log loss" };
    assert_eq!(sentence(&two, Verdict::Inconclusive, &TWO, &[], &[]), "Too few outcomes came to compare variants: the test ended before it could tell.");
    for verdict in [Verdict::Winner { variant: 1 }, Verdict::Winner { variant: 0 }, Verdict::NoDifference, Verdict::Invalid(Reason::SampleRatio)] {
        let said = sentence(&two, verdict, &nameless, &[], &[]);
        assert!(!said.contains("NaN") && !said.contains("inf") && said.ends_with('.'), "{said}");
    }
}
