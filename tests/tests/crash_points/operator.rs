//! The operator as a process: its files, its start and its sudden end.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use kube::Client;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::proxy::{Point, Proxy};

/// What one operator is about.
#[derive(Clone, Debug)]
pub struct Habitat {
    /// Its program.
    pub program: PathBuf,
    /// A folder for its files.
    pub folder: PathBuf,
    /// The namespace that it looks after.
    pub namespace: String,
    /// Where it answers probes.
    pub address: Ipv4Addr,
}

/// A running operator behind its own proxy. Both end with this value.
pub struct Operator {
    /// What it talks through.
    pub proxy: Proxy,
    child: Child,
}

impl Operator {
    /// Starts one that is killed at `point`. `life` counts the operators of one run.
    pub async fn start(client: Client, habitat: &Habitat, point: Option<Point>, life: u32) -> anyhow::Result<Self> {
        let proxy = Proxy::start(client, &habitat.namespace, point).await?;
        let file = |name: &str| habitat.folder.join(format!("{}-{life}-{name}", habitat.namespace));
        let (configuration, kubeconfig) = (file("configuration.json"), file("kubeconfig.json"));
        let image = |name: &str| format!("registry.example/{name}@sha256:{}", "0".repeat(64));
        write(
            &configuration,
            &json!({
                "images": {"router": image("router"), "modelServer": image("model-server"), "trainer": image("trainer"), "evaluator": image("evaluator")},
                "runtimes": {"default": image("model-server")},
                "watchNamespace": habitat.namespace,
            }),
        )?;
        write(
            &kubeconfig,
            &json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
                "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", proxy.address)}}],
                "users": [{"name": "operator", "user": {}}],
                "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            }),
        )?;
        let mut command = Command::new(&habitat.program);
        // Nothing of this machine's environment: no proxy setting, no other kubeconfig.
        command.env_clear().env("KUBECONFIG", &kubeconfig).arg("--config").arg(&configuration).arg("--listen").arg(habitat.address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(file("log.json"))?).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot run {}", habitat.program.display()))?;
        Ok(Self { proxy, child })
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the operator ended by itself")
    }
}

fn write(path: &Path, content: &serde_json::Value) -> anyhow::Result<()> {
    std::fs::write(path, content.to_string()).with_context(|| path.display().to_string())
}
