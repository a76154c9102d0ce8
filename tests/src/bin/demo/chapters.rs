//! The chapters. Each reads what came of it from the API server's objects or the callers' answers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::prometheus::Prometheus;
use plimsoll_tests::team::Team;
use plimsoll_tests::traffic::Traffic;
use serde_json::{Value, json};

use crate::record::Recorder;
use crate::{Demo, NAMESPACE, RATE};

impl Demo {
    /// a: charts, people, credentials, data.
    pub fn prepare(&mut self) -> anyhow::Result<String> {
        let (stage, rules) = (&self.stage, self.stage.tree("charts/plimsoll/files/rules.yaml"));
        let rules = stage.admin.kubectl(&[
            "-n",
            "monitoring",
            "create",
            "configmap",
            "prometheus-rules",
            &format!("--from-file={}", rules.display()),
            "--dry-run=client",
            "-o",
            "yaml",
        ])?;
        stage.admin.apply(&rules)?;
        stage.admin.kubectl(&["-n", "monitoring", "delete", "pod", "-l", "app=prometheus"])?;
        stage.install()?;
        stage.admin.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"])?;
        stage.upload()?;
        self.team = Some(Team::settle(stage, NAMESPACE)?);
        Ok("charts installed, 336,776 flights uploaded".to_owned())
    }

    /// b: the first model.
    pub fn train_first(&mut self) -> anyhow::Result<String> {
        let version = self.train("v1.yaml")?;
        ensure!(text(&version, "/spec/author") == "ann", "the author is {:?}", text(&version, "/spec/author"));
        Ok(format!("v1 {} auc {:.4}", text(&version, "/metadata/name"), auc(&version)))
    }

    fn train(&self, sample: &str) -> anyhow::Result<Value> {
        self.team()?.train(&self.stage.sample(sample)?)
    }

    fn newest(&self) -> anyhow::Result<Value> {
        let versions = self.team()?.get("modelversions")?;
        let items = versions.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        items.into_iter().max_by_key(|version| text(version, "/metadata/creationTimestamp").to_owned()).context("there is no ModelVersion")
    }

    /// c: its author may not approve it, the gatekeeper may.
    pub fn approve_first(&mut self) -> anyhow::Result<String> {
        let version = self.newest()?;
        let team = self.team()?;
        let Err(refused) = team.apply(&team.ann, &team.approval("ann", &version).to_string()) else { bail!("the author approved her own model") };
        let refused = format!("{refused:#}");
        ensure!(refused.contains("somebody else must approve it"), "refused for another reason: {refused}");
        self.team()?.approve(&version)?;
        Ok("the author was refused, the gatekeeper approved".to_owned())
    }

    fn deployment(&self) -> anyhow::Result<Value> {
        self.team()?.get("modeldeployment/flight-delay")
    }

    fn wait(&self, seconds: u64, expected: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.team()?.wait(seconds, expected)
    }

    fn deploy(&self, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        self.team()?.deploy(change)
    }

    /// d: it serves, and traffic begins.
    pub fn serve(&mut self) -> anyhow::Result<String> {
        self.deploy(|_| {})?;
        self.recorder = Some(Recorder::start(self.team()?));
        self.wait(120, |deployment| is_true(deployment, "Ready") && is_true(deployment, "Promoted"))?;
        let address = self.team()?.address()?;
        let flights = flights::load(&self.stage, "2013-07", 8_000)?;
        self.traffic = Some(Traffic::start(&address, "flight-delay", flights, RATE));
        std::thread::sleep(Duration::from_secs(10));
        let counts = self.traffic.as_ref().map(Traffic::counts).unwrap_or_default();
        let answered: u64 = counts.iter().filter(|((_, code), _)| code == "Ok").map(|(_, count)| count).sum();
        ensure!(answered > u64::from(RATE) * 9, "only {answered} answers in ten seconds: {counts:?}");
        Ok(format!("v1 serves {:.0} calls/s", f64::from(u32::try_from(answered)?) / 10.0))
    }

    /// e: a better model takes over step by step, although the operator is killed on the way.
    pub fn canary(&mut self) -> anyhow::Result<String> {
        let version = self.train("v2.yaml")?;
        let name = text(&version, "/metadata/name").to_owned();
        self.begin_experiments(&version)?;
        self.team()?.approve(&version)?;
        let weight = |deployment: &Value| deployment.pointer("/status/candidate/weight").and_then(Value::as_i64);
        self.wait(120, |deployment| weight(deployment) == Some(1_000))?;
        let restarts = self.operator_restarts()?;
        let killed = kill_operator(&self.stage.folder()?)?;
        self.wait(400, |deployment| weight(deployment) == Some(5_000) || text(deployment, "/status/stable/modelVersion") == name)?;
        let done = self.wait(400, |deployment| text(deployment, "/status/stable/modelVersion") == name || is_true(deployment, "RolledBack"))?;
        ensure!(text(&done, "/status/stable/modelVersion") == name, "v2 was rolled back: {}", reasons(&done));
        ensure!(self.operator_restarts()? == restarts + 1, "the operator's container was not started again");
        let decisions = done.pointer("/status/decisions").and_then(Value::as_array);
        for weight in [5_000, 10_000] {
            let raised =
                |decision: &&Value| text(decision, "/modelVersion") == name && decision["weight"] == weight && text(decision, "/why").contains("errors: ");
            let why = decisions
                .into_iter()
                .flatten()
                .find(raised)
                .map(|decision| text(decision, "/why"))
                .with_context(|| format!("no decision says why v2 got {} %", weight / 100))?;
            ensure!(["errors: ", "skew: ", "page: "].iter().all(|check| why.contains(check)), "v2 got {} % without all of its checks: {why}", weight / 100);
        }
        Ok(format!("v2 auc {:.4} went 10, 50, 100 % by itself, errors, skew and page passed at each; operator process {killed} killed at 10 %", auc(&version)))
    }

    /// How often the operator's container was started again.
    fn operator_restarts(&self) -> anyhow::Result<u64> {
        let pods = self.stage.admin.get("plimsoll-system", "pods")?;
        let operators = pods.pointer("/items").and_then(Value::as_array).into_iter().flatten();
        let containers = operators.filter(|pod| text(pod, "/metadata/labels/app.kubernetes.io~1component") == "operator");
        Ok(containers.filter_map(|pod| pod.pointer("/status/containerStatuses/0/restartCount")?.as_u64()).sum())
    }

    /// g: a pipeline with a bug is caught by a Prometheus alert on the drift gauge; the mended one passes the same rule.
    pub fn drift(&mut self) -> anyhow::Result<String> {
        // The last rollout's bake has to be over: a version that comes earlier waits for it anyway.
        self.deploy(|spec| {
            spec["checkInterval"] = json!("10m");
            spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 10}, {"pause": {"duration": "1m"}}], "checks": ["page"]});
        })?;
        let version = self.train("v3-celsius.yaml")?;
        let name = text(&version, "/metadata/name").to_owned();
        self.team()?.approve(&version)?;
        let caught = self.wait(600, |deployment| is_true(deployment, "RolledBack") || text(deployment, "/status/stable/modelVersion") == name)?;
        ensure!(is_true(&caught, "RolledBack"), "the model with the bug was promoted");
        ensure!(text(&caught, "/status/blocked/0/check") == "page", "blocked: {}", caught.pointer("/status/blocked").unwrap_or(&Value::Null));
        let why = text(&caught, "/status/blocked/0/reason").to_owned();
        let excess = self.drift_that_fired(&self.rolled_back(&caught)?)?;
        let fixed = self.train("v3-fixed.yaml")?;
        let fixed_name = text(&fixed, "/metadata/name").to_owned();
        self.team()?.approve(&fixed)?;
        self.wait(1_000, |deployment| text(deployment, "/status/stable/modelVersion") == fixed_name)?;
        Ok(format!(
            "v3 with Celsius: exported drift rose to {excess:.2}, the alert fired, rolled back although the operator polls every 10 minutes ({why}); v3 mended and promoted"
        ))
    }

    /// The highest drift that was exported for this revision, by which Prometheus fired its alert.
    fn drift_that_fired(&self, revision: &str) -> anyhow::Result<f64> {
        let prometheus = Prometheus::of(&self.stage)?;
        let highest = |series: &str| -> anyhow::Result<f64> {
            let found = prometheus.query(&format!("max(max_over_time({series}[15m]))"))?;
            Ok(found.first().with_context(|| format!("Prometheus has no {series}"))?.last())
        };
        let labels = format!("namespace=\"{NAMESPACE}\", revision=\"{revision}\"");
        let excess = highest(&format!("plimsoll_drift_excess_lower_bound{{{labels}}}"))?;
        ensure!(excess > 0.25, "the exported drift of {revision} rose to {excess} only");
        highest(&format!("ALERTS{{alertname=\"PlimsollCandidateDrift\", alertstate=\"firing\", {labels}}}"))?;
        Ok(excess)
    }

    /// h: a broken runtime is rolled back by its errors, and the model is not to blame.
    pub fn faulty_runtime(&mut self) -> anyhow::Result<String> {
        let before = text(&self.deployment()?, "/status/stable/revision").to_owned();
        self.deploy(|spec| {
            spec["predictor"]["runtime"] = json!("faulty");
            spec["strategy"]["canary"]["checks"] = json!(["errors"]);
        })?;
        let blocked = |deployment: &Value| {
            deployment.pointer("/status/blocked").and_then(Value::as_array).is_some_and(|list| list.iter().any(|pair| text(pair, "/check") == "errors"))
        };
        let caught = self.wait(300, blocked)?;
        ensure!(text(&caught, "/status/stable/revision") == before, "another revision is stable");
        self.faulty = self.rolled_back(&caught)?;
        let why = caught
            .pointer("/status/blocked")
            .and_then(Value::as_array)
            .and_then(|list| list.iter().find(|pair| text(pair, "/check") == "errors"))
            .map(|pair| text(pair, "/reason").to_owned())
            .unwrap_or_default();
        self.deploy(|spec| spec["strategy"]["canary"]["checks"] = json!(["errors"]))?;
        self.wait(120, |deployment| is_true(deployment, "Promoted") && is_true(deployment, "Ready"))?;
        Ok(format!("faulty runtime rolled back ({why}); the good one serves"))
    }

    /// The revision that was rolled back last.
    fn rolled_back(&self, deployment: &Value) -> anyhow::Result<String> {
        let decisions = deployment.pointer("/status/decisions").and_then(Value::as_array);
        let back = decisions.into_iter().flatten().find(|decision| text(decision, "/what") == "RolledBack");
        Ok(text(back.context("no decision says RolledBack")?, "/revision").to_owned())
    }

    /// i: without Prometheus nothing moves.
    pub fn outage(&mut self) -> anyhow::Result<String> {
        self.deploy(|spec| {
            spec["predictor"]["resources"]["requests"]["cpu"] = json!("110m");
            spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 10}, {"pause": {"duration": "20s"}}], "checks": ["errors"]});
        })?;
        let weight = |deployment: &Value| deployment.pointer("/status/candidate/weight").and_then(Value::as_i64);
        self.wait(120, |deployment| weight(deployment) == Some(1_000))?;
        let outage = Duration::from_secs(self.arguments.outage_seconds);
        self.stage.admin.kubectl(&["-n", "monitoring", "scale", "deployment/prometheus", "--replicas=0"])?;
        let start = Instant::now();
        let verdict = |deployment: &Value| text(deployment, "/status/checks/0/verdict").to_owned();
        self.wait(120, |deployment| verdict(deployment) == "ProviderError")?;
        while start.elapsed() < outage {
            let deployment = self.deployment()?;
            ensure!(weight(&deployment) == Some(1_000), "the weight moved while Prometheus was away: {}", reasons(&deployment));
            std::thread::sleep(Duration::from_secs(5));
        }
        self.stage.admin.kubectl(&["-n", "monitoring", "scale", "deployment/prometheus", "--replicas=1"])?;
        let revision = text(&self.deployment()?, "/status/candidate/revision").to_owned();
        self.wait(600, |deployment| text(deployment, "/status/stable/revision") == revision)?;
        Ok(format!("Prometheus away for {} s: weights stood still, verdict ProviderError; then promoted", outage.as_secs()))
    }
}

fn auc(version: &Value) -> f64 {
    version.pointer("/spec/metrics/auc").and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn reasons(deployment: &Value) -> String {
    deployment.pointer("/status/decisions/0/why").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// SIGKILL for the operator's process, as the kernel's out-of-memory killer would send it.
fn kill_operator(cluster: &Path) -> anyhow::Result<u32> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cgroups = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        if line.starts_with(b"/usr/bin/operator\0") && cgroups.contains(&cluster.display().to_string()) {
            let status = Command::new("kill").args(["-KILL", &id.to_string()]).status()?;
            ensure!(status.success(), "the operator cannot be killed");
            return Ok(id);
        }
    }
    bail!("there is no operator process")
}
