//! What a model answers with: transforms, network, calibration, threshold.

use plimsoll_artifact::{Behaviour, ModelDirectory};
use plimsoll_features::{Columns, Encoded};
use tch::{Device, Kind};

use crate::{Error, Network};

/// A model that can answer. It stays on the thread that uses it.
#[derive(Debug)]
pub struct Predictor {
    behaviour: Behaviour,
    network: Network,
}

impl Predictor {
    /// Puts a model together.
    pub fn new(behaviour: Behaviour, network: Network) -> Self {
        Self { behaviour, network }
    }

    /// Loads a verified artifact.
    ///
    /// # Errors
    /// A file changed, or the weights do not fit.
    pub fn open(model: &ModelDirectory, device: Device) -> Result<Self, Error> {
        let behaviour = model.behaviour()?;
        let mut network = Network::new(&model.manifest().architecture, &behaviour.pipeline.layout(), device, 0)?;
        network.set_weights(&model.weights()?)?;
        Ok(Self { behaviour, network })
    }

    /// Transforms, calibration and threshold.
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// The probability of the positive class for each row.
    ///
    /// # Errors
    /// A column does not fit, or libtorch fails.
    pub fn probabilities(&self, columns: &Columns) -> Result<Vec<f64>, Error> {
        self.probabilities_of(&self.behaviour.pipeline.encode(columns)?)
    }

    /// The same for rows that are encoded already.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn probabilities_of(&self, rows: &Encoded) -> Result<Vec<f64>, Error> {
        let calibration = self.behaviour.calibration;
        Ok(logits(&self.network, rows)?.into_iter().map(|logit| calibration.probability(logit)).collect())
    }
}

/// The logits of rows, without gradients.
///
/// # Errors
/// The rows do not fit, or libtorch fails.
pub(crate) fn logits(network: &Network, rows: &Encoded) -> Result<Vec<f64>, Error> {
    let rows = network.tensor(rows)?;
    let logits = tch::no_grad(|| network.logits(&rows, false)).to_kind(Kind::Double).to_device(Device::Cpu);
    Ok(Vec::<f64>::try_from(logits.contiguous())?)
}

impl Network {
    /// The logit of each row.
    ///
    /// # Errors
    /// The rows do not fit, or libtorch fails.
    pub fn predict(&self, rows: &Encoded) -> Result<Vec<f64>, Error> {
        logits(self, rows)
    }
}
