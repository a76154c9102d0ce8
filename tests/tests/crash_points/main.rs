//! Crash points: the operator is killed before and after each write of one whole rollout, and everything ends as if it had not been.
//!
//! etcd and the API server are real, and so is the operator's program. Between them stands a proxy that kills; the test plays everybody
//! else: people, Job and Deployment controllers, kubelet, trainer and routers.
//!
//! `cargo test` leaves it out. It needs root, etcd, and what `cargo build -p plimsoll-operator -p plimsoll-local-cluster` makes:
//! `cargo test -p plimsoll-tests --test crash_points -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails says so and ends")]

mod control_plane;
mod kubelet;
mod operator;
mod proxy;
mod router;
mod run;
mod snapshot;
mod story;

use std::path::Path;
use std::time::Instant;

use control_plane::ControlPlane;
use futures::{StreamExt, stream};
use proxy::{Point, Side, Write};
use run::Ground;
use snapshot::Snapshot;

/// Runs at a time. They wait most of the time: for scrapes, pauses and each other.
const AT_A_TIME: usize = 12;
/// Points that must have been reached.
const ENOUGH: usize = 40;

/// I5: each automatic action happens once, whenever the operator dies. (I1 with it: a training run has one Job.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs etcd and the local cluster's binaries; make test runs it"]
async fn i5_a_crash_around_any_write_changes_nothing() {
    let start = Instant::now();
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let plane = ControlPlane::start().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-points");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let ground = Ground { client: plane.client().await.unwrap(), stage: plane.stage.clone(), folder };
    let others = tokio::spawn(kubelet::play(ground.client.clone()));
    let (writes, expected) = reference(&ground).await;
    println!("undisturbed: {} writes, {} objects, {} s", writes.len(), expected.len(), start.elapsed().as_secs());
    let sides = |write: &Write| [Side::Before, Side::After].map(|side| Point { write: write.clone(), side });
    let points: Vec<Point> = writes.iter().flat_map(sides).collect();
    let runs = points.iter().enumerate().map(|(index, point)| {
        let (ground, expected) = (&ground, &expected);
        async move { (index + 3, point, ground.crashed(index + 3, point, expected).await) }
    });
    let ended: Vec<_> = stream::iter(runs).buffer_unordered(AT_A_TIME).collect().await;
    others.abort();
    let mut reached = 0;
    let mut failures = Vec::new();
    for (number, point, outcome) in ended {
        match outcome {
            Ok(outcome) if outcome.differences.is_empty() => reached += usize::from(outcome.reached),
            Ok(outcome) => failures.push(format!("run-{number}, killed {point}:\n  {}", outcome.differences.join("\n  "))),
            Err(error) => failures.push(format!("run-{number}, killed {point}: {error:#}")),
        }
    }
    plane.stop().unwrap();
    let (all, seconds) = (points.len(), start.elapsed().as_secs());
    println!("crash points: 2 x {} = {all}; {reached} reached and ended like the undisturbed run, {} failed; {seconds} s", writes.len(), failures.len());
    assert!(failures.is_empty(), "{}\nthe operators' logs: {}", failures.join("\n"), ground.folder.display());
    assert!(reached >= ENOUGH, "only {reached} points were reached");
}

/// Two undisturbed runs: their writes, and how they end. What only one of them writes hangs on the machine's mood.
async fn reference(ground: &Ground) -> (Vec<Write>, Snapshot) {
    let (first, second) = tokio::join!(ground.undisturbed(1), ground.undisturbed(2));
    let ((mut writes, expected), (others, same)) = (first.unwrap(), second.unwrap());
    let differences = expected.differences(&same);
    assert!(differences.is_empty(), "two undisturbed runs differ:\n{}", differences.join("\n"));
    writes.retain(|write| others.contains(write));
    (writes, expected)
}
