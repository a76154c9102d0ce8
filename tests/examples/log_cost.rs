//! What the prediction log costs a model server: two servers of one model, one of them with an evaluator, asked in turns.
//!
//! `make bench-log`. The server under load has a core for itself; callers and evaluator share the other ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement fails like a test")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use plimsoll_model_server_api::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use plimsoll_model_server_api::inference::model_infer_request::InferInputTensor;
use plimsoll_model_server_api::inference::{InferTensorContents, ModelInferRequest, ModelMetadataRequest};
use tonic::transport::Endpoint;

/// Compares a model server with and without its log.
#[derive(Parser)]
struct Arguments {
    /// Where the programs are.
    #[arg(long)]
    programs: PathBuf,
    /// The model's folder, named by its digest.
    #[arg(long)]
    model: PathBuf,
    /// Rounds; each asks both servers.
    #[arg(long, default_value_t = 8)]
    rounds: u32,
    /// Seconds for each server in each round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Calls at a time.
    #[arg(long, default_value_t = 32)]
    callers: u32,
    /// Rows of each call.
    #[arg(long, default_value_t = 1)]
    rows: usize,
}

/// Ends its process when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const MODEL: &str = "flight-delay";
/// Ports of the server without a log, the server with one, and the evaluator.
const PORTS: [u16; 3] = [18_180, 18_182, 18_184];

fn start(mut command: Command, port: u16) -> Running {
    let command = command.args(["--serving-port", &port.to_string(), "--metrics-port", &(port + 1).to_string(), "--grace-seconds", "0"]);
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    running
}

fn server(arguments: &Arguments, port: u16, log: &[&str]) -> Running {
    let mut command = Command::new("taskset");
    let digest = format!("sha256:{}", arguments.model.file_name().unwrap().to_string_lossy());
    command.args(["-c", "0"]).arg(arguments.programs.join("model-server")).arg("--model-directory").arg(&arguments.model);
    command.args(["--digest", &digest, "--model-name", MODEL, "--model-version", "v1", "--revision", "r1"]).args(log);
    start(command, port)
}

/// Seconds of processor time that a process has used.
fn used(process: &Running) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let ticks: Vec<f64> = after.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap()).collect();
    (ticks[0] + ticks[1]) / 100.0
}

fn request(inputs: &[(String, String)], rows: usize) -> ModelInferRequest {
    let input = |(name, datatype): &(String, String)| {
        let contents = if datatype == "BYTES" {
            InferTensorContents { bytes_contents: vec![b"EWR".to_vec().into(); rows], ..Default::default() }
        } else {
            InferTensorContents { fp64_contents: vec![7.0; rows], ..Default::default() }
        };
        InferInputTensor {
            name: name.clone(),
            datatype: datatype.clone(),
            shape: vec![i64::try_from(rows).unwrap()],
            contents: Some(contents),
            ..Default::default()
        }
    };
    ModelInferRequest { model_name: MODEL.into(), inputs: inputs.iter().map(input).collect(), ..Default::default() }
}

/// Calls a second, and microseconds of the server's processor for each call.
async fn load(arguments: &Arguments, port: u16, server: &Running) -> (f64, f64) {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let mut client = GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap());
    let metadata = client.model_metadata(ModelMetadataRequest { name: MODEL.into(), version: String::new() }).await.unwrap().into_inner();
    let inputs: Vec<_> = metadata.inputs.into_iter().map(|input| (input.name, input.datatype)).collect();
    let (request, calls, begun, before) = (request(&inputs, arguments.rows), Arc::new(AtomicU64::new(0)), Instant::now(), used(server));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..arguments.callers {
        let (mut client, request, calls, length) = (client.clone(), request.clone(), Arc::clone(&calls), Duration::from_secs(arguments.seconds));
        callers.spawn(async move {
            while begun.elapsed() < length {
                client.model_infer(request.clone()).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    callers.join_all().await;
    let calls = f64::from(u32::try_from(calls.load(Ordering::Relaxed)).unwrap());
    (calls / begun.elapsed().as_secs_f64(), (used(server) - before) / calls * 1e6)
}

fn median(mut numbers: Vec<f64>) -> (f64, f64, f64) {
    numbers.sort_by(f64::total_cmp);
    (numbers[numbers.len() / 2], numbers[0], numbers[numbers.len() - 1])
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut evaluator = Command::new(arguments.programs.join("evaluator"));
    evaluator.args(["--window-seconds", "60", "--retention-seconds", "600", "--sqlite"]).arg(folder.path().join("evaluator.db"));
    let _evaluator = start(evaluator, PORTS[2]);
    let plain = server(&arguments, PORTS[0], &[]);
    let address = format!("http://127.0.0.1:{}", PORTS[2]);
    let logging = server(&arguments, PORTS[1], &["--evaluator", &address, "--log-column", "carrier", "--log-column", "distance"]);
    let (mut throughput, mut processor) = (Vec::new(), Vec::new());
    println!("{:>6} {:>14} {:>14} {:>14} {:>14}", "round", "calls/s", "with log", "us a call", "with log");
    for round in 0..arguments.rounds {
        let (without, with) = (load(&arguments, PORTS[0], &plain).await, load(&arguments, PORTS[1], &logging).await);
        println!("{round:>6} {:>14.0} {:>14.0} {:>14.1} {:>14.1}", without.0, with.0, without.1, with.1);
        throughput.push(with.0 / without.0);
        processor.push(with.1 / without.1);
    }
    let metrics = reqwest::get(format!("http://127.0.0.1:{}/metrics", PORTS[1] + 1)).await.unwrap().text().await.unwrap();
    for line in metrics.lines().filter(|line| line.starts_with("plimsoll_prediction_log")) {
        println!("{line}");
    }
    for (what, (median, least, most)) in [
        ("throughput with the log, where callers and evaluator share what is left", median(throughput)),
        ("processor time of the server for a call with the log", median(processor)),
    ] {
        println!("{what}: {median:.3} of that without it ({least:.3} to {most:.3})");
    }
}
