//! The training loop.

use plimsoll_crds::training_job::{EarlyStopping, Metric, Optimizer};
use plimsoll_features::Encoded;
use plimsoll_networks::Network;
use plimsoll_networks::tch::nn::{AdamW, Optimizer as TorchOptimizer, OptimizerConfig};
use plimsoll_networks::tch::{self, Device, Kind, Reduction, Tensor};

use crate::Error;
use crate::job::Job;
use crate::metrics::{Scored, measure};
use crate::progress::{Epoch, Progress};
use crate::rows::Rows;

/// A part with its encoded rows.
pub struct Part<'a> {
    /// The examples.
    pub rows: &'a Rows,
    /// What the network sees of them.
    pub encoded: Encoded,
}

/// The device that a run uses: CUDA where there is one. A run that asks for an accelerator never falls back.
///
/// # Errors
/// The run asks for a device and CUDA finds none.
pub fn device(job: &Job) -> Result<Device, Error> {
    match &job.spec.workers.accelerator {
        Some(accelerator) => {
            let asked = format!("{} x {}", accelerator.count, accelerator.resource);
            plimsoll_networks::cuda().map_err(|why| Error::NoAccelerator { asked, why: why.to_string() })
        }
        None => Ok(plimsoll_networks::device()),
    }
}

/// Fits the network on train rows and keeps the epoch that is best on validation rows.
///
/// # Errors
/// libtorch fails, or the loss is no number.
pub fn fit(job: &Job, mut network: Network, train: &Part<'_>, validation: &Part<'_>, progress: &Progress) -> Result<(Network, Vec<Epoch>), Error> {
    if network.is_dummy() {
        network.set_base_rate(train.rows.base_rate());
        return Ok((network, Vec::new()));
    }
    let optimization = &job.spec.optimization;
    let Optimizer::AdamW(settings) = &optimization.optimizer;
    let configuration = AdamW { wd: settings.weight_decay, ..AdamW::default() };
    let mut optimizer = configuration.build(network.store(), settings.learning_rate).map_err(plimsoll_networks::Error::from)?;
    let inputs = network.tensor(&train.encoded)?;
    let targets: Vec<f32> = train.rows.positives.iter().map(|positive| f32::from(u8::from(*positive))).collect();
    let targets = Tensor::from_slice(&targets).to_device(inputs.device());
    let stopping = optimization.early_stopping.as_ref();
    let (metric, mut best, mut epochs) = (stopping.map_or(Metric::LogLoss, |stopping| stopping.metric), Best::default(), Vec::new());
    for number in 1..=optimization.epochs {
        let train_loss = run_epoch(&network, &mut optimizer, (&inputs, &targets), i64::from(optimization.batch_size))?;
        let score = validate(&network, validation, metric)?;
        let epoch = Epoch { number, of: optimization.epochs, train_loss, validation: score };
        progress.epoch(epoch);
        epochs.push(epoch);
        if stopping.is_none() {
            continue;
        }
        let signed = if metric.larger_is_better() { score } else { -score };
        if best.take(signed, number, || network.weights())? && number - best.epoch >= patience(stopping) {
            break;
        }
    }
    if let Some(weights) = best.weights {
        network.set_weights(&weights)?;
    }
    Ok((network, epochs))
}

fn patience(stopping: Option<&EarlyStopping>) -> i32 {
    stopping.map_or(i32::MAX, |stopping| stopping.patience)
}

#[derive(Default)]
struct Best {
    score: Option<f64>,
    epoch: i32,
    weights: Option<Vec<u8>>,
}

impl Best {
    /// Keeps the weights when they are better; says whether they were not.
    fn take(&mut self, score: f64, epoch: i32, weights: impl Fn() -> Result<Vec<u8>, plimsoll_networks::Error>) -> Result<bool, Error> {
        if self.score.is_some_and(|best| score <= best) {
            return Ok(true);
        }
        *self = Self { score: Some(score), epoch, weights: Some(weights()?) };
        Ok(false)
    }
}

/// One pass in random order; the order follows from the seed.
fn run_epoch(network: &Network, optimizer: &mut TorchOptimizer, data: (&Tensor, &Tensor), batch: i64) -> Result<f64, Error> {
    let (inputs, targets) = data;
    let rows = inputs.size().first().copied().unwrap_or(0);
    let order = Tensor::randperm(rows, (Kind::Int64, Device::Cpu)).to_device(inputs.device());
    let (mut sum, mut start) = (0.0, 0);
    while start < rows {
        let length = batch.min(rows - start);
        let chosen = order.narrow(0, start, length);
        let logits = network.logits(&inputs.index_select(0, &chosen), true);
        let loss = logits.binary_cross_entropy_with_logits::<Tensor>(&targets.index_select(0, &chosen), None, None, Reduction::Mean);
        optimizer.backward_step(&loss);
        #[expect(clippy::as_conversions, reason = "a batch is below 2^53")]
        let weight = length as f64;
        sum += f64::try_from(&loss).map_err(plimsoll_networks::Error::from)? * weight;
        start += length;
    }
    #[expect(clippy::as_conversions, reason = "rows are below 2^53")]
    let mean = sum / rows as f64;
    if mean.is_finite() {
        Ok(mean)
    } else {
        Err(Error::Data("the loss is no number any more: lower optimization.optimizer.adamW.learningRate, or clip features with huge values".to_owned()))
    }
}

fn validate(network: &Network, validation: &Part<'_>, metric: Metric) -> Result<f64, Error> {
    let probabilities: Vec<f64> = tch::no_grad(|| network.predict(&validation.encoded))?.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
    Ok(measure(metric, Scored { probabilities: &probabilities, positives: &validation.rows.positives, threshold: 0.5 }))
}
