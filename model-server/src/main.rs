//! `model-server`: serves one verified model.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use plimsoll_artifact::Digest;
use plimsoll_model_server::engine::Engine;
use plimsoll_model_server::grpc::Served;
use plimsoll_model_server::log::{self, PredictionLog};
use plimsoll_model_server::metrics::{Identity, Metrics};
use plimsoll_model_server::serve::{probes, protocol};
use plimsoll_serving::{Readiness, ended, serve, until_asked_to_end};
use tokio_util::sync::CancellationToken;

/// How long the last predictions may take to the evaluator.
const HAND_OVER: Duration = Duration::from_secs(3);

/// Serves one verified model over the Open Inference Protocol, gRPC and REST on one port.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The model's folder.
    #[arg(long)]
    model_directory: PathBuf,
    /// The digest that it must have.
    #[arg(long)]
    digest: Digest,
    /// The name by which callers ask for it.
    #[arg(long)]
    model_name: String,
    /// The version that it tells callers.
    #[arg(long)]
    model_version: String,
    /// Labels of the metrics.
    #[arg(long, default_value = "")]
    namespace: String,
    /// Labels of the metrics.
    #[arg(long, default_value = "")]
    deployment: String,
    /// Labels of the metrics.
    #[arg(long, default_value = "")]
    revision: String,
    /// gRPC and REST.
    #[arg(long, default_value_t = 8080)]
    serving_port: u16,
    /// Metrics and probes.
    #[arg(long, default_value_t = 9090)]
    metrics_port: u16,
    /// The largest message, in bytes.
    #[arg(long, default_value_t = 64 << 20)]
    message_limit: usize,
    /// The evaluator that predictions are handed to, as `http://host:port`.
    #[arg(long)]
    evaluator: Option<String>,
    /// A file with the token that the evaluator asks for; it is read again every minute.
    #[arg(long, requires = "evaluator")]
    token: Option<PathBuf>,
    /// An input that the evaluator keeps; can be given several times.
    #[arg(long = "log-column")]
    log_columns: Vec<String>,
    /// The share of predictions that the evaluator gets, above 0 and at most 1.
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    log_sample: f64,
    /// How long it goes on serving after SIGTERM, in seconds.
    #[arg(long, default_value_t = 5)]
    grace_seconds: u64,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(|| format!("{text} is not above 0 and at most 1"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    plimsoll_serving::log();
    let arguments = Arguments::parse();
    let identity = Identity { namespace: arguments.namespace, deployment: arguments.deployment, revision: arguments.revision.clone() };
    let (metrics, readiness, stop) = (Metrics::new(&identity)?, Readiness::default(), CancellationToken::new());
    let probes = tokio::spawn(serve(probes(metrics.clone(), readiness.clone()), arguments.metrics_port, stop.clone()));
    let engine = match Engine::start(&arguments.model_directory, &arguments.digest, metrics.clone()) {
        Ok(engine) => engine,
        Err(error) => {
            // The kubelet shows this file in the pod's status.
            let _ = std::fs::write("/dev/termination-log", error.to_string());
            return Err(error.into());
        }
    };
    metrics.set_model(&arguments.model_version, arguments.digest.as_str())?;
    tracing::info!(digest = %engine.digest(), version = arguments.model_version, "model verified and loaded");
    let model = engine.clone();
    let threshold = engine.threshold();
    if let Some(unknown) = arguments.log_columns.iter().find(|name| engine.specs().iter().all(|spec| spec.name != **name)) {
        anyhow::bail!("--log-column {unknown}: the model has no such input");
    }
    anyhow::ensure!(arguments.evaluator.is_none() || !arguments.revision.is_empty(), "--evaluator needs --revision: outcomes are counted by revision");
    let log = |evaluator| {
        let (token, columns, sample, revision) = (arguments.token, arguments.log_columns, arguments.log_sample, arguments.revision);
        let settings = log::Settings { evaluator, token, columns, sample, revision, threshold };
        PredictionLog::start(settings, metrics.clone())
    };
    let (log, courier) = arguments.evaluator.map(log).transpose()?.unzip();
    let served = Served { engine, name: arguments.model_name.into(), version: arguments.model_version.into(), metrics, log };
    let router = protocol(served, arguments.message_limit).await?;
    let serving = tokio::spawn(serve(router, arguments.serving_port, stop.clone()));
    readiness.set(true);
    tokio::select! {
        result = until_asked_to_end(&readiness, Duration::from_secs(arguments.grace_seconds)) => result?,
        // A server whose model is gone must not look merely busy: the kubelet starts another.
        () = model.ended() => anyhow::bail!("the model's thread has ended"),
        () = ended(&serving) => {}
    }
    stop.cancel();
    serving.await??;
    probes.await??;
    // What was answered until now is handed over, if the evaluator takes it soon.
    if let Some(courier) = courier {
        let stop = courier.abort_handle();
        if tokio::time::timeout(HAND_OVER, courier).await.is_err() {
            stop.abort();
        }
    }
    Ok(())
}
