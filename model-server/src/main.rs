//! `model-server`: serves one verified model.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use plimsoll_artifact::Digest;
use plimsoll_model_server::engine::Engine;
use plimsoll_model_server::grpc::Served;
use plimsoll_model_server::metrics::{Identity, Metrics};
use plimsoll_model_server::serve::{Readiness, probes, protocol, serve, until_asked_to_end};
use tokio_util::sync::CancellationToken;

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
    /// How long it goes on serving after SIGTERM, in seconds.
    #[arg(long, default_value_t = 5)]
    grace_seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.init()
    } else {
        logs.json().init()
    }
    let arguments = Arguments::parse();
    let identity = Identity { namespace: arguments.namespace, deployment: arguments.deployment, revision: arguments.revision };
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
    let served = Served { engine, name: arguments.model_name.into(), version: arguments.model_version.into(), metrics };
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
    probes.await?
}

/// Ends when the task has ended, which it should not before it is asked to.
async fn ended(task: &tokio::task::JoinHandle<anyhow::Result<()>>) {
    while !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
