//! What chance allows: intervals of now, and whether users fell on variants as planned. It must not decide; verdicts are handed over.

use plimsoll_stats::experiment::{Arm, Design, Direction, Method, SampleRatio as Judged, judge};
use plimsoll_stats::{Effect, Mixture};
use serde::Serialize;

use super::arms::Counted;
use super::input::{self, Mode, Test};

/// A treatment against the control as of now. It is valid at every look at once, so it may be read at any time; it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// Treatment minus control.
    pub estimate: f64,
    /// The standard error of that.
    pub standard_error: f64,
    /// The always-valid interval's lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

/// Whether users fell on variants as planned: ln of e-values, above the threshold a test is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleRatio {
    /// Of users who were assigned.
    pub ln_e_assigned: f64,
    /// Of users with an outcome.
    pub ln_e_labelled: f64,
    /// What neither may reach.
    pub threshold: f64,
    /// Whether the operator found it, at its newest look, or the counts of now say it.
    pub from_status: bool,
}

impl SampleRatio {
    /// Whether units fell as planned.
    pub fn holds(&self) -> bool {
        self.ln_e_assigned < self.threshold && self.ln_e_labelled < self.threshold
    }
}

/// What the counts of now say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The part of the planned units that is there, of the treatment that is furthest behind.
    pub information: f64,
    /// Each treatment; `None` where too little is known.
    pub now: Vec<Option<Now>>,
    /// `None` before a user was counted.
    pub sample_ratio: Option<SampleRatio>,
}

/// Planned shares, which sum to 1. In pairs both variants have every user.
pub fn shares(test: &Test) -> Vec<f64> {
    if test.spec.mode == Mode::Paired {
        return vec![0.5; test.spec.variants.len()];
    }
    let whole: f64 = test.spec.variants.iter().map(|variant| variant.weight).sum();
    test.spec.variants.iter().map(|variant| variant.weight / whole).collect()
}

/// The design as the judge reads it.
pub fn design(test: &Test) -> Design {
    let design = &test.spec.design;
    Design {
        method: match design.method {
            input::Method::GroupSequential => Method::GroupSequential,
            input::Method::AlwaysValid => Method::AlwaysValid,
        },
        direction: match test.spec.primary.direction {
            input::Direction::Decrease => Direction::Decrease,
            input::Direction::Increase => Direction::Increase,
        },
        alpha: design.alpha,
        power: design.power,
        minimum_effect: test.spec.primary.minimum_detectable_effect,
        looks: design.looks,
        maximum_units: design.maximum_units_per_variant,
        shares: shares(test),
        paired: test.spec.mode == Mode::Paired,
    }
}

/// What is known now. Nothing of a design that cannot be judged.
pub fn known(test: &Test, counted: &[&Counted]) -> Known {
    let design = design(test);
    let arm = |of: &&Counted| Arm { units: of.units, labelled_units: of.labelled_units, buckets: of.buckets.clone() };
    let arms: Vec<Arm> = counted.iter().map(arm).collect();
    let Ok(judged) = judge(&design, &[], &arms, false) else { return Known { now: vec![None; counted.len().saturating_sub(1)], ..Known::default() } };
    let alpha = design.alpha_of_a_treatment();
    let now = judged.effects.iter().zip(design.planned_units()).map(|(effect, planned)| interval(effect.as_ref()?, planned, alpha)).collect();
    let threshold = Judged::threshold();
    let status = test.status.as_ref().and_then(|status| status.sample_ratio);
    let of_status = status.map(|found| SampleRatio { ln_e_assigned: found.assigned, ln_e_labelled: found.labelled, threshold, from_status: true });
    let (ln_e_assigned, ln_e_labelled) = (judged.sample_ratio.ln_e_assigned, judged.sample_ratio.ln_e_labelled);
    let of_now = arms.iter().any(|arm| arm.units > 0).then_some(SampleRatio { ln_e_assigned, ln_e_labelled, threshold, from_status: false });
    Known { information: judged.information, now, sample_ratio: of_status.or(of_now) }
}

/// Valid at every look at once, whatever the test's method.
fn interval(effect: &Effect, planned: f64, alpha: f64) -> Option<Now> {
    let interval = Mixture::two_sided(planned, alpha)?.interval(effect);
    let now = Now { estimate: effect.estimate, standard_error: effect.standard_error, lower: interval.lower, upper: interval.upper };
    [now.estimate, now.standard_error, now.lower, now.upper].into_iter().all(f64::is_finite).then_some(now)
}
