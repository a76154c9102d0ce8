//! `router`: splits the calls of one ModelDeployment.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Parser;
use plimsoll_router::metrics::Metrics;
use plimsoll_router::proxy::Proxy;
use plimsoll_router::table::Table;
use plimsoll_router::token::Token;
use plimsoll_router::{serve, watch};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Splits the calls of one ModelDeployment between its revisions.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The ModelDeployment's namespace.
    #[arg(long)]
    namespace: String,
    /// The ModelDeployment's name.
    #[arg(long)]
    deployment: String,
    /// A file with the token that the evaluator asks for; it is read again every minute.
    #[arg(long)]
    evaluator_token: Option<PathBuf>,
    /// gRPC and REST.
    #[arg(long, default_value_t = 8080)]
    serving_port: u16,
    /// Metrics and probes.
    #[arg(long, default_value_t = 9090)]
    metrics_port: u16,
    /// How long it goes on accepting after SIGTERM, in seconds.
    #[arg(long, default_value_t = 5)]
    grace_seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let logs = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()));
    if std::io::stderr().is_terminal() {
        logs.init()
    } else {
        logs.json().init()
    }
    let arguments = Arguments::parse();
    let metrics = Metrics::new(&arguments.namespace, &arguments.deployment)?;
    let (table, ending, stop) = (Arc::new(ArcSwap::from_pointee(Table::default())), Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let client = kube::Client::try_default().await?;
    let (namespace, deployment, followed, counted) = (arguments.namespace, arguments.deployment, Arc::clone(&table), metrics.clone());
    tokio::spawn(async move { watch::follow(client, &namespace, &deployment, followed, counted).await });
    let probes = serve::probes(metrics.clone(), Arc::clone(&table), Arc::clone(&ending));
    let probe_listener = TcpListener::bind(("0.0.0.0", arguments.metrics_port)).await?;
    tokio::spawn(async move { axum::serve(probe_listener, probes).await });
    let listener = TcpListener::bind(("0.0.0.0", arguments.serving_port)).await?;
    let proxy = Proxy::new(table, metrics).with_token(arguments.evaluator_token.map(Token::new));
    let serving = tokio::spawn(serve::serve(listener, proxy, stop.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    ending.store(true, Ordering::Release);
    tracing::info!(seconds = arguments.grace_seconds, "asked to end; accepting while callers notice");
    tokio::time::sleep(Duration::from_secs(arguments.grace_seconds)).await;
    stop.cancel();
    serving.await?;
    Ok(())
}
