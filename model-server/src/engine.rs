//! The model on its own thread: a bounded queue in front, everything that waits taken as one batch.
//!
//! libtorch keeps state per thread and blocks, so it never runs on the threads that talk to callers. Batching costs nobody
//! time: a batch is what came while the previous one was computed (zero-delay batching).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_artifact::{Digest, ModelDirectory};
use plimsoll_features::{Columns, Encoded, FeatureSpec, prediction_bucket};
use plimsoll_networks::Predictor;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::metrics::Metrics;

/// Requests that may wait.
const QUEUE_REQUESTS: usize = 1024;
/// Rows that may wait; more are refused at once.
const QUEUE_ROWS: usize = 1 << 16;
/// Rows of one forward pass, unless a single request has more.
const BATCH_ROWS: usize = 1024;

/// What a model answers for each row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The probability of the positive class.
    pub probabilities: Vec<f64>,
    /// The label at the threshold.
    pub labels: Vec<String>,
}

struct Work {
    columns: Columns,
    rows: Encoded,
    answer: oneshot::Sender<Result<(Answers, Columns), Error>>,
}

/// A loaded model that can be asked from any thread.
#[derive(Clone)]
pub struct Engine {
    specs: Arc<[FeatureSpec]>,
    pipeline: Arc<plimsoll_features::Pipeline>,
    queue: mpsc::Sender<Work>,
    waiting: Arc<AtomicUsize>,
    digest: Digest,
    threshold: f64,
}

impl Engine {
    /// Verifies and loads the model, warms it up, and starts its thread.
    ///
    /// # Errors
    /// The bytes are not those of the digest, or the weights do not fit.
    pub fn start(directory: &Path, digest: &Digest, metrics: Metrics) -> Result<Self, plimsoll_networks::Error> {
        let model = ModelDirectory::open(directory, Some(digest))?;
        let predictor = Predictor::open(&model, plimsoll_networks::device())?;
        let pipeline = Arc::new(predictor.behaviour().pipeline.clone());
        let threshold = predictor.behaviour().threshold;
        let specs: Arc<[FeatureSpec]> = pipeline.specs().cloned().collect();
        metrics.set_baseline(&model.baseline()?);
        warm_up(&predictor)?;
        let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let worker = Worker { predictor, requests, waiting: Arc::clone(&waiting), metrics };
        std::thread::Builder::new()
            .name("model".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| plimsoll_artifact::Error::Read { path: "thread".into(), source })?;
        Ok(Self { specs, pipeline, queue, waiting, digest: model.digest().clone(), threshold })
    }

    /// The features that a request must have.
    pub fn specs(&self) -> &[FeatureSpec] {
        &self.specs
    }

    /// The digest of what is served, recomputed from its bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The probability from which on the answer is the positive label.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Ends when the model's thread has ended, which it should not.
    pub async fn ended(&self) {
        self.queue.closed().await;
    }

    /// Answers rows, and gives their inputs back.
    ///
    /// # Errors
    /// Too many rows wait, or the model fails.
    pub async fn predict(&self, columns: Columns) -> Result<(Answers, Columns), Error> {
        let rows = self.pipeline.encode(&columns).map_err(|error| Error::Value(error.to_string()))?;
        if rows.rows == 0 {
            return Ok((Answers::default(), columns));
        }
        let count = rows.rows;
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        let refuse = || {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            Error::Overload(before)
        };
        if before > 0 && before + count > QUEUE_ROWS {
            return Err(refuse());
        }
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Work { columns, rows, answer }).map_err(|error| match error {
            TrySendError::Full(_) => refuse(),
            TrySendError::Closed(_) => Error::Internal("the model's thread is gone".to_owned()),
        })?;
        answered.await.map_err(|_| Error::Internal("the model's thread is gone".to_owned()))?
    }
}

/// The first calls are slow: libtorch picks its kernels.
fn warm_up(predictor: &Predictor) -> Result<(), plimsoll_networks::Error> {
    let width = predictor.behaviour().pipeline.layout().width();
    for rows in [1, 8, 64] {
        predictor.probabilities_of(&Encoded { rows, width, values: vec![0.0; rows * width] })?;
    }
    Ok(())
}

struct Worker {
    predictor: Predictor,
    requests: mpsc::Receiver<Work>,
    waiting: Arc<AtomicUsize>,
    metrics: Metrics,
}

impl Worker {
    fn run(mut self) {
        plimsoll_networks::use_one_thread();
        while let Some(first) = self.requests.blocking_recv() {
            let mut rows = first.rows.rows;
            let mut batch = vec![first];
            while rows < BATCH_ROWS
                && let Ok(next) = self.requests.try_recv()
            {
                rows += next.rows.rows;
                batch.push(next);
            }
            self.waiting.fetch_sub(rows, Ordering::Relaxed);
            // Nobody waits for these any more: the caller hung up or its deadline passed.
            batch.retain(|work| !work.answer.is_closed());
            self.answer(batch);
        }
    }

    fn answer(&self, batch: Vec<Work>) {
        let Some(width) = batch.first().map(|work| work.rows.width) else { return };
        let rows = batch.iter().map(|work| work.rows.rows).sum();
        let values: Vec<f32> = batch.iter().flat_map(|work| work.rows.values.iter().copied()).collect();
        self.metrics.batch(rows, self.waiting.load(Ordering::Relaxed));
        match self.predictor.probabilities_of(&Encoded { rows, width, values }) {
            Ok(probabilities) => {
                let mut rest = probabilities.as_slice();
                for work in batch {
                    let (mine, others) = rest.split_at(work.rows.rows.min(rest.len()));
                    rest = others;
                    self.count(&work.columns, mine);
                    let labels = mine.iter().map(|probability| self.predictor.behaviour().label(*probability).to_owned()).collect();
                    drop(work.answer.send(Ok((Answers { probabilities: mine.to_vec(), labels }, work.columns))));
                }
            }
            Err(error) => {
                tracing::error!(%error, "forward pass failed");
                for work in batch {
                    drop(work.answer.send(Err(Error::Internal(error.to_string()))));
                }
            }
        }
    }

    fn count(&self, columns: &Columns, probabilities: &[f64]) {
        self.metrics.features(columns, &self.predictor.behaviour().pipeline);
        for probability in probabilities {
            self.metrics.prediction(prediction_bucket(*probability));
        }
    }
}
