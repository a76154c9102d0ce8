//! What a look of a group-sequential test has to reach. This module must not know what was counted.
//!
//! Boundaries of Armitage, McPherson and Rowe rest on how much looks know of each other, which for units that come once is how many units they
//! share. Units that come back bring more calls without being counted again; looks then know less of each other, by as much as nobody can say
//! before, and such a test is wrong too often. So here each look spends a part of alpha of its own, and the sum of the parts is alpha:
//! that holds whatever looks know of each other (Bonferroni). It would cost much power, were alpha spent evenly; but nearly all of it is kept for
//! the last look (Haybittle, 1971; Peto et al., 1976), and what is left is enough to stop early for what is beyond doubt.

use super::{Design, Look};
use crate::{GroupSequential, Spending, normal};

/// The part of alpha that all looks before the last one share. At a tenth they find large effects later; at a half the last look loses power.
const EARLY: f64 = 0.2;
/// How it is shared: by the square of the information, so that a first look of few units needs a difference beyond doubt.
const SHARED: Spending = Spending::Power(2.0);
/// No look asks for more than this many standard errors: beyond it, a chance is no number.
const HIGHEST: f64 = 37.0;

/// What the score of a look has to reach, on either side, after looks that may be stored. A last look spends all that is left, whatever the
/// information is. `None` where so little may be spent that it is no number.
pub(super) fn bound(design: &Design, looks: &[Look], information: f64, last: bool) -> Option<f64> {
    let before = looks.last().map_or(0.0, |look| look.information);
    between(design.alpha_of_a_treatment(), before, information, last).filter(|bound| *bound < HIGHEST)
}

/// The boundaries of all looks, where they are planned: for the power of a test whose units come once.
pub(super) fn planned(design: &Design) -> GroupSequential {
    let part = |number: u32| f64::from(number) / f64::from(design.looks);
    let alpha = design.alpha_of_a_treatment();
    let of = |number: u32| between(alpha, part(number - 1), part(number), number == design.looks).unwrap_or(HIGHEST);
    GroupSequential { information: (1..=design.looks).map(part).collect(), bounds: (1..=design.looks).map(of).collect() }
}

/// From the information alone, so that it is the same again for looks that are stored.
fn between(alpha: f64, before: f64, information: f64, last: bool) -> Option<f64> {
    let early = |information: f64| SHARED.spent(information, EARLY * alpha);
    let spent = if last { alpha } else { early(information) } - early(before);
    (spent > 0.0).then(|| -normal::quantile(spent / 2.0)).filter(|bound| bound.is_finite())
}
