//! What every server does alike: logs, readiness, listening, and an orderly end. It must not know what is served.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

/// Logs to stderr: text on a terminal, JSON in a pod.
pub fn log() {
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { logs.init() } else { logs.json().init() }
}

/// Whether the server can do its work and is not about to end.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Asks for it.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Probes: alive, and ready or, in the words of `why`, not.
pub fn probes(readiness: Readiness, why: &'static str) -> Router {
    let ready = move || async move { if readiness.get() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, why) } };
    Router::new().route("/livez", get(|| async { "live\n" })).route("/readyz", get(ready))
}

/// Serves until the token is cancelled, and then what has begun.
///
/// # Errors
/// The port is taken.
pub async fn serve(router: Router, port: u16, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Waits for SIGTERM or SIGINT, turns readiness off, and leaves routers the time to notice.
///
/// # Errors
/// Signals cannot be heard.
pub async fn until_asked_to_end(readiness: &Readiness, grace: Duration) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    readiness.set(false);
    tracing::info!(seconds = grace.as_secs(), "asked to end; serving while routers notice");
    tokio::time::sleep(grace).await;
    Ok(())
}

/// Ends when the task has ended, which it should not before it is asked to.
pub async fn ended<T>(task: &tokio::task::JoinHandle<T>) {
    while !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
