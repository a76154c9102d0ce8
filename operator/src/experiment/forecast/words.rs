//! A plan in words, for whoever made the test. This module must not know where its numbers come from.

use std::fmt;

use plimsoll_crds::ABTest;

use super::super::quality::spoken;
use super::{DIGITS, ENOUGH_USERS, Expected, History, Missing, real, rounded};

/// Units of time, in seconds: a unit is used from twice its length on.
const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("How many users it takes is not known: ")?;
        match self {
            Self::Paired => formatter.write_str(
                "it depends on how much the answers of both models to one call differ, which shows when they do; it is fewer than if users were split",
            ),
            Self::NoHeader(header) => write!(
                formatter,
                "the deployment has no spec.router.stickyHeader, so nobody knows which of its calls are one user's; set it to {header}, or test the model beside itself first"
            ),
            Self::OtherHeader { deployment, test } => write!(
                formatter,
                "the deployment knows its users by {deployment} (spec.router.stickyHeader), and this test by {test}; test the model beside itself first"
            ),
            Self::Away => formatter.write_str("the evaluator cannot be asked now"),
            Self::OldEvaluator => {
                formatter.write_str("the evaluator is of a release that counts users in tests only; a change of spec.outcomes.resources replaces it")
            }
            Self::NoOutcomes => formatter.write_str("no outcomes of what serves yet, so the spread is not known"),
            Self::Nameless(header) => write!(
                formatter,
                "more than one in twenty calls of the deployment have no {header}, so the spread of its users is not known; test the model beside itself first"
            ),
            Self::FewUsers => write!(formatter, "fewer than {ENOUGH_USERS} users of what serves have an outcome so far"),
            Self::NothingVaries => formatter.write_str("the metric is the same for all users so far; does spec.primary.metric suit the model's task?"),
        }
    }
}

/// What is planned, needed and expected.
pub fn said(test: &ABTest, history: &History, expected: &Expected, revision: &str) -> String {
    let (design, effect, metric) = (&test.spec.design, test.spec.primary.minimum_detectable_effect, spoken(test.spec.primary.metric.outcome));
    let planned = real(u64::try_from(design.maximum_units_per_variant).unwrap_or(0));
    let (needed, all) = (number(expected.needed), number(planned));
    let size = if expected.needed > planned {
        let found = expected.effect_of_planned;
        format!(
            "maximumUnitsPerVariant is too small: with {all} users for each variant only differences of {found} in {metric} are found; {effect} takes about {needed}"
        )
    } else {
        format!("{all} users with an outcome are planned for each variant; about {needed} show a difference of {effect} in {metric}")
    };
    let (spread, users) = (rounded(history.variance.sqrt(), DIGITS), real(history.users.labelled));
    let [calls, observed] = [real(history.users.calls) / users, users].map(|count| number(rounded(count, DIGITS)));
    let (alpha, power) = (design.alpha, design.power);
    let source = format!("(alpha {alpha}, power {power}; spread {spread} per user, {calls} calls a user, from about {observed} users of revision {revision})");
    format!("{size} {source}. {}", duration(test, expected, planned))
}

fn duration(test: &ABTest, expected: &Expected, planned: f64) -> String {
    let (hourly, longest) = (number(expected.hourly), test.spec.design.maximum_duration.as_str());
    let (reached, takes) = (number(expected.reached), time(expected.seconds));
    if expected.reached >= planned {
        return format!("At about {hourly} new users an hour it takes about {takes}, the time for the last outcomes included.");
    }
    if expected.reached >= expected.needed {
        return format!("At about {hourly} new users an hour maximumDuration, {longest}, ends it with about {reached} users for each variant.");
    }
    let found = expected.effect;
    format!(
        "maximumDuration is too short: at about {hourly} new users an hour {longest} bring about {reached} users for each variant, who show differences of {found} only."
    )
}

/// 6410 as "6,410", 0.31 as "0.31".
fn number(number: f64) -> String {
    let said = format!("{number}");
    if number < 1_000.0 || said.contains('.') {
        return said;
    }
    let comma = |place: usize| if place > 0 && (said.len() - place).is_multiple_of(3) { "," } else { "" };
    said.chars().enumerate().map(|(place, digit)| format!("{}{digit}", comma(place))).collect()
}

/// 233280 seconds as "2.7 d".
fn time(seconds: f64) -> String {
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2.0 * length);
    let (length, unit) = unit.unwrap_or((1.0, "s"));
    let said = format!("{:.1}", seconds / length);
    format!("{} {unit}", said.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_like_them() {
        assert_eq!([0.31, 7.0, 999.0, 6_400.0, 1_200_000.0].map(number), ["0.31", "7", "999", "6,400", "1,200,000"]);
        assert_eq!([90.0, 150.0, 25_200.0, 233_280.0, 172_800.0].map(time), ["90 s", "2.5 min", "7 h", "2.7 d", "2 d"]);
    }
}
