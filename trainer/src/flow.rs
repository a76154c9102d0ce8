//! One run, from spec to result.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use plimsoll_artifact::store::Store;
use plimsoll_artifact::{
    BASELINE, Behaviour, DataWindow, Digest, FileEntry, MANIFEST, Manifest, ModelDirectory, PIPELINE, Provenance, WEIGHTS, store, upload, write_directory,
};
use plimsoll_crds::names;
use plimsoll_crds::training_job::result::{GateResult, ReportReference, RowCounts, TrainingResult};
use plimsoll_crds::training_job::{self as spec, Gate, Metric};
use plimsoll_features::{Baseline, PREDICTION_BUCKETS, Pipeline, prediction_bucket};
use plimsoll_networks::tch::Device;
use plimsoll_networks::{Network, Predictor};

use crate::fit::{Part, device, fit};
use crate::job::{Job, Places, with_secret};
use crate::metrics::{Scored, calibration_bins, measure, measure_all};
use crate::progress::{Epoch, Progress};
use crate::report::{Report, Slice};
use crate::rows::Rows;
use crate::split::{Parts, split};
use crate::sql::Database;
use crate::stage::{Staged, digests, stage};
use crate::{Error, choose};

/// The version in artifacts and reports.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Slices with fewer test rows are left out of the report.
const SLICE_ROWS: usize = 100;
/// The values of a slice column that are shown, by rows.
const SLICE_VALUES: usize = 20;

/// A model in memory, with what it was made of.
struct Trained {
    predictor: Predictor,
    weights: Vec<u8>,
    baseline: Baseline,
    epochs: Vec<Epoch>,
}

/// Runs a job, or returns the result that it already has.
///
/// # Errors
/// Says what ended the run, and whether trying again would help.
pub async fn run(job: &Job, places: &Places, progress: &Progress) -> Result<TrainingResult, Error> {
    attempt(job, places, progress).await.map_err(|error| error.of_scratch(&job.spec.workers.scratch.size))
}

async fn attempt(job: &Job, places: &Places, progress: &Progress) -> Result<TrainingResult, Error> {
    let started = Instant::now();
    let device = device(job)?;
    let failed = |source| Error::Place { what: with_secret("output.uri", job.spec.output.credentials_secret.as_deref()), source: Box::new(source) };
    let output = store::open(&job.spec.output.uri, places.output_credentials.as_deref()).map_err(failed)?;
    let result_name = format!("results/{}.json", job.uid);
    if let Some(result) = earlier_result(&output, &result_name).await.map_err(failed)? {
        return Ok(result);
    }
    let data = places.scratch.join("data");
    let staged = stage(&job.spec.data, places, &data).await?;
    let rows = Database::open(&staged, &data, &places.scratch.join("spill"))?.examples(job)?;
    let parts = divide(job, &rows, progress)?;
    let trained = train(job, &parts, device, progress)?;
    let directory = places.scratch.join("model");
    let manifest = save(job, &trained, &staged, &directory)?;
    let digest = upload(&directory, &output).await.map_err(failed)?;
    let result = evaluate(job, &parts, &trained, (&manifest, &digest), device)?;
    let (mut result, report) = result;
    let report_json = serde_json::to_vec(&report)?;
    let report_digest = Digest::of(&report_json);
    output.put(&format!("reports/{}/report.json", report_digest.hex()), report_json).await.map_err(failed)?;
    output.put(&format!("reports/{}/report.html", report_digest.hex()), report.html().into_bytes()).await.map_err(failed)?;
    result.report = ReportReference { uri: output.address(&format!("reports/{}", report_digest.hex())), digest: report_digest.to_string() };
    result.uri = output.address(digest.hex());
    result.seconds = started.elapsed().as_secs_f64();
    output.put(&result_name, serde_json::to_vec(&result)?).await.map_err(failed)?;
    Ok(result)
}

/// The result of an attempt that ended after writing it. The artifact must be there: results are written last.
async fn earlier_result(output: &Store, name: &str) -> Result<Option<TrainingResult>, plimsoll_artifact::Error> {
    let Some(bytes) = output.get(name).await? else { return Ok(None) };
    let result: TrainingResult = serde_json::from_slice(&bytes).map_err(|source| plimsoll_artifact::Error::Parse { file: output.address(name), source })?;
    let digest: Digest = result.digest.parse()?;
    match output.get(&format!("{}/{MANIFEST}", digest.hex())).await? {
        Some(manifest) if Digest::of(&manifest) == digest => {
            tracing::info!(%digest, "this run has a result already");
            Ok(Some(result))
        }
        _ => Err(plimsoll_artifact::Error::Conflict { uri: output.address(name) }),
    }
}

fn divide(job: &Job, rows: &Rows, progress: &Progress) -> Result<Parts, Error> {
    let parts = split(&job.spec.data, job.label().0, rows)?;
    for (name, part) in [("train", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
        tracing::info!(part = name, rows = part.len(), base_rate = part.base_rate(), "rows");
        progress.rows(name, part.len());
    }
    Ok(parts)
}

fn train(job: &Job, parts: &Parts, device: Device, progress: &Progress) -> Result<Trained, Error> {
    let pipeline = Pipeline::fit(&job.features(), &parts.train.features)?;
    let part = |rows| -> Result<Part<'_>, Error> {
        let rows: &Rows = rows;
        Ok(Part { rows, encoded: pipeline.encode(&rows.features)? })
    };
    let (train, validation) = (part(&parts.train)?, part(&parts.validation)?);
    let network = Network::new(&job.architecture(), &pipeline.layout(), device, job.spec.optimization.seed)?;
    let (network, epochs) = fit(job, network, &train, &validation, progress)?;
    progress.finish();
    let logits = network.predict(&validation.encoded)?;
    let calibration = choose::calibration(job.spec.calibration, &logits, &validation.rows.positives);
    let probabilities: Vec<f64> = logits.iter().map(|logit| calibration.probability(*logit)).collect();
    let spec::Task::BinaryClassification(task) = &job.spec.task;
    let threshold = choose::threshold(task.threshold.as_ref(), &probabilities, &validation.rows.positives);
    let features = Baseline::of_features(&pipeline, &parts.train.features)?;
    let mut predictions = vec![0; PREDICTION_BUCKETS];
    for place in probabilities.iter().map(|probability| prediction_bucket(*probability)) {
        if let Some(count) = predictions.get_mut(place) {
            *count += 1;
        }
    }
    let behaviour = Behaviour { pipeline, calibration, threshold, labels: labels(&parts.train, &task.positive) };
    let weights = network.weights()?;
    Ok(Trained { predictor: Predictor::new(behaviour, network), weights, baseline: Baseline { features, predictions }, epochs })
}

fn labels(train: &Rows, positive: &str) -> [String; 2] {
    let negative = train.labels.iter().find(|label| *label != positive).cloned().unwrap_or_default();
    [negative, positive.to_owned()]
}

fn save(job: &Job, trained: &Trained, staged: &[Staged], directory: &Path) -> Result<Manifest, Error> {
    let files = [
        (WEIGHTS, trained.weights.clone()),
        (PIPELINE, serde_json::to_vec(trained.predictor.behaviour())?),
        (BASELINE, serde_json::to_vec(&trained.baseline)?),
    ];
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|(path, bytes)| FileEntry { path: (*path).to_owned(), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX), sha256: Digest::of(bytes) })
        .collect();
    let [(_, weights), (_, pipeline), _] = &files;
    let manifest = Manifest {
        format_version: 1,
        model: job.spec.model.clone(),
        task: job.task(),
        architecture: job.architecture(),
        content_digest: Manifest::content_digest_of(&Digest::of(weights), &Digest::of(pipeline)),
        files: entries,
        provenance: Provenance {
            training_job: job.name.clone(),
            training_job_uid: job.uid.clone(),
            data_digests: digests(staged),
            window: DataWindow { from: job.spec.data.window.from.clone(), to: job.spec.data.window.to.clone() },
            software_version: VERSION.to_owned(),
        },
    };
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(|source| plimsoll_artifact::Error::write(directory, source))?;
    }
    write_directory(directory, &manifest, &files.each_ref().map(|(path, bytes)| (*path, bytes.as_slice())))?;
    ModelDirectory::open(directory, None)?;
    Ok(manifest)
}

/// Measures the model on test rows. This is the only place that reads them.
fn evaluate(job: &Job, parts: &Parts, trained: &Trained, artifact: (&Manifest, &Digest), device: Device) -> Result<(TrainingResult, Report), Error> {
    let (manifest, digest) = artifact;
    let test = &parts.test;
    let probabilities = trained.predictor.probabilities(&test.features)?;
    let scored = Scored { probabilities: &probabilities, positives: &test.positives, threshold: trained.predictor.behaviour().threshold };
    let base = vec![parts.train.base_rate(); test.len()];
    let opponent = Scored { probabilities: &base, positives: &test.positives, threshold: 0.5 };
    let metrics = measure_all(&job.spec.evaluation.metrics, scored);
    let gates: Vec<GateResult> = job.spec.evaluation.gates.iter().map(|gate| judge(gate, scored, opponent)).collect();
    let count = |rows: &Rows| i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let rows = RowCounts { train: count(&parts.train), validation: count(&parts.validation), test: count(test) };
    let device = match device {
        Device::Cpu => "Cpu".to_owned(),
        other => format!("{other:?}"),
    };
    let data_digests: BTreeMap<String, String> = manifest.provenance.data_digests.iter().map(|(name, digest)| (name.clone(), digest.to_string())).collect();
    let report = Report {
        model: job.spec.model.clone(),
        training_job: job.name.clone(),
        digest: digest.to_string(),
        rows,
        base_rate: test.base_rate(),
        metrics: metrics.clone(),
        dummy: measure_all(&job.spec.evaluation.metrics, opponent),
        gates: gates.clone(),
        slices: slices(job, test, scored),
        calibration: calibration_bins(scored).into_iter().filter(|bin| bin.0 > 0.0).map(|bin| (bin.1 / bin.0, bin.2 / bin.0, bin.0)).collect(),
        epochs: trained.epochs.iter().map(Into::into).collect(),
        data_digests: data_digests.clone(),
        device: device.clone(),
        software_version: VERSION.to_owned(),
    };
    let result = TrainingResult {
        model_version: names::model_version(&job.spec.model, digest.as_str()),
        digest: digest.to_string(),
        content_digest: manifest.content_digest.to_string(),
        uri: String::new(),
        report: ReportReference { uri: String::new(), digest: String::new() },
        metrics,
        gates_passed: gates.iter().all(|gate| gate.passed),
        gates,
        data_digests,
        window: job.spec.data.window.clone(),
        rows,
        device,
        software_version: VERSION.to_owned(),
        seconds: 0.0,
    };
    Ok((result, report))
}

fn judge(gate: &Gate, scored: Scored<'_>, opponent: Scored<'_>) -> GateResult {
    let value = measure(gate.metric, scored);
    let (passed, rule) = match (gate.minimum, gate.maximum, gate.better_than) {
        (Some(minimum), None, None) => (value >= minimum, format!("at least {minimum}")),
        (None, Some(maximum), None) => (value <= maximum, format!("at most {maximum}")),
        (None, None, Some(spec::Opponent::Dummy)) => {
            let theirs = measure(gate.metric, opponent);
            let better = if gate.metric.larger_is_better() { value > theirs } else { value < theirs };
            (better, format!("better than the base rate for everybody, which has {theirs:.4}"))
        }
        _ => (false, "the gate needs exactly one of minimum, maximum and betterThan".to_owned()),
    };
    GateResult { metric: gate.metric, passed, message: format!("{} is {value:.4}, asked for {rule}", gate.metric) }
}

fn slices(job: &Job, test: &Rows, scored: Scored<'_>) -> Vec<Slice> {
    let mut slices = Vec::new();
    for (column, values) in &test.slices {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, value) in values.iter().enumerate() {
            members.entry(value.as_deref().unwrap_or("missing")).or_default().push(row);
        }
        let mut ranked: Vec<_> = members.into_iter().filter(|(_, rows)| rows.len() >= SLICE_ROWS).collect();
        ranked.sort_by_key(|(value, rows)| (std::cmp::Reverse(rows.len()), *value));
        for (value, rows) in ranked.into_iter().take(SLICE_VALUES) {
            let probabilities: Vec<f64> = rows.iter().filter_map(|row| scored.probabilities.get(*row).copied()).collect();
            let positives: Vec<bool> = rows.iter().filter_map(|row| scored.positives.get(*row).copied()).collect();
            let part = Scored { probabilities: &probabilities, positives: &positives, threshold: scored.threshold };
            let metrics: Vec<Metric> = job.spec.evaluation.metrics.clone();
            slices.push(Slice { column: column.clone(), value: value.to_owned(), rows: rows.len(), metrics: measure_all(&metrics, part) });
        }
    }
    slices
}
