//! When a look is due, and what it sees. This module must not know verdicts.
//!
//! Looks come at planned parts of the units that have an outcome, never at times, nor by an estimated variance: what decides when to look
//! must not know what the look will see. One set of parts holds for all treatments, those of the one that is furthest behind. A test that
//! ended takes a last look at what there is.

use serde::{Deserialize, Serialize};

use super::design::{Method, evenly};
use super::{Design, bounds};
use crate::moments::real;
use crate::{Bucket, Buckets, Effect, Interval, Mixture, clustered, normal, paired};

/// What was counted of one variant so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arm {
    /// Units that were assigned to it.
    pub units: u64,
    /// Units with an outcome that counts.
    pub labelled_units: u64,
    /// Sums of the metric by hash of the unit.
    pub buckets: Vec<Bucket>,
}

/// One treatment beside the control, at one look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Treatment minus control.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// [`Effect::score`].
    pub statistic: f64,
    /// What the statistic has to reach, on either side.
    pub bound: f64,
    /// The smallest difference that is not excluded; valid at all looks at once.
    pub lower: f64,
    /// The largest one.
    pub upper: f64,
    /// Whether the statistic reaches its bound, which is to say that the interval excludes no difference.
    pub crossed: bool,
}

/// What one look saw. Every number in it is finite, so that it can be stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// The last planned look that it stands for: where data comes in a leap, or the test ended, one look stands for several.
    pub number: u32,
    /// The part of the planned units that was there; above 1 where the last look comes late, below it where the test ended before.
    pub information: f64,
    /// Units with an outcome, by variant, control first.
    pub units: Vec<u64>,
    /// Each treatment beside the control.
    pub comparisons: Vec<Comparison>,
}

/// What can be said of each treatment now.
pub(super) fn effects(design: &Design, arms: &[Arm]) -> Vec<Option<Effect>> {
    let Some((control, treatments)) = arms.split_first() else { return Vec::new() };
    let compared = if design.paired { paired } else { clustered };
    treatments.iter().map(|treatment| compared(buckets(treatment), buckets(control))).collect()
}

fn buckets(arm: &Arm) -> Buckets<'_> {
    Buckets { buckets: &arm.buckets, units: arm.labelled_units }
}

/// The part of the planned units that is there, of the treatment that is furthest behind.
pub(super) fn information(design: &Design, arms: &[Arm]) -> f64 {
    let Some((control, treatments)) = arms.split_first() else { return 0.0 };
    let parts = treatments.iter().zip(design.planned_units()).map(|(treatment, planned)| {
        let units = evenly(real(control.labelled_units), real(treatment.labelled_units));
        units / planned
    });
    parts.fold(f64::INFINITY, f64::min)
}

/// A look, if one is due and can say something of every treatment.
pub(super) fn take(design: &Design, looks: &[Look], arms: &[Arm], ended: bool) -> Option<Look> {
    let information = information(design, arms);
    let number = due(design, looks, information, ended)?;
    let effects: Vec<Effect> = effects(design, arms).into_iter().collect::<Option<_>>()?;
    let comparisons: Option<Vec<Comparison>> = match design.method {
        Method::GroupSequential => {
            let bound = bounds::bound(design, looks, information, number == design.looks)?;
            effects.iter().map(|effect| Comparison::repeated(effect, bound)).collect()
        }
        Method::AlwaysValid => {
            let planned = design.planned_units().into_iter();
            effects
                .iter()
                .zip(planned)
                .map(|(effect, planned)| Comparison::mixed(effect, Mixture::two_sided(planned, design.alpha_of_a_treatment())?))
                .collect()
        }
    };
    Some(Look { number, information, units: arms.iter().map(|arm| arm.labelled_units).collect(), comparisons: comparisons? })
}

/// The last planned look that so much information allows, or the last of all where the test ended; none that has been taken.
fn due(design: &Design, looks: &[Look], information: f64, ended: bool) -> Option<u32> {
    let allowed = |number: &u32| information >= f64::from(*number) / f64::from(design.looks);
    let number = if ended { design.looks } else { (1..=design.looks).take_while(allowed).last()? };
    (number > looks.last().map_or(0, |look| look.number)).then_some(number)
}

impl Comparison {
    /// With the repeated confidence interval of a group-sequential look (Jennison and Turnbull, 1989): all effects that its boundary does not
    /// reject, and so valid at all looks at once. As much wider as few degrees of freedom ask for.
    fn repeated(effect: &Effect, bound: f64) -> Option<Self> {
        Self::new(effect, bound, effect.interval(2.0 * normal::cdf(-bound))?)
    }

    /// With the interval of a mixture.
    fn mixed(effect: &Effect, mixture: Mixture) -> Option<Self> {
        Self::new(effect, mixture.bound(effect.units) / effect.units.sqrt(), mixture.interval(effect))
    }

    /// The interval alone decides, so that rounding lets nobody read one thing and be told another.
    fn new(effect: &Effect, bound: f64, Interval { lower, upper }: Interval) -> Option<Self> {
        let (estimate, standard_error, statistic) = (effect.estimate, effect.standard_error, effect.score());
        let finite = [estimate, standard_error, statistic, bound, lower, upper].into_iter().all(f64::is_finite);
        finite.then_some(Self { estimate, standard_error, statistic, bound, lower, upper, crossed: lower > 0.0 || upper < 0.0 })
    }
}
