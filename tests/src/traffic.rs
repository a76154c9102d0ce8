//! Traffic that keeps running, and counts every call by who answered and how.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_model_server_api::inference::ModelInferRequest;
use plimsoll_model_server_api::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::flights::Flight;

/// Connections to the router's Service.
const CONNECTIONS: usize = 8;
/// A call that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// Calls by (revision, gRPC code).
pub type Counts = BTreeMap<(String, String), u64>;

/// Calls that were answered, and those that failed.
pub fn answered_and_failed(counts: &Counts) -> (u64, u64) {
    let sum = |ok: bool| counts.iter().filter(|((_, code), _)| (code == "Ok") == ok).map(|(_, count)| count).sum();
    (sum(true), sum(false))
}

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
        let (input, user) = (flight.request(&model), MetadataValue::try_from(flight.tail_number.as_str()).ok());
        tokio::spawn(async move {
            let request = || {
                let mut request = tonic::Request::new(input.clone());
                request.set_timeout(DEADLINE);
                user.clone().map(|user| request.metadata_mut().insert("x-user-id", user));
                request
            };
            let mut answer = client.model_infer(request()).await;
            // The router said goodbye on this connection before the call left: gRPC clients send such a call again on a new one
            // (gRFC A6, transparent retries). tonic leaves that to its callers.
            for _ in 0..2 {
                let Err(status) = &answer else { break };
                if !was_never_sent(status) {
                    break;
                }
                answer = client.model_infer(request()).await;
            }
            let answered = outcome(&answer);
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(answered).or_default() += 1;
            drop(guard);
        });
    }
    while Arc::strong_count(&calls) > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Who answered a call, and with which gRPC code.
async fn call(client: &mut GrpcInferenceServiceClient<Channel>, request: tonic::Request<ModelInferRequest>) -> (String, String) {
    outcome(&client.model_infer(request).await)
}

/// Whether a call failed before a byte of it was sent, because its connection ends in good order.
fn was_never_sent(status: &tonic::Status) -> bool {
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    causes.map(ToString::to_string).any(|cause| ["not a result of an error", "operation was canceled"].iter().any(|words| cause.contains(words)))
}

fn outcome<T>(answer: &Result<tonic::Response<T>, tonic::Status>) -> (String, String) {
    let (metadata, code) = match answer {
        Ok(response) => (response.metadata(), tonic::Code::Ok),
        Err(status) => (status.metadata(), status.code()),
    };
    if let Err(status) = answer
        && status.metadata().get("x-plimsoll-revision").is_none()
    {
        // No revision answered it: which of its many meanings a code has here, only the message tells.
        eprintln!("{} a call failed: {code:?} {}", jiff::Timestamp::now(), status.message());
    }
    let revision = metadata.get("x-plimsoll-revision").and_then(|value| value.to_str().ok()).unwrap_or("nobody").to_owned();
    (revision, format!("{code:?}"))
}

/// Sends exactly these calls, each once and by nobody in particular, and waits for every answer.
///
/// # Errors
/// The address is none.
pub fn send_each(address: &str, requests: Vec<ModelInferRequest>) -> anyhow::Result<Counts> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let mut calls = tokio::task::JoinSet::new();
        for lane in share(requests) {
            let mut client = GrpcInferenceServiceClient::new(endpoint.connect_lazy());
            calls.spawn(async move {
                let mut counts = Counts::new();
                for request in lane {
                    let mut request = tonic::Request::new(request);
                    request.set_timeout(DEADLINE);
                    *counts.entry(call(&mut client, request).await).or_default() += 1;
                }
                counts
            });
        }
        let mut counts = Counts::new();
        for (answered, number) in calls.join_all().await.into_iter().flatten() {
            *counts.entry(answered).or_default() += number;
        }
        Ok(counts)
    })
}

/// One pile of requests for each connection.
fn share(requests: Vec<ModelInferRequest>) -> Vec<Vec<ModelInferRequest>> {
    let mut lanes = vec![Vec::new(); CONNECTIONS];
    for (place, request) in requests.into_iter().enumerate() {
        if let Some(lane) = lanes.get_mut(place % CONNECTIONS) {
            lane.push(request);
        }
    }
    lanes
}
