//! What the looks so far decide. This module must not know how a look came about.

use serde::{Deserialize, Serialize};

use super::look::{effects, information, take};
use super::{Arm, Comparison, Design, Look, Method, Mistake, SAMPLE_RATIO_ALPHA};
use crate::{Effect, ln_e_of_assignments};

/// How a test ended. The caller stores it; there is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A treatment is significantly better than the control, or, with variant 0, every treatment is significantly worse than the control.
    Winner {
        /// Its place among the variants; the control is 0.
        variant: usize,
    },
    /// No treatment differs by as much as matters.
    NoDifference,
    /// The test ended before it could tell.
    Inconclusive,
    /// What was counted cannot be trusted, whatever it says.
    Invalid(Reason),
}

/// What is wrong with the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Units do not fall on variants as planned.
    SampleRatio,
    /// Units do, those with an outcome do not.
    MissingLabels,
}

/// ln of the e-values against "units fall on variants as planned"; 0 says nothing, [`SampleRatio::threshold`] is the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio {
    /// Of the units that were assigned.
    pub ln_e_assigned: f64,
    /// Of those with an outcome.
    pub ln_e_labelled: f64,
}

/// Where the test looks next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NextLook {
    /// Its number.
    pub number: u32,
    /// Units with an outcome that it takes, in all variants together.
    pub units: f64,
}

/// What is known now.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether counts can be trusted.
    pub sample_ratio: SampleRatio,
    /// The part of the planned units that is there.
    pub information: f64,
    /// Each treatment minus control, to be shown and never to be acted upon: it holds for somebody who looks once.
    pub effects: Vec<Option<Effect>>,
    /// A look that was due. To be stored; then to be handed back, for it decides nothing in this pass.
    pub look: Option<Look>,
    /// The look after those that were taken; none after a verdict or the last one.
    pub next_look: Option<NextLook>,
    /// How the test ended.
    pub verdict: Option<Verdict>,
}

/// Judges a test by the looks that were stored and what is counted now.
///
/// In this order: what stored looks decided stays, even where counts broke since; counts that are broken end the test and take no look;
/// otherwise a look is taken if one is due.
///
/// `ended` says that no unit is assigned any more, and that the last window in which an outcome counts has closed. Then a last look is taken,
/// whatever the information is, and the test ends with it as with a planned one; where there is too little for any look, it is inconclusive.
pub fn judge(design: &Design, looks: &[Look], arms: &[Arm], ended: bool) -> Result<Judgement, Mistake> {
    check(design, looks, arms)?;
    let sample_ratio = SampleRatio::of(design, arms);
    let verdict = decided(design, looks).or_else(|| sample_ratio.reason().map(Verdict::Invalid));
    let look = if verdict.is_none() { take(design, looks, arms, ended) } else { None };
    let verdict = verdict.or((ended && look.is_none()).then_some(Verdict::Inconclusive));
    let next_look = if verdict.is_none() { next(design, look.as_ref().or(looks.last())) } else { None };
    Ok(Judgement { sample_ratio, information: information(design, arms), effects: effects(design, arms), look, next_look, verdict })
}

fn check(design: &Design, looks: &[Look], arms: &[Arm]) -> Result<(), Mistake> {
    design.check()?;
    let planned = design.shares.len();
    if arms.len() != planned {
        return Err(Mistake::Arms { planned, found: arms.len() });
    }
    let before = std::iter::once((0, 0.0)).chain(looks.iter().map(|look| (look.number, look.information)));
    let own = |((number, information), look): ((u32, f64), &Look)| {
        // The last look of a test that ended may have been taken at any information.
        let more = look.information > information || look.number == design.looks;
        look.comparisons.len() + 1 == planned && look.units.len() == planned && look.number > number && more
    };
    let foreign = before.zip(looks).find(|(before, look)| !own((*before, look)));
    foreign.map_or(Ok(()), |(_, look)| Err(Mistake::ForeignLook(look.number)))
}

impl SampleRatio {
    /// What either value has to reach.
    pub fn threshold() -> f64 {
        -SAMPLE_RATIO_ALPHA.ln()
    }

    fn of(design: &Design, arms: &[Arm]) -> Self {
        let ln_e = |count: fn(&Arm) -> u64| {
            let units: Vec<u64> = arms.iter().map(count).collect();
            // A checked design has a value; without one, nothing speaks against the counts.
            ln_e_of_assignments(&units, &design.shares).unwrap_or_default()
        };
        Self { ln_e_assigned: ln_e(|arm| arm.units), ln_e_labelled: ln_e(|arm| arm.labelled_units) }
    }

    /// What is wrong. Units that are missing miss their outcomes too, so assignments are asked first.
    pub fn reason(&self) -> Option<Reason> {
        let broken = |ln_e: f64| ln_e >= Self::threshold();
        let assigned = broken(self.ln_e_assigned).then_some(Reason::SampleRatio);
        assigned.or_else(|| broken(self.ln_e_labelled).then_some(Reason::MissingLabels))
    }
}

fn next(design: &Design, last: Option<&Look>) -> Option<NextLook> {
    let number = last.map_or(1, |look| look.number.saturating_add(1));
    let units = design.total_units() * f64::from(number) / f64::from(design.looks);
    (number <= design.looks).then_some(NextLook { number, units })
}

/// What the first look decided that decided anything: looks after it change nothing.
fn decided(design: &Design, looks: &[Look]) -> Option<Verdict> {
    (1..=looks.len()).find_map(|count| decided_by_the_last(design, looks.get(..count)?))
}

fn decided_by_the_last(design: &Design, looks: &[Look]) -> Option<Verdict> {
    let last = looks.last()?;
    let crossings: Vec<_> = (1..design.shares.len()).map(|variant| (variant, crossing(looks, variant))).collect();
    let gains = crossings.iter().filter_map(|(variant, crossing)| Some((*variant, design.gain(crossing.as_ref()?.1.estimate))));
    let best = gains.filter(|(_, gain)| *gain > 0.0).max_by(|(_, one), (_, other)| one.total_cmp(other));
    if let Some((variant, _)) = best {
        return Some(Verdict::Winner { variant });
    }
    if crossings.iter().all(|(_, crossing)| crossing.is_some()) {
        return Some(Verdict::Winner { variant: 0 });
    }
    let over = last.number >= design.looks;
    // A mixture's interval may end a test whenever it is narrow enough. A group-sequential test may not: its boundaries, and so its power and
    // its units, were planned without an early end for want of a difference, and a later look may still find one.
    let may_end = match design.method {
        Method::GroupSequential => over,
        Method::AlwaysValid => true,
    };
    let none_matters = last.comparisons.iter().all(|seen| seen.lower > -design.minimum_effect && seen.upper < design.minimum_effect);
    if may_end && none_matters {
        return Some(Verdict::NoDifference);
    }
    over.then_some(Verdict::Inconclusive)
}

/// The look at which a treatment's difference first was significant, and what it saw: that decides the treatment.
pub(super) fn crossing(looks: &[Look], variant: usize) -> Option<(&Look, &Comparison)> {
    looks.iter().find_map(|look| Some((look, comparison(look, variant).filter(|seen| seen.crossed)?)))
}

/// A treatment beside the control.
pub(super) fn comparison(look: &Look, variant: usize) -> Option<&Comparison> {
    look.comparisons.get(variant.checked_sub(1)?)
}
