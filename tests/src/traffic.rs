//! Traffic that keeps running, and counts every call by who answered and how.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_model_server_api::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;

use crate::flights::Flight;

/// Connections to the router's Service.
const CONNECTIONS: usize = 8;
/// A call that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// Calls by (revision, gRPC code).
pub type Counts = BTreeMap<(String, String), u64>;

/// Traffic under way.
pub struct Traffic {
    counts: Arc<Mutex<Counts>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Traffic {
    /// Sends these flights again and again at this rate.
    pub fn start(address: &str, model: &str, flights: Vec<Flight>, calls_per_second: u32) -> Self {
        let (counts, stop) = (Arc::<Mutex<Counts>>::default(), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, address, model) = (Arc::clone(&counts), Arc::clone(&stop), address.to_owned(), model.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(send(address, model, flights, calls_per_second, counted, stopped))
        });
        Self { counts, stop, thread: Some(thread) }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops it and waits for the calls under way.
    ///
    /// # Errors
    /// The generator itself failed.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => anyhow::bail!("the traffic generator panicked"),
            None => Ok(()),
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the pieces of one loop, moved into its thread")]
async fn send(address: String, model: String, flights: Vec<Flight>, rate: u32, counts: Arc<Mutex<Counts>>, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let client = |_| Ok::<_, anyhow::Error>(GrpcInferenceServiceClient::new(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy()));
    let clients = (0..CONNECTIONS).map(client).collect::<Result<Vec<_>, _>>()?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    // Each call under way holds a clone.
    let calls = Arc::new(());
    for (flight, client) in flights.iter().cycle().zip(clients.iter().cycle()) {
        ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (mut client, counts, guard) = (client.clone(), Arc::clone(&counts), Arc::clone(&calls));
        let mut request = tonic::Request::new(flight.request(&model));
        request.set_timeout(DEADLINE);
        if let Ok(user) = MetadataValue::try_from(flight.tail_number.as_str()) {
            request.metadata_mut().insert("x-user-id", user);
        }
        tokio::spawn(async move {
            let answer = client.model_infer(request).await;
            let (metadata, code) = match &answer {
                Ok(response) => (response.metadata(), tonic::Code::Ok),
                Err(status) => (status.metadata(), status.code()),
            };
            let revision = metadata.get("x-plimsoll-revision").and_then(|value| value.to_str().ok()).unwrap_or("nobody").to_owned();
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry((revision, format!("{code:?}"))).or_default() += 1;
            drop(guard);
        });
    }
    while Arc::strong_count(&calls) > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
