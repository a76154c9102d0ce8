//! Numbers, times and names as text. Whatever somebody else wrote goes through [`escape`] on its way into a page.

use super::input::{Direction, Method, Metric};

/// Digits after the point, at most.
const MOST_DIGITS: usize = 12;

/// Text that is text in HTML, inside and outside of attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// 21040 as 21,040.
pub fn grouped(count: u64) -> String {
    grouped_digits(&count.to_string())
}

/// The same of a whole number that is text already, with its sign.
pub fn grouped_digits(number: &str) -> String {
    let digits = number.trim_start_matches('−');
    let comma = |place: usize| if place > 0 && (digits.len() - place).is_multiple_of(3) { "," } else { "" };
    let grouped: String = digits.chars().enumerate().map(|(place, digit)| format!("{}{digit}", comma(place))).collect();
    if digits.len() == number.len() { grouped } else { format!("−{grouped}") }
}

/// Digits after the point with which two digits of `size` are seen.
pub fn digits(size: f64) -> usize {
    let steps = std::iter::successors(Some(size.abs()), |size| Some(10.0 * size));
    if size == 0.0 || !size.is_finite() { 4 } else { steps.take(MOST_DIGITS).take_while(|size| *size < 10.0).count() }
}

/// A number, with so many digits after the point and a sign that can be read.
pub fn decimal(number: f64, digits: usize) -> String {
    let said = format!("{number:.digits$}");
    let zero = !said.contains(|digit: char| digit.is_ascii_digit() && digit != '0');
    if zero { said.trim_start_matches('-').to_owned() } else { said.replace('-', "−") }
}

/// A share as percent: 0.0512 as "5.12 %", 0.05 as "5 %".
pub fn percent(share: f64) -> String {
    let said = decimal(100.0 * share, 2);
    format!("{} %", said.trim_end_matches('0').trim_end_matches('.'))
}

/// A part of a plan as percent, to one digit.
pub fn part(share: f64) -> String {
    percent((1_000.0 * share).round() / 1_000.0)
}

/// Milliseconds as "2026-11-26 14:05 UTC".
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| "at no time".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A time of Kubernetes in the same form; as it was written where it is none.
pub fn written(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(|_| text.to_owned(), |at| time(at.as_millisecond()))
}

/// A time of Kubernetes in milliseconds.
pub fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// "6 h", "2 d 4 h", "90 s".
pub fn duration(seconds: i64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let said: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).take(2).map(|(count, unit)| format!("{count} {unit}")).collect();
    if said.is_empty() { format!("{seconds} s") } else { said.join(" ") }
}

impl Metric {
    /// As in "the mean log loss".
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "log loss",
            Self::Brier => "Brier score",
            Self::Accuracy => "accuracy",
            Self::MeanAbsoluteError => "mean absolute error",
            Self::MeanSquaredError => "mean squared error",
        }
    }

    /// As in "mean log loss", without saying it twice.
    pub fn mean(self) -> String {
        if self.name().starts_with("mean") { self.name().to_owned() } else { format!("mean {}", self.name()) }
    }

    /// What it is measured in.
    pub fn unit(self) -> &'static str {
        match self {
            Self::LogLoss => "nats per prediction",
            Self::Brier => "squared probability",
            Self::Accuracy => "share of right answers",
            Self::MeanAbsoluteError => "outcome's unit",
            Self::MeanSquaredError => "outcome's unit²",
        }
    }
}

impl Direction {
    /// As in "lower is better".
    pub fn better(self) -> &'static str {
        match self {
            Self::Decrease => "lower",
            Self::Increase => "higher",
        }
    }
}

impl Method {
    /// For readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupSequential => "group sequential (each look spends a part of the chance of error of its own)",
            Self::AlwaysValid => "always valid (a confidence sequence)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_like_numbers() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.05, 0.999, 0.0001, 1.0].map(percent), ["5 %", "99.9 %", "0.01 %", "100 %"]);
        assert_eq!([0.0123, 1.5, 44.0].map(digits), [3, 1, 0]);
        assert_eq!((decimal(-0.0123, 3), decimal(-0.0001, 3)), ("−0.012".to_owned(), "0.000".to_owned()));
        assert_eq!([0, 90, 21_600, 187_200].map(duration), ["0 s", "1 min 30 s", "6 h", "2 d 4 h"]);
        assert_eq!((written("2026-11-26T14:05:09Z"), written("soon")), ("2026-11-26 14:05 UTC".to_owned(), "soon".to_owned()));
        assert_eq!((time(i64::MAX), time(0)), ("at no time".to_owned(), "1970-01-01 00:00 UTC".to_owned()));
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escape(r#"<a href="x" id='y'>&"#), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
    }
}
