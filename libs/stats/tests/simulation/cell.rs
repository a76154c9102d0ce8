//! The worlds in which tests are tried.

/// Units in a minute, both variants together.
pub const UNITS: u64 = 120;

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
        let mut cells = Vec::new();
        for rate in [0.01, 0.05, 0.1, 0.3, 0.5] {
            for share in [0.5, 0.25, 0.1, 0.05] {
                cells.push(Self::new(rate, 0.0, share, Unit::Call));
            }
        }
        cells.extend([0.01, 0.1, 0.5].map(|rate| Self::new(rate, 0.0, 0.5, Unit::User)));
        cells.push(Self::new(0.1, 0.0, 0.1, Unit::User));
        cells.extend([0.1, 0.5].map(|rate| Self::new(rate, 0.0, 0.5, Unit::Late)));
        cells
    }

    /// Worlds with the effect that a test with one look at the end finds in 80 % of all runs.
    pub fn with_effect() -> Vec<Self> {
        let effect = |rate: f64, share: f64| {
            let units = (UNITS * 1_440) as f64;
            2.801_6 * (rate * (1.0 - rate) * (1.0 / (units * share) + 1.0 / (units * (1.0 - share)))).sqrt()
        };
        [(0.5, 0.5), (0.1, 0.5), (0.1, 0.1)].map(|(rate, share)| Self::new(rate, effect(rate, share), share, Unit::Call)).to_vec()
    }

    fn new(rate: f64, effect: f64, share: f64, unit: Unit) -> Self {
        let what = match unit {
            Unit::Call => "",
            Unit::User => ", users with 1 to 50 calls",
            Unit::Late => ", late outcomes, ramped",
        };
        let name = format!("rate {rate}, {:.0}/{:.0}{what}", 100.0 * (1.0 - share), 100.0 * share);
        Self { name, rate, effect, share, unit }
    }
}
