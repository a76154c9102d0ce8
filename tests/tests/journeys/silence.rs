//! With nothing changed, nothing is written: neither specs nor status nor events, for as long as callers call and nobody asks for anything.
//!
//! `PLIMSOLL_SILENCE_SECONDS` sets how long that is watched; ten minutes if it is not set, as long as the operator's own backstop takes
//! to come round at least once.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use plimsoll_tests::audit::{self, AuditLog, OPERATOR, Write};
use plimsoll_tests::cluster::text;
use plimsoll_tests::flights;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::{Team, settled};
use plimsoll_tests::traffic::{Traffic, answered_and_failed};
use serde_json::{Value, json};

/// Calls a second: enough for every check to have evidence.
const RATE: u32 = 100;
/// Who keeps the window's ends in the log.
const ADMIN: &str = "admin";
/// kubectl may take this long on a busy machine.
const MARKED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// A deployment is settled when nothing was written for so long after it said so.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs a cluster and ten minutes"]
fn i8_ten_silent_minutes() {
    let seconds = std::env::var("PLIMSOLL_SILENCE_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "silence").unwrap();
    let log = AuditLog::of(&stage.folder().unwrap());
    let start = Timestamp::now();
    // Two rollouts are behind it, a third model waits for the gatekeeper: there is something to look at again and again.
    for seed in [1, 2] {
        let version = team.train(&team.quick_job(&format!("silence-{seed}"), seed).unwrap().to_string()).unwrap();
        team.approve(&version).unwrap();
        team.deploy(short).unwrap();
        team.wait(240, |deployment| text(deployment, "/status/stable/modelVersion") == text(&version, "/metadata/name") && settled(deployment)).unwrap();
    }
    team.train(&team.quick_job("silence-3", 1).unwrap().to_string()).unwrap();
    let mut traffic = Traffic::start(&team.address().unwrap(), "flight-delay", flights::load(&stage, "2013-07", 2_000).unwrap(), RATE);
    let before = wait_until_settled(&log, &team, start);
    assert!(
        before.iter().any(|write| write.what.contains("/status")) && before.iter().any(|write| write.what.starts_with("events")),
        "the log does not show what was written: {}",
        audit::summary(&before)
    );

    let opened = mark(&team, "opens");
    std::thread::sleep(Duration::from_secs(seconds));
    let closed = mark(&team, "closes");
    let everywhere = log.writes(OPERATOR, opened).unwrap();
    let here = audit::within(&everywhere, &team.namespace);
    let (answered, failed) = answered_and_failed(&traffic.counts());
    println!(
        "{seconds} s, {answered} calls answered, {failed} failed; before: {}; meanwhile here: {}; elsewhere: {}",
        audit::summary(&before),
        here.len(),
        everywhere.len()
    );
    assert!(here.is_empty(), "the operator wrote although nothing had changed: {}", here.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    // The log was written all the while: both marks are in it, by the same reading.
    let marks = log.writes(ADMIN, opened - SignedDuration::from_secs(1)).unwrap();
    for at in [opened, closed] {
        assert!(
            audit::within(&marks, &team.namespace)
                .iter()
                .any(|write| write.what == "configmaps/mark" && write.at >= at && write.at.duration_since(at) < MARKED_WITHIN),
            "no mark at {at}: {marks:?}"
        );
    }
    // No Lease either, which the log leaves out: the operator may not have one.
    let may = |what: &str| {
        stage.admin.kubectl(&["auth", "can-i", "create", what, "-n", &team.namespace, "--as", OPERATOR]).is_ok_and(|answer| answer.trim() == "yes")
    };
    assert!(may("configmaps") && !may("leases.coordination.k8s.io"), "the operator may write Leases, which the audit log leaves out");

    // The same reading finds what a real change causes.
    team.deploy(|spec| {
        short(spec);
        spec["predictor"]["replicas"] = json!(2);
    })
    .unwrap();
    team.wait(60, |deployment| deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]).unwrap();
    assert!(!audit::within(&log.writes(OPERATOR, closed).unwrap(), &team.namespace).is_empty(), "a change causes writes");
    traffic.stop().unwrap();
    // Other stages keep this machine's cores busy meanwhile, and a call has a deadline: the demo is where no call may fail.
    let (answered, failed) = answered_and_failed(&traffic.counts());
    assert!(failed * 1_000 < answered, "{:?}", traffic.counts());
}

/// The sample with a short way back; checks stay as they are.
fn short(spec: &mut Value) {
    spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 50}, {"pause": {"duration": "5s"}}], "checks": []});
    spec["rollback"] = json!({"bake": "5s"});
}

/// Waits until the operator has done what was asked for, and gives what it wrote for that.
fn wait_until_settled(log: &AuditLog, team: &Team, since: Timestamp) -> Vec<Write> {
    let start = Instant::now();
    loop {
        let writes = log.writes(OPERATOR, since).unwrap();
        let here: Vec<Write> = audit::within(&writes, &team.namespace).into_iter().cloned().collect();
        let last = here.last().map_or(since, |write| write.at);
        if Timestamp::now().duration_since(last) > SignedDuration::try_from(SETTLED_AFTER).unwrap() {
            return here;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "the operator goes on writing: {}", here.last().unwrap());
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Writes something of ours into the log.
fn mark(team: &Team, what: &str) -> Timestamp {
    let at = Timestamp::now();
    let mark = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mark", "namespace": team.namespace}, "data": {"at": at.to_string(), "what": what}});
    team.stage.admin.apply(&mark.to_string()).unwrap();
    at
}
