//! An ABTest as it is handed over. Only what the report needs: fields that it does not know are left out, so that the test's definition may grow.

use serde::Deserialize;

use super::found::Status;
use crate::Error;

/// Variants of a test, at most: each has a colour and a mark of its own.
pub const MOST_VARIANTS: usize = 5;
/// The end of the year 9999, in milliseconds.
const LATEST: i64 = 253_402_300_799_999;

/// A test: what was asked, and what was found so far.
#[derive(Clone, Debug, Deserialize)]
pub struct Test {
    /// Who it is.
    pub metadata: Metadata,
    /// What was asked.
    pub spec: Spec,
    /// What was found so far.
    #[serde(default)]
    pub status: Option<Status>,
}

/// Who it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(default)]
    pub namespace: String,
    /// Its begin is in the names of its arms.
    pub uid: String,
    /// When it was made.
    #[serde(default)]
    pub creation_timestamp: Option<String>,
}

/// What was asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Whose traffic is split.
    #[serde(default)]
    pub deployment: String,
    /// The control first.
    pub variants: Vec<Variant>,
    /// Whether users are split.
    #[serde(default)]
    pub mode: Mode,
    /// Whom a variant is drawn for.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// What decides.
    pub primary: Primary,
    /// What must not get worse.
    #[serde(default)]
    pub guardrails: Option<Vec<Guardrail>>,
    /// How it is judged.
    pub design: Design,
    /// Whether it is held.
    #[serde(default)]
    pub paused: bool,
}

/// Who answers whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub enum Mode {
    /// Each user meets one variant.
    #[default]
    Split,
    /// Everybody meets the control, and the treatment answers the same calls for nobody.
    Paired,
}

/// What users meet.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What answers.
    #[serde(default)]
    pub model_version: String,
    /// Its share of the users, in percent.
    pub weight: f64,
}

/// Whom a variant is drawn for.
#[derive(Clone, Debug, Deserialize)]
pub struct Unit {
    /// The header that names the user.
    pub header: String,
}

/// What decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Primary {
    /// The mean of what.
    pub metric: Outcome,
    /// Where better is.
    pub direction: Direction,
    /// The smallest difference that matters.
    pub minimum_detectable_effect: f64,
}

/// A metric of predictions whose outcome came in time.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Outcome {
    /// Which.
    pub outcome: Metric,
}

/// Means over predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// −ln of the probability that was given to what came true.
    LogLoss,
    /// The squared error of the probability.
    Brier,
    /// The share of right answers.
    Accuracy,
    /// The absolute error.
    MeanAbsoluteError,
    /// The squared error.
    MeanSquaredError,
}

/// Where better is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub enum Direction {
    /// Smaller is better.
    Decrease,
    /// Larger is better.
    Increase,
}

/// What must not get worse.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    /// Which.
    pub metric: String,
    /// How much worse than the control a variant may be.
    pub margin: f64,
    /// The chance that a variant within the margin is switched off.
    #[serde(default)]
    pub alpha: Option<f64>,
}

/// How it is judged.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Design {
    /// How the chance of error is kept over many looks.
    pub method: Method,
    /// The chance of finding a difference where there is none.
    pub alpha: f64,
    /// The chance of finding the minimum effect.
    pub power: f64,
    /// Users with an outcome at which it ends, for each variant were the weights even.
    pub maximum_units_per_variant: u64,
    /// Looks that are planned.
    pub looks: u32,
    /// The longest time that users are assigned.
    #[serde(default)]
    pub maximum_duration: Option<String>,
}

/// How the chance of error is kept over many looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub enum Method {
    /// Boundaries for planned looks.
    GroupSequential,
    /// A confidence sequence, valid whenever one looks.
    AlwaysValid,
}

impl Test {
    /// Reads what was handed over under this name.
    ///
    /// # Errors
    /// Names the field that is not understood, and says what would be right.
    pub fn parse(name: &str, body: &[u8]) -> Result<Self, Error> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let test: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| Error::invalid(error.path().to_string(), error.inner().to_string()))?;
        json.end().map_err(|error| Error::invalid("the body", error.to_string()))?;
        if test.metadata.name != name {
            return Err(Error::invalid("metadata.name", format!("{:?} is not the name in the path, {name:?}", test.metadata.name)));
        }
        let variants = test.spec.variants.len();
        if !(2..=MOST_VARIANTS).contains(&variants) {
            return Err(Error::invalid("spec.variants", format!("has {variants}; a test has 2 to {MOST_VARIANTS}, the control first")));
        }
        if let Some((place, variant)) = test.spec.variants.iter().enumerate().find(|(_, variant)| variant.weight <= 0.0) {
            return Err(Error::invalid(format!("spec.variants[{place}].weight"), format!("{} is no share of the users: above 0", variant.weight)));
        }
        let looks = test.status.iter().flat_map(|status| &status.looks).enumerate();
        if let Some((place, look)) = looks.into_iter().find(|(_, look)| !(0..=LATEST).contains(&look.counted_until)) {
            return Err(Error::invalid(format!("status.looks[{place}].countedUntil"), format!("{} is no time in milliseconds since 1970", look.counted_until)));
        }
        Ok(test)
    }
}
