//! `pipeline.json`: everything but the weights that decides what a model answers.

use plimsoll_features::Pipeline;
use serde::{Deserialize, Serialize};

/// Transforms, calibration and threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Behaviour {
    /// The fitted transforms.
    pub pipeline: Pipeline,
    /// What is done to the network's output.
    pub calibration: Calibration,
    /// The probability from which on the answer is the positive label.
    pub threshold: f64,
    /// The negative and the positive label.
    pub labels: [String; 2],
}

/// What is done to the network's output before it is a probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Calibration {
    /// Nothing.
    None,
    /// Logits are divided by this number.
    Temperature {
        /// Above 0.
        temperature: f64,
    },
}

impl Calibration {
    /// The probability of a logit.
    pub fn probability(self, logit: f64) -> f64 {
        let scaled = match self {
            Self::None => logit,
            Self::Temperature { temperature } => logit / temperature,
        };
        1.0 / (1.0 + (-scaled).exp())
    }
}

impl Behaviour {
    /// The answer for a probability.
    pub fn label(&self, probability: f64) -> &str {
        let [negative, positive] = &self.labels;
        if probability >= self.threshold { positive } else { negative }
    }
}
