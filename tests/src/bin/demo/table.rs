//! The end of the story: who got what when, which calls failed, and where to look. This module must not know how it came about.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::ensure;
use plimsoll_tests::cluster::text;
use plimsoll_tests::routers;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use plimsoll_tests::traffic::Counts;
use serde_json::Value;

use crate::record::Recorder;

/// Traffic and verdicts over time.
pub fn over_time(recorder: &Recorder) -> String {
    let mut table = "| second | traffic | verdicts |\n|---|---|---|\n".to_owned();
    for (second, moment) in recorder.moments() {
        let _ = writeln!(table, "| {} | {} | {} |", second.as_secs(), moment.traffic(), moment.checks());
    }
    table
}

/// What the operator decided, oldest first. The ModelDeployment keeps the last ones, Events tell the rest.
pub fn decisions(deployment: &Value) -> String {
    let mut table = "| time | decision | model | weight | why |\n|---|---|---|---|---|\n".to_owned();
    for decision in deployment.pointer("/status/decisions").and_then(Value::as_array).into_iter().flatten().rev() {
        let weight = decision.pointer("/weight").and_then(Value::as_i64).unwrap_or(0) / 100;
        let [at, what, model, why] = ["/at", "/what", "/modelVersion", "/why"].map(|field| text(decision, field));
        let _ = writeln!(table, "| {at} | {what} | {model} | {weight} % | {why} |");
    }
    table
}

/// The models of the namespace.
///
/// # Errors
/// The API server cannot be asked.
pub fn versions(team: &Team) -> anyhow::Result<String> {
    let list = team.get("modelversions")?;
    let mut table = "| model | trained by | AUC | approved |\n|---|---|---|---|\n".to_owned();
    for version in list.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
        let [name, job] = ["/metadata/name", "/spec/trainingJob/name"].map(|field| text(version, field));
        let auc = version.pointer("/spec/metrics/auc").and_then(Value::as_f64).unwrap_or(f64::NAN);
        let approved = plimsoll_tests::cluster::is_true(version, "Approved");
        let _ = writeln!(table, "| {name} | {job} | {auc:.4} | {approved} |");
    }
    Ok(table)
}

/// Calls as the callers counted them beside what the routers counted; fails when they differ, or when a call failed that the faulty
/// revision did not answer itself.
///
/// # Errors
/// As said.
pub fn calls(team: &Team, callers: &Counts, faulty: &str) -> anyhow::Result<String> {
    let mut counted: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for ((revision, code), count) in callers {
        let [good, bad, _, _] = counted.entry(revision.clone()).or_default();
        *(if code == "Ok" { good } else { bad }) += count;
    }
    for ((revision, outcome), count) in routers::requests(team, "flight-delay")? {
        let [_, _, good, bad] = counted.entry(revision).or_default();
        *(if outcome == "success" { good } else { bad }) += count;
    }
    let mut table = "| revision | answered | failed | answered, by the routers | failed, by the routers |\n|---|---|---|---|---|\n".to_owned();
    for (revision, [good, bad, routed_good, routed_bad]) in &counted {
        let _ = writeln!(table, "| {revision} | {good} | {bad} | {routed_good} | {routed_bad} |");
    }
    let innocent: u64 = counted.iter().filter(|(revision, _)| *revision != faulty).map(|(_, [_, bad, _, _])| bad).sum();
    ensure!(innocent == 0, "{innocent} calls failed that the faulty runtime ({faulty}) did not answer: {callers:?}");
    ensure!(
        counted.values().all(|[good, bad, routed_good, routed_bad]| good == routed_good && bad == routed_bad),
        "callers and routers counted otherwise:\n{table}"
    );
    Ok(table)
}

/// Where to look next.
pub fn goodbye(stage: &Stage, namespace: &str) {
    println!("\nexport KUBECONFIG={}", stage.admin.kubeconfig().display());
    let commands = [
        "get modeldeployments,modelversions,modelapprovals,trainingjobs,abtests",
        "describe modeldeployment flight-delay",
        "get events --sort-by=.lastTimestamp",
        "get configmap flight-delay-routes -o yaml",
        "explain modeldeployment.spec.strategy.canary",
        "port-forward service/network-or-not-evaluator 8080 # then open http://localhost:8080/v1/reports/network-or-not",
    ];
    for command in commands {
        println!("kubectl -n {namespace} {command}");
    }
}
