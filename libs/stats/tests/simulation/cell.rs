//! The worlds in which tests are tried.

use crate::day::{CALLS_OF_A_USER, LOOKS, WINDOW};

/// Units in a minute, both variants together.
pub const UNITS: u64 = 120;

/// Minutes over which a ramped treatment rises from a twentieth of its share to all of it.
const RAMP: f64 = 700.0;
/// What a test with one look at 5 % needs to find an effect in 80 % of all runs, in standard errors.
const FOUND_IN_80_PERCENT: f64 = 2.801_582;

/// How a unit's number comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// One call, which is right or wrong.
    Call,
    /// A user with 1 to 50 calls, each with an own rate around the cell's.
    User,
    /// One call whose outcome comes late: wrong ones within hours, right ones at the end of a window. Treatment is ramped up meanwhile.
    Late,
}

/// One world.
#[derive(Clone, Debug)]
pub struct Cell {
    pub name: String,
    /// Its place in the list.
    pub number: u64,
    /// The control's rate.
    pub rate: f64,
    /// What the treatment adds to it.
    pub effect: f64,
    /// The treatment's share of the units.
    pub share: f64,
    pub unit: Unit,
}

impl Cell {
    /// Worlds in which both variants are the same.
    pub fn without_effect() -> Vec<Self> {
        let calls = [0.01, 0.05, 0.1, 0.3, 0.5].into_iter().flat_map(|rate| [0.5, 0.25, 0.1, 0.05].map(|share| (rate, share, Unit::Call)));
        let users = [(0.01, 0.5), (0.1, 0.5), (0.5, 0.5), (0.1, 0.1)].map(|(rate, share)| (rate, share, Unit::User));
        let late = [0.1, 0.5].map(|rate| (rate, 0.5, Unit::Late));
        (0..).zip(calls.chain(users).chain(late)).map(|(number, (rate, share, unit))| Self::new(number, rate, share, unit)).collect()
    }

    /// Worlds with the effect that a test with one look at the end finds in 80 % of all runs.
    pub fn with_effect() -> Vec<Self> {
        let cells = [(0.5, 0.5), (0.1, 0.5), (0.1, 0.1)].map(|(rate, share)| Self::new(100, rate, share, Unit::Call));
        cells.into_iter().map(|cell| Self { effect: FOUND_IN_80_PERCENT * cell.standard_error(), ..cell }).collect()
    }

    fn new(number: u64, rate: f64, share: f64, unit: Unit) -> Self {
        let what = match unit {
            Unit::Call => "",
            Unit::User => ", users with 1 to 50 calls",
            Unit::Late => ", late outcomes, ramped",
        };
        let name = format!("rate {rate}, {:.0}/{:.0}{what}", 100.0 * (1.0 - share), 100.0 * share);
        Self { name, number, rate, effect: 0.0, share, unit }
    }

    /// The treatment's share of a minute's units.
    pub fn share_at(&self, minute: usize) -> f64 {
        if self.unit == Unit::Late { self.share * (0.05 + 0.95 * (minute as f64 / RAMP).min(1.0)) } else { self.share }
    }

    /// Units at the end of the day as an even split would need them, on average; users in a cell of users.
    pub fn units(&self) -> f64 {
        let minutes = if self.unit == Unit::Late { LOOKS - WINDOW } else { LOOKS };
        let units = |of: fn(f64) -> f64| (0..minutes).map(|minute| UNITS as f64 * of(self.share_at(minute))).sum::<f64>();
        let (treatment, control) = (units(|share| share), units(|share| 1.0 - share));
        let each = if self.unit == Unit::User { CALLS_OF_A_USER as f64 } else { 1.0 };
        4.0 / (1.0 / treatment + 1.0 / control) / each
    }

    /// The standard error of the difference at the end of the day, for cells of calls.
    fn standard_error(&self) -> f64 {
        (4.0 * self.rate * (1.0 - self.rate) / self.units()).sqrt()
    }
}
