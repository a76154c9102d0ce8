//! Scales: from numbers and times to ticks that a person reads. It must not know what is drawn.

use super::words::{decimal, grouped_digits};

/// Ticks of an axis, about.
const TICKS: f64 = 7.0;
/// A round step that is so much shorter is near enough.
const NEAR: f64 = 0.75;
/// Beyond it, and below its inverse over 100, numbers are written with an exponent.
const LARGE: f64 = 1e7;
const SMALL: f64 = 1e-4;
/// Labels of time on one axis, at most.
const LABELS: i64 = 7;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Steps between labels of time.
const STEPS: [i64; 15] =
    [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY];

/// One axis of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, and in which unit.
    pub label: String,
    /// Its begin.
    pub from: f64,
    /// Its end, above the begin.
    pub to: f64,
    /// Places with what stands there.
    pub ticks: Vec<(f64, String)>,
}

/// A time on an axis.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
pub fn at(ms: i64) -> f64 {
    ms as f64
}

impl Axis {
    /// An axis of numbers. What has no extent gets one.
    pub fn of_numbers(label: String, from: f64, to: f64) -> Self {
        let (from, to) = if to > from { (from, to) } else { (from - from.abs().max(1.0) / 10.0, from + from.abs().max(1.0) / 10.0) };
        let step = step((to - from) / TICKS);
        let largest = from.abs().max(to.abs());
        let places = std::iter::successors(Some((from / step - 1e-9).ceil()), |place| Some(place + 1.0)).map(|place| place * step);
        let ticks = places.take(20).take_while(|tick| *tick <= to + step * 1e-9).map(|tick| (tick, written(tick, step, largest))).collect();
        Self { label, from, to, ticks }
    }

    /// An axis of time, in milliseconds.
    pub fn of_time(label: String, from: i64, to: i64) -> Self {
        let to = to.max(from.saturating_add(MINUTE));
        let range = to.saturating_sub(from);
        let step = STEPS.into_iter().find(|step| range / step < LABELS).unwrap_or_else(|| range / LABELS + 1);
        let form = match (step >= DAY, range < DAY / 2) {
            (true, _) => "%-d %b %Y",
            (false, true) => "%H:%M",
            (false, false) => "%-d %b %H:%M",
        };
        let first = from.div_euclid(step).saturating_add(i64::from(from.rem_euclid(step) > 0)).saturating_mul(step);
        let named = |tick: i64| jiff::Timestamp::from_millisecond(tick).map_or_else(|_| String::new(), |time| time.strftime(form).to_string());
        let ticks = std::iter::successors(Some(first), |tick| tick.checked_add(step)).take(20).take_while(|tick| *tick <= to);
        Self { label, from: at(from), to: at(to), ticks: ticks.map(|tick| (at(tick), named(tick))).collect() }
    }

    /// Where a number is: 0 at the begin, 1 at the end.
    pub fn part(&self, number: f64) -> f64 {
        (number - self.from) / (self.to - self.from)
    }
}

/// The next of 1, 2, 5, 10, ... from `least` on.
fn step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|part| part * decade).find(|step| *step >= NEAR * least).unwrap_or(10.0 * decade)
}

/// A tick's number, to as many digits as tell it from the next one.
fn written(tick: f64, step: f64, largest: f64) -> String {
    let digits_from = |decade: f64| (0..15_u8).take_while(|digit| f64::from(*digit) < decade - step.log10().floor()).count();
    if !(SMALL..LARGE).contains(&largest) {
        let digits = digits_from(largest.log10().floor());
        return if tick == 0.0 { "0".to_owned() } else { format!("{tick:.digits$e}").replace('-', "−") };
    }
    let digits = digits_from(0.0);
    let said = decimal(tick, digits);
    if digits == 0 { grouped_digits(&said) } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (from, to, expected) in [
            (0.0, 1.0, vec!["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (-0.013, 0.021, vec!["−0.010", "−0.005", "0.000", "0.005", "0.010", "0.015", "0.020"]),
            (0.0, 21_000.0, vec!["0", "5,000", "10,000", "15,000", "20,000"]),
            (0.0, 4e9, vec!["0", "5.0e8", "1.0e9", "1.5e9", "2.0e9", "2.5e9", "3.0e9", "3.5e9", "4.0e9"]),
            (0.0, 2e-6, vec!["0", "5.0e−7", "1.0e−6", "1.5e−6", "2.0e−6"]),
        ] {
            assert_eq!(labels(&Axis::of_numbers(String::new(), from, to)), expected, "{from} {to}");
        }
    }

    #[test]
    fn an_axis_without_extent_gets_one() {
        for number in [0.0, 0.3, -5.0, 1e12] {
            let axis = Axis::of_numbers(String::new(), number, number);
            assert!(axis.to > axis.from && (axis.part(number) - 0.5).abs() < 1e-9 && !axis.ticks.is_empty(), "{number}: {axis:?}");
        }
        assert!(Axis::of_time(String::new(), 5, 5).to > 5.0);
        assert!(Axis::of_time(String::new(), i64::MIN, i64::MAX).ticks.len() < 20, "what is no time is no reason to stop");
    }

    #[test]
    fn times_are_days_or_hours() {
        let (days, hours) = (Axis::of_time(String::new(), 0, 20 * DAY), Axis::of_time(String::new(), 10 * MINUTE, 5 * HOUR));
        assert_eq!(labels(&days), ["1 Jan 1970", "5 Jan 1970", "9 Jan 1970", "13 Jan 1970", "17 Jan 1970", "21 Jan 1970"]);
        assert_eq!(labels(&hours), ["01:00", "02:00", "03:00", "04:00", "05:00"]);
    }
}
