//! How many units a test takes, before it begins. This module must not know what was counted.

use super::{Design, Direction, Method, bounds};
use crate::{GroupSequential, Mixture, Plan, normal, required_drift};

/// Steps in which a drift is searched, at most; four or five do.
const STEPS: u32 = 20;
/// How exact it is: units to a few in a million.
const EXACT: f64 = 1e-6;

/// How much units differ from each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// The variance of a unit's metric. Of a mean over calls, where a unit makes many: the variance of Y − R·M over the square of the mean of
    /// M, for a unit's sum Y and calls M, and the mean R over all calls.
    Variance(f64),
    /// The variance of the difference of a unit's two answers, in pairs. Of a mean over calls, where a unit makes many: the variance of
    /// Y − D·M over the square of the mean of M, for a unit's sum Y of differences, and the mean D over all calls.
    Difference(f64),
    /// The control's share of units with an event, where a unit has one or none.
    Rate(f64),
}

/// What a design takes and gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplePlan {
    /// Units with an outcome, for each variant were the split even, with which the minimum effect is found with the design's power.
    pub units_per_variant: f64,
    /// The chance to find the minimum effect with the design's own maximum; of the treatment that has the smallest.
    pub power_at_maximum: f64,
    /// The smallest effect that the design's own maximum finds with its power, in whichever treatment; of a rate, near the minimum effect.
    pub effect_at_maximum: f64,
}

/// The units that a design takes, and the power of those that it has. `None` where the design is wrong, or no number of units would do.
///
/// A mixture's units are those with which it finds the effect at one of its planned looks.
pub fn plan(design: &Design, spread: Spread) -> Option<SamplePlan> {
    design.check().ok()?;
    let (test, variances) = (boundaries(design)?, variances(design, spread)?);
    let (control, treatments) = design.shares.split_first()?;
    let drift = drift(&test, design)?;
    let variants = design.shares.iter().fold(0.0, |count, _| count + 1.0);
    let mut plan = SamplePlan { units_per_variant: 0.0, power_at_maximum: 1.0, effect_at_maximum: 0.0 };
    for treatment in treatments {
        let (pair, total) = (control + treatment, design.total_units());
        let of_pair = Plan { effect: design.minimum_effect, variances, share: treatment / pair, alpha: design.alpha_of_a_treatment(), power: design.power };
        let standard_error = (variances.0 / (total * treatment) + variances.1 / (total * control)).sqrt();
        plan.units_per_variant = plan.units_per_variant.max((of_pair.units_for(drift)? / pair / variants).ceil());
        plan.power_at_maximum = plan.power_at_maximum.min(test.power(design.minimum_effect / standard_error));
        plan.effect_at_maximum = plan.effect_at_maximum.max(drift * standard_error);
    }
    Some(plan)
}

/// The mean of the score with which the test has the design's power. On the normal's scale power rises as fast as the drift does, nearly, so few
/// steps do where [`GroupSequential::drift`], which is exact, takes a power of many looks forty times.
fn drift(test: &GroupSequential, design: &Design) -> Option<f64> {
    let (aim, mut drift) = (normal::quantile(design.power), required_drift(design.alpha_of_a_treatment(), design.power)?);
    for _ in 0..STEPS {
        let step = aim - normal::quantile(test.power(drift));
        drift += step;
        if step.abs() < EXACT {
            return Some(drift);
        }
    }
    None
}

/// What a unit's metric varies by: treatment, control.
fn variances(design: &Design, spread: Spread) -> Option<(f64, f64)> {
    let (treatment, control) = match spread {
        Spread::Variance(variance) => (variance, variance),
        // Each unit answers for both variants: the variance of the difference is that of both together.
        Spread::Difference(variance) => (variance / 2.0, variance / 2.0),
        Spread::Rate(rate) => {
            let changed = match design.direction {
                Direction::Decrease => rate - design.minimum_effect,
                Direction::Increase => rate + design.minimum_effect,
            };
            (changed * (1.0 - changed), rate * (1.0 - rate))
        }
    };
    (treatment > 0.0 && control > 0.0 && treatment.is_finite() && control.is_finite()).then_some((treatment, control))
}

/// The boundaries of all planned looks. A mixture's depend on the part of the units alone, and its chance to cross them at these looks is
/// computed as that of any others.
fn boundaries(design: &Design) -> Option<GroupSequential> {
    let test = bounds::planned(design);
    match design.method {
        Method::GroupSequential => Some(test),
        Method::AlwaysValid => {
            let mixture = Mixture::two_sided(1.0, design.alpha_of_a_treatment())?;
            let bounds = test.information.iter().map(|part| mixture.bound(*part) / part.sqrt()).collect();
            Some(GroupSequential { bounds, ..test })
        }
    }
}
