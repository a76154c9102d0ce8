//! What is fixed before a test begins. This module must not know what was counted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::MOST_LOOKS;
use crate::moments::real;

/// The chance that a test whose units fall on its variants as planned is called invalid. Small, because a test is lost by it.
pub const SAMPLE_RATIO_ALPHA: f64 = 0.001;
/// The chance that a variant which does no harm is switched off by a guardrail, where nobody says another.
pub const GUARDRAIL_ALPHA: f64 = 0.001;
/// Beyond it, a chance of error is none that anybody means.
const HIGHEST_ALPHA: f64 = 0.5;
/// How far shares may be from 1 in sum: what rounding leaves.
const ROUNDING: f64 = 1e-9;

/// How the chance of error is kept over many looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Few planned looks: nearly the power of a test with one.
    GroupSequential,
    /// A mixture, valid at any look: also says early that there is no difference, but has less power.
    AlwaysValid,
}

/// Where better is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// A smaller metric is better, such as a loss.
    Decrease,
    /// A larger metric is better, such as a rate of success.
    Increase,
}

/// A test, before it begins. Nothing of it may change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// How the chance of error is kept.
    pub method: Method,
    /// The chance that a difference is found where there is none, in either direction and for all treatments together.
    pub alpha: f64,
    /// The chance that a treatment which differs by the minimum effect is found.
    pub power: f64,
    /// The smallest difference that matters, in the metric's own unit.
    pub minimum_effect: f64,
    /// Where better is.
    pub direction: Direction,
    /// Looks that are planned, evenly over the units.
    pub looks: u32,
    /// Units with an outcome at which the test ends: for each variant, were the split even.
    pub maximum_units: u64,
    /// The planned share of each variant, control first. In pairs, each variant has all units, and half of what is counted.
    pub shares: Vec<f64>,
    /// Whether both variants answer each call of each unit: then the differences of the two answers are compared.
    pub paired: bool,
}

/// Why a design, or what is handed to the judge with it, cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mistake {
    /// Fewer than two variants.
    Variants(usize),
    /// A share is not above 0, or they do not sum to 1.
    Shares(f64),
    /// Alpha is not between 0 and one half.
    Alpha(f64),
    /// Power is not between alpha and 1.
    Power(f64),
    /// The minimum effect is not above 0.
    MinimumEffect(f64),
    /// No looks, or too many.
    Looks(u32),
    /// No units.
    MaximumUnits,
    /// Not one arm for each variant.
    Arms {
        /// Variants of the design.
        planned: usize,
        /// Arms that came.
        found: usize,
    },
    /// Pairs of something else than a control and one treatment with all units each.
    Pairs,
    /// A look that another design took, or one out of order.
    ForeignLook(u32),
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variants(found) => write!(formatter, "a test needs a control and at least one treatment, not {found} variants"),
            Self::Shares(sum) => write!(formatter, "shares must be above 0 and sum to 1, not to {sum}"),
            Self::Alpha(alpha) => write!(formatter, "alpha must be between 0 and {HIGHEST_ALPHA}, not {alpha}"),
            Self::Power(power) => write!(formatter, "power must be between alpha and 1, not {power}"),
            Self::MinimumEffect(effect) => write!(formatter, "the minimum effect must be above 0, not {effect}"),
            Self::Looks(looks) => write!(formatter, "a test takes 1 to {MOST_LOOKS} looks, not {looks}"),
            Self::MaximumUnits => write!(formatter, "a test needs units"),
            Self::Arms { planned, found } => write!(formatter, "{planned} variants are planned, and {found} were counted"),
            Self::Pairs => write!(formatter, "pairs are a control and one treatment, with shares of one half each"),
            Self::ForeignLook(number) => write!(formatter, "look {number} is not one of this test, or not in order"),
        }
    }
}

impl std::error::Error for Mistake {}

impl Design {
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), Mistake> {
        let sum: f64 = self.shares.iter().sum();
        let within = |number: f64, low: f64, high: f64| number > low && number < high;
        let rules = [
            (self.shares.len() >= 2, Mistake::Variants(self.shares.len())),
            (self.shares.iter().all(|share| *share > 0.0) && (sum - 1.0).abs() <= ROUNDING, Mistake::Shares(sum)),
            (within(self.alpha, 0.0, HIGHEST_ALPHA), Mistake::Alpha(self.alpha)),
            (within(self.power, self.alpha, 1.0), Mistake::Power(self.power)),
            (within(self.minimum_effect, 0.0, f64::INFINITY), Mistake::MinimumEffect(self.minimum_effect)),
            (self.looks > 0 && usize::try_from(self.looks).is_ok_and(|looks| looks <= MOST_LOOKS), Mistake::Looks(self.looks)),
            (self.maximum_units > 0, Mistake::MaximumUnits),
            (!self.paired || self.shares == [0.5, 0.5], Mistake::Pairs),
        ];
        rules.into_iter().find_map(|(holds, mistake)| (!holds).then_some(mistake)).map_or(Ok(()), Err)
    }

    /// The chance of error of each comparison with the control: all of them together keep alpha, whatever they have in common (Bonferroni).
    pub fn alpha_of_a_treatment(&self) -> f64 {
        self.alpha / self.shares.iter().skip(1).fold(0.0, |count, _| count + 1.0)
    }

    /// Units of all variants together at which the test ends.
    pub fn total_units(&self) -> f64 {
        real(self.maximum_units) * self.shares.iter().fold(0.0, |count, _| count + 1.0)
    }

    /// What each treatment's comparison tells at the end, in the units of [`crate::Effect::units`].
    pub fn planned_units(&self) -> Vec<f64> {
        let Some((control, treatments)) = self.shares.split_first() else { return Vec::new() };
        treatments.iter().map(|share| evenly(self.total_units() * control, self.total_units() * share)).collect()
    }

    /// How much better than the control a difference is; below 0 where it is worse.
    pub(super) fn gain(&self, difference: f64) -> f64 {
        match self.direction {
            Direction::Decrease => -difference,
            Direction::Increase => difference,
        }
    }
}

/// As many units, evenly split, would tell as much: [`crate::Effect::units`].
pub(super) fn evenly(control: f64, treatment: f64) -> f64 {
    if control + treatment > 0.0 { 4.0 * control * treatment / (control + treatment) } else { 0.0 }
}
