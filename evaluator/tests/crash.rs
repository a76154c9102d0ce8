//! The evaluator is killed with SIGKILL while it is told things: what was acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use plimsoll_evaluator::writer::now;
use plimsoll_evaluator_api::v1::evaluator_client::EvaluatorClient;
use plimsoll_evaluator_api::v1::{Outcome, Prediction, RecordPredictionsRequest, ReportOutcomesRequest};
use process::Process;
use tonic::transport::Channel;

const KILLS: u32 = 12;
const CALLERS: u32 = 4;
const RECORDS: u32 = 50;

/// Who is asked now; another one after each kill.
type Client = Arc<RwLock<EvaluatorClient<Channel>>>;

/// Says the same until it is acknowledged.
async fn insist(client: &Client, number: u32, caller: u32) {
    let ids: Vec<String> = (0..RECORDS).map(|row| format!("{caller}-{number}/{row}")).collect();
    let time = now();
    let prediction = |id: &String| Prediction { id: id.clone(), time_unix_ms: time, revision: "r1".into(), value: 0.5, ..Prediction::default() };
    let predictions = RecordPredictionsRequest { predictions: ids.iter().map(prediction).collect() };
    let outcomes = ReportOutcomesRequest { outcomes: ids.iter().map(|id| Outcome { id: id.clone(), value: 1.0 }).collect() };
    loop {
        let mut asked = client.read().unwrap().clone();
        if asked.record_predictions(predictions.clone()).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    loop {
        let mut asked = client.read().unwrap().clone();
        if asked.report_outcomes(outcomes.clone()).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_sigkill_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = common::file(&folder);
    let start = |window| Process::start(env!("CARGO_BIN_EXE_evaluator"), &database, window, 100_000);
    let mut process = start(10_000);
    let (client, stop): (Client, _) = (Arc::new(RwLock::new(process.client())), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (client, stop) = (Arc::clone(&client), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    insist(&client, calls, caller).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(150 + u64::from(kill * 37 % 200))).await;
        drop(process);
        process = start(10_000);
        *client.write().unwrap() = process.client();
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for caller in callers {
        acknowledged += u64::from(caller.await.unwrap() * RECORDS);
    }
    drop(process);
    // With a window of a second, all of it counts.
    let process = start(1);
    let url = format!("http://127.0.0.1:{}/v1/quality", process.port);
    let mut found = serde_json::Value::Null;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = reqwest::get(&url).await.unwrap().json().await.unwrap();
        if found["arms"][0]["quality"]["mature"] == acknowledged {
            break;
        }
    }
    println!("{acknowledged} records, {KILLS} kills; said again: {}", found["counts"]);
    assert!(acknowledged > 1_000, "{acknowledged}");
    assert_eq!(found["arms"][0]["quality"]["mature"], acknowledged);
    assert_eq!(found["arms"][0]["quality"]["labelCompleteness"], 1.0);
    for kind in ["predictions", "outcomes"] {
        let fates = &found["counts"][kind];
        assert_eq!((&fates["stored"], &fates["contradictory"], &fates["late"]), (&acknowledged.into(), &0.into(), &0.into()), "{kind}");
    }
}
