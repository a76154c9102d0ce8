//! `trainer`: runs one TrainingJob, in a pod or on a laptop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use plimsoll_crds::names::METRICS_PORT;
use plimsoll_crds::training_job::result::{TERMINATION_MESSAGE_BYTES, TrainingFailure, TrainingOutcome, TrainingResult};
use plimsoll_trainer::job::{Job, Places};
use plimsoll_trainer::progress::{Progress, serve};
use plimsoll_trainer::{Error, flow};

/// Where the operator mounts the credentials.
const DATA_CREDENTIALS: &str = "/etc/plimsoll/credentials/data";
const OUTPUT_CREDENTIALS: &str = "/etc/plimsoll/credentials/output";
/// What the kubelet reads when the container ends.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Trains one model.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a TrainingJob: data, training, evaluation, artifact, report.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// A TrainingJob manifest, for a run without a cluster.
    #[arg(short, long, required_unless_present = "config")]
    file: Option<PathBuf>,
    /// What the operator mounts into a pod.
    #[arg(long, conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Takes the place of spec.output.uri.
    #[arg(long)]
    output: Option<String>,
    /// Takes the place of a source, as NAME=PATH; may be given several times.
    #[arg(long, value_parser = pair)]
    data: Vec<(String, String)>,
    /// Scratch space; a temporary folder when absent.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, path)| (name.to_owned(), path.to_owned())).ok_or_else(|| format!("{text:?} is not NAME=PATH"))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    plimsoll_networks::use_one_thread();
    let Command::Run(run) = Arguments::parse().command;
    start_logs(run.config.is_some());
    let outcome = train(&run).await;
    let (message, code) = match &outcome {
        Ok(result) => {
            println!("{}", serde_json::to_string_pretty(result).unwrap_or_default());
            (TrainingOutcome::Result(Box::new(result.clone())), 0)
        }
        Err(error) => {
            tracing::error!(reason = error.reason(), "{error}");
            let failure = TrainingFailure { reason: error.reason().to_owned(), message: error.to_string() };
            (TrainingOutcome::Failure(failure), error.exit_code())
        }
    };
    if run.config.is_some()
        && let Err(error) = std::fs::write(TERMINATION_LOG, fitted(message))
    {
        tracing::error!(%error, "termination message not written");
    }
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn start_logs(in_pod: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if in_pod { builder.json().init() } else { builder.with_target(false).init() }
}

async fn train(run: &Run) -> Result<TrainingResult, Error> {
    let mut job = match (&run.config, &run.file) {
        (Some(config), _) => Job::from_config(config)?,
        (None, Some(file)) => Job::from_manifest(file, local_uid())?,
        (None, None) => return Err(Error::Spec("give --file or --config".to_owned())),
    };
    if let Some(output) = &run.output {
        job.spec.output.uri.clone_from(output);
    }
    let temporary = tempfile::tempdir().map_err(|source| plimsoll_artifact::Error::write("a temporary folder", source))?;
    let credentials = |path: &str| Path::new(path).is_dir().then(|| PathBuf::from(path));
    let places = Places {
        scratch: run.scratch.clone().unwrap_or_else(|| temporary.path().to_owned()),
        data_credentials: credentials(DATA_CREDENTIALS),
        output_credentials: credentials(OUTPUT_CREDENTIALS),
        overrides: run.data.clone(),
    };
    let progress = Progress::new(&job).map_err(|error| Error::Spec(error.to_string()))?;
    if run.config.is_some() {
        tokio::spawn(serve(progress.registry(), u16::try_from(METRICS_PORT.1).unwrap_or_default()));
    }
    flow::run(&job, &places, &progress).await
}

/// Without a cluster each run is a new one.
fn local_uid() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("local-{}", since.as_nanos())
}

/// The outcome in at most 4 KiB: what people can read elsewhere is cut first.
fn fitted(mut outcome: TrainingOutcome) -> Vec<u8> {
    let write = |outcome: &TrainingOutcome| serde_json::to_vec(outcome).unwrap_or_default();
    let bytes = write(&outcome);
    if bytes.len() <= TERMINATION_MESSAGE_BYTES {
        return bytes;
    }
    match &mut outcome {
        TrainingOutcome::Result(result) => result.gates.iter_mut().for_each(|gate| gate.message.clear()),
        TrainingOutcome::Failure(failure) => failure.message = failure.message.chars().take(TERMINATION_MESSAGE_BYTES / 8).collect(),
    }
    write(&outcome)
}
