//! How many predictions and outcomes one evaluator joins on SQLite, how much memory it needs, and how large its file becomes.
//!
//! `make bench-evaluator`, or `cargo run -p plimsoll-evaluator --example rate -- --help`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement fails like a test")]

#[path = "../tests/common/process.rs"]
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use plimsoll_evaluator::writer::now;
use plimsoll_evaluator_api::v1::{Outcome, Prediction, RecordPredictionsRequest, ReportOutcomesRequest};
use process::Process;

/// Measures an evaluator of its own.
#[derive(Parser)]
struct Arguments {
    /// The evaluator's program.
    #[arg(long)]
    program: String,
    /// How long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Predictions, and outcomes, in one call.
    #[arg(long, default_value_t = 1000)]
    records: u64,
    /// Callers at a time: each hands over predictions and reports what came of earlier ones.
    #[arg(long, default_value_t = 4)]
    callers: u64,
    /// Predictions a second that callers try to reach; 0 is as many as they can.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Ids without any order, as callers' own ids may be, instead of those of the model server.
    #[arg(long)]
    random_ids: bool,
    /// Window, in seconds.
    #[arg(long, default_value_t = 60)]
    window: u64,
    /// Retention, in seconds.
    #[arg(long, default_value_t = 100_000)]
    retention: u64,
}

/// Calls behind which outcomes come.
const BEHIND: u64 = 5;

fn ids(arguments: &Arguments, caller: u64, call: u64) -> Vec<String> {
    (0..arguments.records)
        .map(|row| {
            let number = (call * arguments.callers + caller) * arguments.records + row;
            if arguments.random_ids {
                let mixed = (u128::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
                format!("{mixed:032x}/0")
            } else {
                format!("{number:016x}/0")
            }
        })
        .collect()
}

async fn call(arguments: Arc<Arguments>, process: Arc<Process>, caller: u64, sums: Arc<[AtomicU64; 2]>, begun: Instant) {
    let mut client = process.client();
    let mut call = 0;
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        let time = now();
        let prediction = |(row, id): (usize, String)| Prediction {
            id,
            time_unix_ms: time,
            revision: "flight-delay-3fa9c1".into(),
            unit: format!("N{}", row * 31 % 4000),
            value: f64::from(u32::try_from(row % 997).unwrap()) / 997.0,
            features: format!(r#"{{"hour":{},"carrier":"UA","origin":"EWR","distance":{}.0}}"#, row % 24, row * 7),
            ..Prediction::default()
        };
        let predictions = ids(&arguments, caller, call).into_iter().enumerate().map(prediction).collect();
        let receipt = client.record_predictions(RecordPredictionsRequest { predictions }).await.unwrap().into_inner();
        sums[0].fetch_add(receipt.stored, Ordering::Relaxed);
        if call >= BEHIND {
            let outcomes = ids(&arguments, caller, call - BEHIND).into_iter().map(|id| Outcome { id, value: 1.0 }).collect();
            let receipt = client.report_outcomes(ReportOutcomesRequest { outcomes }).await.unwrap().into_inner();
            sums[1].fetch_add(receipt.stored, Ordering::Relaxed);
        }
        call += 1;
        if arguments.rate > 0 {
            let due = Duration::from_secs_f64(to_f64(call * arguments.records * arguments.callers) / to_f64(arguments.rate));
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "for display")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Resident memory, in MiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::main]
async fn main() {
    let arguments = Arc::new(Arguments::parse());
    let folder = tempfile::tempdir_in(std::env::var("PLIMSOLL_BENCH_DIR").unwrap_or_else(|_| "/var/tmp".into())).unwrap();
    let database = folder.path().join("rate.db");
    let process = Arc::new(Process::start(&arguments.program, &database, arguments.window, arguments.retention));
    let (sums, begun): (Arc<[AtomicU64; 2]>, _) = (Arc::default(), Instant::now());
    let callers: Vec<_> =
        (0..arguments.callers).map(|caller| tokio::spawn(call(Arc::clone(&arguments), Arc::clone(&process), caller, Arc::clone(&sums), begun))).collect();
    let mut before = [0; 2];
    println!("{:>8} {:>14} {:>12} {:>12} {:>10}", "seconds", "predictions/s", "outcomes/s", "memory MiB", "file MiB");
    let every = (arguments.seconds / 20).max(1);
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        tokio::time::sleep(Duration::from_secs(every)).await;
        let now = [sums[0].load(Ordering::Relaxed), sums[1].load(Ordering::Relaxed)];
        let size = std::fs::metadata(&database).map_or(0, |file| file.len() >> 20);
        println!(
            "{:>8.0} {:>14} {:>12} {:>12} {:>10}",
            begun.elapsed().as_secs_f64(),
            (now[0] - before[0]) / every,
            (now[1] - before[1]) / every,
            memory(process.id()),
            size
        );
        before = now;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = |place: usize| to_f64(sums[place].load(Ordering::Relaxed)) / seconds;
    println!("joined on SQLite: {:.0} predictions/s and {:.0} outcomes/s over {seconds:.0} s", rate(0), rate(1));
}
