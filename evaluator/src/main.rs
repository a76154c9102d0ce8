//! `evaluator`: joins what a ModelDeployment predicted with what came true.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use plimsoll_evaluator::access::{Access, Policy};
use plimsoll_evaluator::export;
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::serve::{probes, protocol};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::{Postgresql, Sqlite};
use plimsoll_evaluator::writer::Writer;
use plimsoll_serving::{Readiness, ended, serve, until_asked_to_end};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Joins predictions with outcomes and says how good a model is, over gRPC and REST on one port.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A SQLite database; it is made where it is not there.
    #[arg(long, required_unless_present = "postgresql_url_file")]
    sqlite: Option<PathBuf>,
    /// A file with the connection string of a PostgreSQL database.
    #[arg(long, conflicts_with = "sqlite", requires = "schema")]
    postgresql_url_file: Option<PathBuf>,
    /// The schema of that database; it is made where it is not there.
    #[arg(long)]
    schema: Option<String>,
    /// What the model answers.
    #[arg(long, value_enum, default_value = "binary-classification")]
    task: Task,
    /// How long after a prediction its outcome may come, in seconds.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=31_536_000))]
    window_seconds: i64,
    /// How long records are kept, in seconds.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=315_360_000))]
    retention_seconds: i64,
    /// Where each day goes as Parquet once all of its windows have closed, as `s3://bucket/prefix` or a folder.
    #[arg(long)]
    export: Option<String>,
    /// A folder with the credentials of that store, one file for each key.
    #[arg(long, requires = "export")]
    export_credentials: Option<PathBuf>,
    /// A JSON Web Key Set, which is read again when it changes: records are taken from those only who show a token that is signed with one of its keys.
    /// Without it everybody is believed.
    #[arg(long, requires_all = ["audience", "predictions_from", "outcomes_from"])]
    keys: Option<PathBuf>,
    /// The audience that tokens must have.
    #[arg(long, requires = "keys")]
    audience: Option<String>,
    /// The subject whose token hands over predictions.
    #[arg(long, requires = "keys")]
    predictions_from: Option<String>,
    /// The subject whose token hands over outcomes.
    #[arg(long, requires = "keys")]
    outcomes_from: Option<String>,
    /// Labels of the metrics.
    #[arg(long, default_value = "")]
    namespace: String,
    /// Labels of the metrics.
    #[arg(long, default_value = "")]
    deployment: String,
    /// gRPC and REST.
    #[arg(long, default_value_t = 8080)]
    serving_port: u16,
    /// Metrics and probes.
    #[arg(long, default_value_t = 9090)]
    metrics_port: u16,
    /// How long it goes on serving after SIGTERM, in seconds.
    #[arg(long, default_value_t = 2)]
    grace_seconds: u64,
}

/// Ends when the task has ended, which it should not; never where there is none.
async fn over(task: &Option<JoinHandle<()>>) {
    match task {
        Some(task) => ended(task).await,
        None => std::future::pending().await,
    }
}

async fn gone(thread: &std::thread::JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn start(arguments: &Arguments, readiness: &Readiness) -> anyhow::Result<(Writer, std::thread::JoinHandle<()>)> {
    let settings = Settings::new(arguments.task, arguments.window_seconds * 1000, arguments.retention_seconds * 1000);
    let settings = Settings { export: arguments.export.is_some(), ..settings };
    if let Some(path) = &arguments.sqlite {
        return Ok(Writer::start(Ledger::open(Box::new(Sqlite::open(path)?), settings)?, readiness.clone())?);
    }
    let file = arguments.postgresql_url_file.as_deref().unwrap_or(std::path::Path::new(""));
    let url = std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let store = Postgresql::open(url.trim(), arguments.schema.as_deref().unwrap_or_default())?;
    Ok(Writer::start(Ledger::open(Box::new(store), settings)?, readiness.clone())?)
}

fn access(arguments: &Arguments) -> anyhow::Result<Access> {
    let (Some(keys), Some(audience), Some(predictions_from), Some(outcomes_from)) =
        (arguments.keys.clone(), arguments.audience.clone(), arguments.predictions_from.clone(), arguments.outcomes_from.clone())
    else {
        tracing::warn!("started without --keys: records are taken from everybody who reaches this port");
        return Ok(Access::of_everybody());
    };
    Ok(Access::new(Policy { keys, audience, predictions_from, outcomes_from })?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    plimsoll_serving::log();
    let arguments = Arguments::parse();
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    // The databases' clients block.
    let started = tokio::task::block_in_place(|| anyhow::Ok((access(&arguments)?, start(&arguments, &readiness)?)));
    let (access, (writer, thread)) = started.inspect_err(|error| {
        // The kubelet shows this file in the pod's status.
        let _ = std::fs::write("/dev/termination-log", error.to_string());
    })?;
    let store = arguments.export.map(|uri| plimsoll_artifact::store::open(&uri, arguments.export_credentials.as_deref())).transpose()?;
    let exporter = store.map(|store| tokio::spawn(export::run(writer.clone(), store)));
    let served = Served { writer, task: arguments.task };
    let probes = probes(served.clone(), readiness.clone(), (arguments.namespace, arguments.deployment), access.clone());
    let probes = tokio::spawn(serve(probes, arguments.metrics_port, stop.clone()));
    let serving = tokio::spawn(serve(access.guard(protocol(served).await?), arguments.serving_port, stop.clone()));
    tokio::select! {
        result = until_asked_to_end(&readiness, Duration::from_secs(arguments.grace_seconds)) => result?,
        () = ended(&serving) => {}
        () = over(&exporter) => anyhow::bail!("the exporter has ended"),
        () = gone(&thread) => anyhow::bail!("the ledger's thread has ended"),
    }
    stop.cancel();
    serving.await??;
    probes.await??;
    // A day that is half written is written again.
    if let Some(exporter) = exporter {
        exporter.abort();
        drop(exporter.await);
    }
    // Everybody who was promised an answer has it.
    thread.join().map_err(|_| anyhow::anyhow!("the ledger's thread has failed"))
}
