//! A test's spec as the judge reads it, and the judge's looks as the status keeps them. Conversions only: this module must not decide.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_crds::ABTestSpec;
use plimsoll_crds::ab_test::{ComparisonStatus, Direction as Better, LookStatus, Method as Kept, Mode};
use plimsoll_stats::experiment::{Comparison, Design, Direction, Look, Method};

/// Percent in a whole.
const WHOLE: f64 = 100.0;
/// The share of each variant of a pair.
const HALF: f64 = 0.5;

/// The design of a spec. What makes no sense in it is found by its `check`.
pub fn design(spec: &ABTestSpec) -> Design {
    let (design, paired) = (&spec.design, spec.mode == Mode::Paired);
    Design {
        method: match design.method {
            Kept::GroupSequential => Method::GroupSequential,
            Kept::AlwaysValid => Method::AlwaysValid,
        },
        alpha: design.alpha,
        power: design.power,
        minimum_effect: spec.primary.minimum_detectable_effect,
        direction: match spec.primary.direction {
            Better::Decrease => Direction::Decrease,
            Better::Increase => Direction::Increase,
        },
        looks: u32::try_from(design.looks).unwrap_or(0),
        maximum_units: u64::try_from(design.maximum_units_per_variant).unwrap_or(0),
        // In pairs nobody is split: both variants have every user.
        shares: spec.variants.iter().map(|variant| if paired { HALF } else { f64::from(variant.weight) / WHOLE }).collect(),
        paired,
    }
}

/// A look as the status keeps it. `counted_until` is how far the evaluator had counted, in milliseconds.
pub fn to_status(look: &Look, spec: &ABTestSpec, counted_until: i64, at: &Time) -> LookStatus {
    let treatments = spec.variants.iter().skip(1);
    let comparisons = treatments.zip(&look.comparisons).map(|(variant, seen)| ComparisonStatus {
        variant: variant.name.clone(),
        estimate: seen.estimate,
        standard_error: seen.standard_error,
        statistic: seen.statistic,
        bound: seen.bound,
        lower: seen.lower,
        upper: seen.upper,
        crossed: seen.crossed,
    });
    LookStatus {
        number: i32::try_from(look.number).unwrap_or(i32::MAX),
        at: at.clone(),
        counted_until,
        information: look.information,
        units: look.units.iter().map(|units| i64::try_from(*units).unwrap_or(i64::MAX)).collect(),
        comparisons: comparisons.collect(),
    }
}

/// A look as the judge took it.
pub fn from_status(look: &LookStatus) -> Look {
    let comparison = |seen: &ComparisonStatus| Comparison {
        estimate: seen.estimate,
        standard_error: seen.standard_error,
        statistic: seen.statistic,
        bound: seen.bound,
        lower: seen.lower,
        upper: seen.upper,
        crossed: seen.crossed,
    };
    Look {
        number: u32::try_from(look.number).unwrap_or(0),
        information: look.information,
        units: look.units.iter().map(|units| u64::try_from(*units).unwrap_or(0)).collect(),
        comparisons: look.comparisons.iter().map(comparison).collect(),
    }
}
