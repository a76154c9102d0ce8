//! Hands predictions to the evaluator, from a bounded buffer. A call never waits for it: what does not fit is dropped, and counted.

use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plimsoll_evaluator_api::v1::evaluator_client::EvaluatorClient;
use plimsoll_evaluator_api::v1::{Prediction, RecordPredictionsRequest};
use plimsoll_features::{Column, Columns};
use serde_json::Value;
use siphasher::sip::SipHasher24;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::engine::Answers;
use crate::metrics::Metrics;
use crate::token::Token;

/// Bytes that may wait for the evaluator.
const WAITING: usize = 64 << 20;
/// What a row needs besides its inputs, about.
const ROW: usize = 200;
/// Calls that may wait.
const CALLS: usize = 1 << 16;
/// Rows that are gathered, unless a single call has more.
const BATCH: usize = 1000;
/// Rows, and bytes in memory, of one hand-over: the evaluator takes 10,000, and 32 MiB on the wire, where JSON may need six bytes for one.
const MOST: (usize, usize) = (10_000, 4 << 20);
/// The most that is kept of one row's inputs, in bytes: the evaluator refuses more.
const INPUTS: usize = 16 << 10;
/// How long rows gather before they are handed over.
const GATHER: Duration = Duration::from_millis(100);
/// How long the evaluator may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The first and the longest pause before the same rows are handed over again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The longest id of a call that is logged, in bytes.
const ID: usize = 240;
/// The longest unit or variant, in bytes.
const NAME: usize = 128;
/// How long the evaluator may take to accept a connection, and how often one is tried that is used.
const ALIVE: Duration = Duration::from_secs(5);

/// What is kept of each prediction.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the evaluator is, as `http://host:port`.
    pub evaluator: String,
    /// The file with the token that it asks for.
    pub token: Option<PathBuf>,
    /// Inputs that are kept.
    pub columns: Vec<String>,
    /// The share of predictions that is kept, above 0 and at most 1; all of a unit's or none.
    pub sample: f64,
    /// The revision that answers.
    pub revision: String,
    /// The probability from which on the answer is the positive label.
    pub threshold: f64,
}

/// Who asked, and under which id the answer goes.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The call's id: the caller's, or one that was made for it.
    pub id: String,
    /// The unit that the router assigned; empty for nobody's call.
    pub unit: String,
    /// The variant that it was assigned to; empty without an ABTest.
    pub variant: String,
    /// The variant of the answer that the caller gets instead of this one; empty where the caller gets this one.
    pub paired_with: String,
}

/// The rows of a call that are kept.
struct Answered {
    asked: Asked,
    time: i64,
    /// Row, and the probability that it got.
    rows: Vec<(usize, f64)>,
    /// The inputs that are kept, of these rows.
    inputs: Vec<(String, Column)>,
    bytes: usize,
}

/// The buffer before the evaluator.
#[derive(Clone)]
pub struct PredictionLog {
    queue: Sender<Answered>,
    waiting: Arc<AtomicUsize>,
    settings: Arc<Settings>,
    metrics: Metrics,
}

impl PredictionLog {
    /// Starts to hand over. The task ends when the last handle is dropped and everything was handed over.
    ///
    /// # Errors
    /// The evaluator's address is none.
    pub fn start(settings: Settings, metrics: Metrics) -> Result<(Self, tokio::task::JoinHandle<()>), tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(settings.evaluator.clone())?.timeout(DEADLINE).connect_timeout(ALIVE);
        let endpoint = endpoint.http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE).keep_alive_while_idle(true);
        let (queue, answered) = channel(CALLS);
        let (waiting, settings) = (Arc::new(AtomicUsize::new(0)), Arc::new(settings));
        let courier = Courier {
            client: EvaluatorClient::new(endpoint.connect_lazy()),
            token: settings.token.clone().map(Token::new),
            settings: Arc::clone(&settings),
            waiting: Arc::clone(&waiting),
            metrics: metrics.clone(),
        };
        Ok((Self { queue, waiting, settings, metrics }, tokio::spawn(courier.run(answered))))
    }

    /// Takes an answered call, or drops it.
    pub fn offer(&self, asked: Asked, columns: &Columns, answers: &Answers) {
        let time = now();
        // A copy always has both. Behind a router of a release without copies, a caller could say that it is one.
        let is_copy = !asked.unit.is_empty() && !asked.variant.is_empty();
        let asked = if is_copy { asked } else { Asked { paired_with: String::new(), ..asked } };
        // What nobody got must not be taken for what the caller got: without its mark it is not kept.
        if asked.id.len() > ID || asked.id.chars().any(char::is_control) || (!asked.paired_with.is_empty() && name(&asked.paired_with).is_empty()) {
            return self.metrics.log_dropped("bad_id", answers.probabilities.len());
        }
        let kept = |row: &(usize, f64)| {
            if self.settings.sample >= 1.0 {
                return true;
            }
            let unit = if asked.unit.is_empty() { &row_id(&asked.id, row.0) } else { &asked.unit };
            share_of(unit) < self.settings.sample
        };
        let rows: Vec<(usize, f64)> = answers.probabilities.iter().copied().enumerate().filter(kept).collect();
        if rows.is_empty() {
            return;
        }
        let places: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
        let column = |name: &String| Some((name.clone(), columns.get(name).ok()?.select(&places)));
        let inputs: Vec<(String, Column)> = self.settings.columns.iter().filter_map(column).collect();
        let count = rows.len();
        let bytes = count * ROW + inputs.iter().map(|(_, column)| size(column)).sum::<usize>();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > WAITING || self.queue.try_send(Answered { asked, time, rows, inputs, bytes }).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.metrics.log_dropped("full", count);
        }
    }
}

fn row_id(call: &str, row: usize) -> String {
    format!("{call}/{row}")
}

/// The memory of a column, about.
fn size(column: &Column) -> usize {
    match column {
        Column::Numeric(values) => values.len() * size_of::<f64>(),
        Column::Text(values) => values.iter().map(|value| size_of::<Option<String>>() + value.as_ref().map_or(0, String::len)).sum(),
    }
}

/// Takes from the buffer to the evaluator.
struct Courier {
    client: EvaluatorClient<Channel>,
    token: Option<Token>,
    settings: Arc<Settings>,
    waiting: Arc<AtomicUsize>,
    metrics: Metrics,
}

impl Courier {
    async fn run(mut self, mut answered: Receiver<Answered>) {
        while let Some(first) = answered.recv().await {
            if answered.len() < BATCH {
                tokio::time::sleep(GATHER).await;
            }
            let (mut rows, mut bytes) = (first.rows.len(), first.bytes);
            let mut calls = vec![first];
            while rows < BATCH
                && let Ok(next) = answered.try_recv()
            {
                rows += next.rows.len();
                bytes += next.bytes;
                calls.push(next);
            }
            for part in parts(&calls) {
                self.hand_over(part).await;
            }
            // What is on its way counts as waiting: memory is bounded by all of it.
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Hands over until the evaluator has stored it, or says that it never will: then halves, so that one bad row costs no other.
    async fn hand_over(&mut self, part: Vec<Row<'_>>) {
        let (mut pending, mut pause) = (vec![part], PAUSES.0);
        while let Some(mut part) = pending.pop() {
            match self.say(&part).await {
                Ok(()) => self.metrics.log_sent(part.len()),
                Err(status) if is_final(status.code()) && part.len() > 1 => {
                    let half = part.split_off(part.len() / 2);
                    pending.extend([half, part]);
                }
                Err(status) if is_final(status.code()) => {
                    tracing::error!(%status, call = part.first().map(|(call, _)| call.asked.id.as_str()), "the evaluator refused a prediction");
                    self.metrics.log_dropped("refused", part.len());
                }
                Err(status) => {
                    tracing::warn!(%status, rows = part.len(), "the evaluator does not take predictions now; trying again");
                    self.metrics.log_retried(status.code());
                    self.token.iter_mut().filter(|_| status.code() == Code::Unauthenticated).for_each(Token::forget);
                    pending.push(part);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// One call.
    async fn say(&mut self, part: &[Row<'_>]) -> Result<(), Status> {
        let predictions = part.iter().map(|row| self.prediction(*row)).collect();
        let mut request = Request::new(RecordPredictionsRequest { predictions });
        if let Some(token) = self.token.as_mut().and_then(Token::header) {
            request.metadata_mut().insert("authorization", token);
        }
        self.client.record_predictions(request).await.map(drop)
    }

    /// A row as the evaluator takes it.
    fn prediction(&self, (call, place): Row<'_>) -> Prediction {
        let (row, probability) = call.rows.get(place).copied().unwrap_or_default();
        let mut features = features(&call.inputs, place);
        if features.len() > INPUTS {
            self.metrics.log_dropped("large_inputs", 1);
            features.clear();
        }
        Prediction {
            id: row_id(&call.asked.id, row),
            time_unix_ms: call.time,
            revision: self.settings.revision.clone(),
            variant: name(&call.asked.variant),
            unit: name(&call.asked.unit),
            value: probability,
            positive: probability >= self.settings.threshold,
            weight: 1.0 / self.settings.sample,
            features,
            paired_with: name(&call.asked.paired_with),
        }
    }
}

/// A name that the evaluator takes; another one is nobody's.
fn name(text: &str) -> String {
    if text.len() > NAME || text.chars().any(char::is_control) { String::new() } else { text.to_owned() }
}

impl Drop for Courier {
    fn drop(&mut self) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 {
            tracing::warn!(bytes = waiting, "the server ends with predictions that the evaluator did not take");
        }
    }
}

/// Whether trying again is of no use. Who is not believed tries again: the kubelet brings another token, or the evaluator gets other keys.
fn is_final(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented)
}

/// A row of a call, by its place among those that are kept.
type Row<'a> = (&'a Answered, usize);

/// Hand-overs that the evaluator takes.
fn parts(calls: &[Answered]) -> Vec<Vec<Row<'_>>> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0);
    for call in calls {
        let each = call.bytes / call.rows.len().max(1);
        for place in 0..call.rows.len() {
            bytes += each;
            match parts.last_mut() {
                Some(part) if part.len() < MOST.0 && bytes <= MOST.1 => part.push((call, place)),
                _ => {
                    bytes = each;
                    parts.push(vec![(call, place)]);
                }
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// A number in [0, 1) that is the same for one text everywhere.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the nearest number")]
fn share_of(text: &str) -> f64 {
    let mut hasher = SipHasher24::new();
    hasher.write(text.as_bytes());
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// One row of the inputs that are kept, as a JSON object; what is missing is null.
fn features(inputs: &[(String, Column)], row: usize) -> String {
    let mut text = String::new();
    for (name, column) in inputs {
        let value = match column {
            Column::Numeric(values) => values.get(row).map(|value| serde_json::Number::from_f64(*value).map_or(Value::Null, Value::Number).to_string()),
            Column::Text(values) => values.get(row).map(|value| value.as_deref().map_or_else(|| "null".to_owned(), quoted)),
        };
        if let Some(value) = value {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(&value);
        }
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An id for a call that has none: ids that are made one after another lie side by side in the evaluator's index.
pub fn make_id() -> String {
    format!("{:012x}{:016x}", now(), rand::random::<u64>())
}

#[cfg(test)]
mod tests;
