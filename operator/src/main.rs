//! `operator`: runs the controllers.

use std::fmt::Debug;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use futures::FutureExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use plimsoll_crds::names::{ALERTS_PORT, METRICS_PORT};
use plimsoll_crds::{ABTest, ModelApproval, ModelDeployment, ModelVersion, TrainingJob};
use plimsoll_operator::analysis::exporter::Exporter;
use plimsoll_operator::analysis::{Analyst, Scraper, Source};
use plimsoll_operator::config::Configuration;
use plimsoll_operator::kube_io::KubeIo;
use plimsoll_operator::pace::Pace;
use plimsoll_operator::telemetry::Metrics;
use plimsoll_operator::{Context, deployment, experiment, http, training, version};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// How often it looks whether what it needs is there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Carries models from training to production.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration that the chart mounts.
    #[arg(long)]
    config: PathBuf,
    /// The address on which it answers probes, scrapes and Alertmanager. Several operators on one machine need one each.
    #[arg(long, default_value = "0.0.0.0")]
    listen: IpAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Before anything speaks TLS: two libraries that bring two providers would panic at the first handshake.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    start_logs();
    let Arguments { config: path, listen: address } = Arguments::parse();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let configuration = Arc::new(Configuration::parse(&text).with_context(|| path.display().to_string())?);
    let (metrics, ready, pokes) = (Metrics::new()?, Arc::new(AtomicBool::new(false)), deployment::Pokes::default());
    listen(http::probes(metrics.clone(), Arc::clone(&ready)), address, METRICS_PORT.1).await?;
    listen(http::alerts(pokes.clone()), address, ALERTS_PORT.1).await?;
    let client = Client::try_default().await.context("no way to the API server")?;
    wait_for_definitions(&client).await;
    let source = source(&configuration, &client)?;
    let exporter = Exporter::new(metrics.registry())?;
    tokio::spawn(exporter.run(client.clone(), source.clone(), configuration.watch_namespace.clone()));
    let analyst = Arc::new(Analyst::new(source, client.clone()));
    let context = |controller, manager| Context {
        client: client.clone(),
        io: KubeIo::new(client.clone(), manager, metrics.clone()),
        configuration: Arc::clone(&configuration),
        metrics: metrics.clone(),
        pace: Pace::new(controller, metrics.clone()),
        analyst: Arc::clone(&analyst),
    };
    let (training, version, deployment, experiment) = (
        context("training", "plimsoll-training"),
        context("version", "plimsoll-version"),
        context("deployment", "plimsoll-deployment"),
        context("experiment", "plimsoll-experiment"),
    );
    tokio::spawn(until_all_is_listed(deployment.clone(), ready));
    let stop = CancellationToken::new();
    tokio::spawn(until_asked_to_end(stop.clone()));
    let stopped = || stop.clone().cancelled_owned().map(drop);
    tokio::join!(
        training::run(training, stopped()),
        version::run(version, stopped()),
        experiment::run(experiment, stopped()),
        deployment::run(deployment::Work { context: deployment, pokes }, stopped()),
    );
    Ok(())
}

fn start_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    if std::io::stderr().is_terminal() { logs.init() } else { logs.json().init() }
}

async fn listen(router: axum::Router, address: IpAddr, port: i32) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind((address, u16::try_from(port)?)).await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// A controller that starts before its definitions would look healthy and do nothing.
async fn wait_for_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in plimsoll_crds::all() {
        let name = definition.name_any();
        loop {
            match api.get_opt(&name).await {
                Ok(Some(found)) if is_served(&found) => break,
                Ok(_) => tracing::warn!(name, "custom resource definition missing or not served yet: install the chart plimsoll-crds"),
                Err(error) => tracing::warn!(%error, "API server not reached"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn is_served(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// Ready when our role lets us see everything that we look after. (The stores of the controllers tell only one waiter that
/// they are filled, and that is the controller.)
async fn until_all_is_listed(context: Context, ready: Arc<AtomicBool>) {
    until_listed::<TrainingJob>(&context).await;
    until_listed::<ModelVersion>(&context).await;
    until_listed::<ModelApproval>(&context).await;
    until_listed::<ModelDeployment>(&context).await;
    until_listed::<ABTest>(&context).await;
    ready.store(true, Ordering::Release);
}

async fn until_listed<K>(context: &Context)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    while let Err(error) = context.watched::<K>().list(&ListParams::default().limit(1)).await {
        tracing::warn!(%error, kind = %K::kind(&()), "cannot be listed");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn source(configuration: &Configuration, client: &Client) -> anyhow::Result<Source> {
    if let Some(url) = &configuration.prometheus_url {
        return Ok(Source::prometheus(url)?);
    }
    let scraper = Scraper::default();
    tokio::spawn(scraper.clone().run(client.clone(), configuration.watch_namespace.clone()));
    Ok(Source::Scrape(scraper))
}

async fn until_asked_to_end(stop: CancellationToken) {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be heard");
            drop(tokio::signal::ctrl_c().await);
        }
    }
    stop.cancel();
}
