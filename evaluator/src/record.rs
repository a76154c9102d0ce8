//! A prediction and what came of it.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use crate::Error;
use crate::pair::id_of;
use crate::settings::Task;

/// The longest id, in bytes.
const ID: usize = 256;
/// The longest revision, variant or unit, in bytes.
const NAME: usize = 128;
/// The most that the log keeps of one prediction's inputs, in bytes.
const FEATURES: usize = 16 << 10;
/// The largest outcome of a regression: its square still has its digits in an exact sum.
const LARGEST: f64 = 1e9;
/// How far a model server's clock may be ahead, in milliseconds.
const AHEAD: i64 = 5 * 60 * 1000;

/// What answered: a revision, and for whom the ABTest chose it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arm {
    /// The revision of the ModelDeployment.
    pub revision: String,
    /// The variant of an ABTest, or empty.
    pub variant: String,
}

/// What a model answered for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What answered.
    pub arm: Arc<Arm>,
    /// Hash of who asked.
    pub unit: Option<u64>,
    /// Probability or estimate.
    pub value: f64,
    /// Whether the answer was the positive label.
    pub positive: bool,
    /// How many predictions it stands for.
    pub weight: f64,
    /// The inputs that are kept, as a JSON object.
    pub features: String,
}

/// What came true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// 0 or 1, or a number.
    pub value: f64,
    /// When it was reported, in milliseconds.
    pub at: i64,
}

/// What is unusual about a record. Queries ask for these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(i16);

impl Flags {
    /// Two predictions or two outcomes contradicted each other while the window was open: it is in no metric.
    pub const CONTRADICTED: Self = Self(1);
    /// The prediction came when its window had closed: it is in no metric.
    pub const PREDICTION_LATE: Self = Self(2);
    /// The outcome came when the window had closed: it is in no metric.
    pub const OUTCOME_LATE: Self = Self(4);
    /// Something else was said when the window had closed; what was said before stays.
    pub const CONTRADICTED_LATE: Self = Self(8);
    /// An outcome without a prediction.
    pub const UNKNOWN: Self = Self(16);

    /// An answer that nobody got. The sign, so that the index of what is unusual, which has what is above 0, does not have it.
    pub const SHADOW: Self = Self(i16::MIN);

    /// Each with the name by which questions ask for it.
    pub const NAMED: [(&str, Self); 5] = [
        ("contradicted", Self::CONTRADICTED),
        ("predictionLate", Self::PREDICTION_LATE),
        ("outcomeLate", Self::OUTCOME_LATE),
        ("contradictedLate", Self::CONTRADICTED_LATE),
        ("unknown", Self::UNKNOWN),
    ];

    /// From the database.
    pub fn of_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// For the database.
    pub fn bits(self) -> i16 {
        self.0
    }

    /// Whether all of `flags` are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// With `flags`.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// Without `flags`.
    #[must_use]
    pub fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// Whether the prediction counts when its window closes.
    pub fn counts(self) -> bool {
        self.0 & (Self::CONTRADICTED.0 | Self::PREDICTION_LATE.0 | Self::UNKNOWN.0) == 0
    }
}

/// Everything that is known about one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When the prediction was made; as long as it is unknown, when its outcome was reported. In milliseconds.
    pub time: i64,
    /// The prediction, once it is known.
    pub prediction: Option<Prediction>,
    /// What came true, once it is known: what was said first.
    pub outcome: Option<Outcome>,
    /// What is unusual.
    pub flags: Flags,
}

/// One thing that somebody says.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The prediction's id.
    pub id: String,
    /// What is said.
    pub said: Said,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A model server: this was predicted, at this time.
    Predicted(i64, Prediction),
    /// A model server: this was predicted, at this time, and nobody got it. The caller got an answer that counts for this variant. The
    /// entry's id is the shadow's key.
    Shadowed(i64, Prediction, Arc<str>),
    /// A caller: this came true.
    CameTrue(f64),
}

impl Entry {
    /// Refuses what cannot be understood. `place` is where it stands in the call, as `outcomes[3]`.
    ///
    /// # Errors
    /// Names the field, and says what would be right.
    pub fn check(&self, place: &dyn std::fmt::Display, task: Task, now: i64) -> Result<(), Error> {
        let refuse = |field: &str, problem: String| Err(Error::invalid(format!("{place}.{field}"), problem));
        let id = if let Said::Shadowed(..) = self.said { id_of(&self.id).unwrap_or_default() } else { &self.id };
        if let Some(problem) = check_id(id) {
            return refuse("id", problem);
        }
        if let Said::Shadowed(_, prediction, control) = &self.said {
            if !is_name(control) {
                return refuse("pairedWith", format!("must have at most {NAME} bytes and no control characters"));
            }
            if prediction.arm.variant.is_empty() || *prediction.arm.variant == **control {
                return refuse("variant", "must say which variant answered, another one than pairedWith".to_owned());
            }
        }
        match &self.said {
            Said::CameTrue(value) => match check_value(*value, task, "an outcome", &[0.0, 1.0]) {
                Some(problem) => refuse("value", problem),
                None => Ok(()),
            },
            Said::Predicted(time, prediction) | Said::Shadowed(time, prediction, _) => {
                let names = [("revision", &prediction.arm.revision), ("variant", &prediction.arm.variant)];
                if let Some((field, _)) = names.iter().find(|(_, name)| !is_name(name)) {
                    return refuse(field, format!("must have at most {NAME} bytes and no control characters"));
                }
                if prediction.arm.revision.is_empty() {
                    return refuse("revision", "must say which revision of the ModelDeployment answered".to_owned());
                }
                if *time <= 0 || *time > now.saturating_add(AHEAD) {
                    return refuse(
                        "timeUnixMs",
                        format!("{time} is no time up to now ({now}); it is in milliseconds since 1970, and clocks may differ by 5 minutes"),
                    );
                }
                if let Some(problem) = check_value(prediction.value, task, "a probability", &[]) {
                    return refuse("value", problem);
                }
                if !(prediction.weight >= 1.0 && prediction.weight.is_finite()) {
                    return refuse("weight", format!("{} is no number of predictions: 1 or more", prediction.weight));
                }
                check_features(&prediction.features).map_or(Ok(()), |problem| refuse("features", problem))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME && !name.chars().any(char::is_control)
}

/// Says what is wrong with an id.
pub fn check_id(id: &str) -> Option<String> {
    let bad = id.is_empty() || id.len() > ID || id.chars().any(char::is_control);
    bad.then(|| format!("must have 1 to {ID} bytes and no control characters; it has {} bytes", id.len()))
}

/// Says what is wrong with a value: finite, and for a classification within [0, 1], or one of `allowed`.
fn check_value(value: f64, task: Task, what: &str, allowed: &[f64]) -> Option<String> {
    match task {
        Task::Regression => (value.abs() > LARGEST || value.is_nan()).then(|| format!("{value} is no number up to {LARGEST:e}: give it in a larger unit")),
        Task::BinaryClassification if allowed.is_empty() => (!(0.0..=1.0).contains(&value)).then(|| format!("{value} is not {what}: 0 to 1")),
        Task::BinaryClassification => {
            (!allowed.contains(&value)).then(|| format!("{value} is not {what} of a classification: 1 for the positive label, 0 for the negative"))
        }
    }
}

fn check_features(features: &str) -> Option<String> {
    if features.is_empty() {
        return None;
    }
    if features.len() > FEATURES {
        return Some(format!("has {} bytes; the log keeps at most {FEATURES}: keep fewer columns", features.len()));
    }
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(features).map_err(|error| format!("must be a JSON object: {error}")).err()
}

/// The hash by which a unit is known: its value is not kept. `None` for nobody.
pub fn unit(value: &str) -> Option<u64> {
    (!value.is_empty()).then(|| hash(value.as_bytes()))
}

/// A number that is the same for the same bytes everywhere.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytes);
    hasher.finish()
}
