//! One sentence for whoever asked for the test. This module must not know how a verdict comes about.

use super::judge::{comparison, crossing};
use super::{Arm, Comparison, Design, Look, Reason, Verdict};
use crate::moments::real;

/// Digits after the point, at most.
const MOST_DIGITS: usize = 12;
/// An interval's radius is said in so many steps of its last digit, at least: two digits of it.
const STEPS: f64 = 10.0;

/// What things are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Variants, control first.
    pub variants: &'a [&'a str],
    /// The metric, as in "a … that is lower".
    pub metric: &'a str,
}

/// What a verdict says, from the looks that led to it; from what is counted, where that is what is wrong.
pub fn sentence(design: &Design, verdict: Verdict, names: &Names<'_>, looks: &[Look], arms: &[Arm]) -> String {
    let each = |say: &dyn Fn(usize) -> Option<String>| (1..design.shares.len()).filter_map(say).collect::<Vec<_>>().join("; ");
    let level = level(design);
    let beside = |variant: usize| Some(Seen::of(looks, variant)?.beside(names.of(variant), names, &level));
    let open = |variant: usize| Seen::of(looks, variant).filter(|seen| !seen.comparison.crossed).map(|seen| seen.open(names.of(variant), names, &level));
    let alike = |variant: usize| Some(Seen::last(looks, variant)?.alike(names.of(variant), design, names, &level));
    match verdict {
        Verdict::Winner { variant: 0 } => format!("{}: {} wins.", each(&beside), names.of(0)),
        Verdict::Winner { variant } => {
            let winner = if design.shares.len() == 2 { "it" } else { names.of(variant) };
            format!("{}: {winner} wins.", beside(variant).unwrap_or_default())
        }
        Verdict::NoDifference => format!("{}: no difference that matters.", each(&alike)),
        Verdict::Inconclusive if looks.is_empty() => "Too few outcomes came to compare variants: the test ended before it could tell.".to_owned(),
        Verdict::Inconclusive => format!("{}: the test ended before it could tell.", each(&|variant| open(variant).or_else(|| beside(variant)))),
        Verdict::Invalid(reason) => broken(design, reason, names, arms),
    }
}

fn broken(design: &Design, reason: Reason, names: &Names<'_>, arms: &[Arm]) -> String {
    let all: f64 = arms.iter().map(|arm| real(arm.units)).sum();
    let variants = arms.iter().zip(&design.shares).enumerate();
    let share = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
    match reason {
        Reason::SampleRatio => {
            let said = variants.map(|(variant, (arm, planned))| {
                format!("{} has {:.2} % of {} units instead of {:.2} %", names.of(variant), share(real(arm.units), all), grouped(total(arms)), 100.0 * planned)
            });
            let said: Vec<_> = said.collect();
            format!(
                "Units were not assigned as planned ({}): the test says nothing. Look for calls that only one variant loses: its errors, its time limits, its routes.",
                said.join(", ")
            )
        }
        Reason::MissingLabels => {
            let said = variants.map(|(variant, (arm, _))| {
                format!("{:.2} % of {}'s {} units have one", share(real(arm.labelled_units), real(arm.units)), names.of(variant), grouped(arm.units))
            });
            let said: Vec<_> = said.collect();
            format!(
                "Outcomes are missing for one variant more than for another ({}): the test says nothing. Look at who reports outcomes, and how late.",
                said.join(", ")
            )
        }
    }
}

fn total(arms: &[Arm]) -> u64 {
    arms.iter().fold(0, |sum, arm| sum.saturating_add(arm.units))
}

/// What one look saw of one treatment.
struct Seen<'a> {
    comparison: &'a Comparison,
    /// Treatment and control.
    units: (u64, u64),
}

impl<'a> Seen<'a> {
    /// What decided a treatment, or else what was seen last.
    fn of(looks: &'a [Look], variant: usize) -> Option<Self> {
        crossing(looks, variant).map_or_else(|| Self::last(looks, variant), |(look, comparison)| Self::at(look, comparison, variant))
    }

    fn last(looks: &'a [Look], variant: usize) -> Option<Self> {
        let look = looks.last()?;
        Self::at(look, comparison(look, variant)?, variant)
    }

    fn at(look: &'a Look, comparison: &'a Comparison, variant: usize) -> Option<Self> {
        Some(Self { comparison, units: (*look.units.get(variant)?, *look.units.first()?) })
    }

    /// "treatment has a log loss that is 0.0123 lower than control (95 % interval 0.0061 to 0.0185, after 21,040 + 20,991 units)".
    fn beside(&self, name: &str, names: &Names<'_>, level: &str) -> String {
        let Comparison { estimate, lower, upper, .. } = *self.comparison;
        let (word, low, high) = if estimate < 0.0 { ("lower", -upper, -lower) } else { ("higher", lower, upper) };
        let [size, low, high] = [estimate.abs(), low, high].map(|number| self.rounded(number));
        let (metric, control, after) = (names.metric, names.of(0), self.after());
        format!("{name} has a {metric} that is {size} {word} than {control} ({level} % interval {low} to {high}, {after})")
    }

    fn alike(&self, name: &str, design: &Design, names: &Names<'_>, level: &str) -> String {
        format!("{name} and {} differ in {} by less than {} ({})", names.of(0), names.metric, design.minimum_effect, self.range(level))
    }

    fn open(&self, name: &str, names: &Names<'_>, level: &str) -> String {
        format!("{name} may have a lower or a higher {} than {} ({})", names.metric, names.of(0), self.range(level))
    }

    /// "95 % interval of the difference -0.0041 to 0.0032, after 21,040 + 20,991 units".
    fn range(&self, level: &str) -> String {
        let [low, high] = [self.comparison.lower, self.comparison.upper].map(|number| self.rounded(number));
        format!("{level} % interval of the difference {low} to {high}, {}", self.after())
    }

    fn after(&self) -> String {
        format!("after {} + {} units", grouped(self.units.0), grouped(self.units.1))
    }

    /// To as many digits as the interval is wide enough for.
    fn rounded(&self, number: f64) -> String {
        let radius = (self.comparison.upper - self.comparison.lower) / 2.0;
        let steps = std::iter::successors(Some(radius), |steps| Some(10.0 * steps));
        let digits = steps.take(MOST_DIGITS).take_while(|steps| *steps < STEPS).count();
        let said = format!("{number:.digits$}");
        if said.contains(|digit: char| digit.is_ascii_digit() && digit != '0') { said } else { said.trim_start_matches('-').to_owned() }
    }
}

impl<'a> Names<'a> {
    fn of(&self, variant: usize) -> &'a str {
        self.variants.get(variant).copied().unwrap_or("a variant without a name")
    }
}

/// The level of a treatment's interval, in percent.
fn level(design: &Design) -> String {
    let said = format!("{:.2}", 100.0 * (1.0 - design.alpha_of_a_treatment()));
    said.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// 21040 as 21,040.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let comma = |place: usize| if place > 0 && (digits.len() - place).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(place, digit)| format!("{}{digit}", comma(place))).collect()
}
