//! Durations as people write them: `30s`, `5m`, `1h30m`, `14d`.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration in the form `1d`, `2h`, `5m`, `30s`, or parts joined from large to small (`1h30m`).
///
/// The text is kept as the user wrote it, so that reading and writing an object changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(String);

impl DurationText {
    /// The longest duration that is understood: ten years.
    const MAXIMUM_SECONDS: u64 = 10 * 366 * 86_400;

    /// Wraps a text without checking it; `to_std` tells whether it is a duration.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The length of time; `None` when the text is not a duration.
    pub fn to_std(&self) -> Option<Duration> {
        if self.0.is_empty() {
            return None;
        }
        let mut seconds: u64 = 0;
        let mut digits = String::new();
        let mut last_unit = u64::MAX;
        for character in self.0.chars() {
            if character.is_ascii_digit() {
                digits.push(character);
                continue;
            }
            let unit = match character {
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return None,
            };
            if unit >= last_unit {
                return None;
            }
            last_unit = unit;
            seconds = seconds.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
            digits.clear();
        }
        (digits.is_empty() && seconds <= Self::MAXIMUM_SECONDS).then(|| Duration::from_secs(seconds))
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": "^(\\d{1,5}d)?(\\d{1,5}h)?(\\d{1,6}m)?(\\d{1,7}s)?$",
            "minLength": 2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let table = [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h30m", Some(5_400)),
            ("14d", Some(1_209_600)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5m1h", None),
            ("5m5m", None),
            ("1.5h", None),
            ("-1s", None),
            ("99999999999999999999s", None),
        ];
        for (text, seconds) in table {
            assert_eq!(DurationText::new(text).to_std().map(|d| d.as_secs()), seconds, "{text}");
        }
    }
}
