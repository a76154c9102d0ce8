//! A cluster, by way of kubectl: what a user would see.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

/// A cluster, as one person.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    posing_as: Option<String>,
}

impl Cluster {
    /// Talks to the cluster of this kubeconfig with this kubectl (the multi-call binary of the local cluster, or a real one).
    pub fn new(kubeconfig: PathBuf, kubectl: PathBuf) -> Self {
        Self { kubeconfig, kubectl, posing_as: None }
    }

    /// The same cluster as somebody else.
    #[must_use]
    pub fn with(&self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, kubectl: self.kubectl.clone(), posing_as: None }
    }

    /// The same person as somebody else, as far as they may impersonate them.
    #[must_use]
    pub fn posing_as(&self, user: &str) -> Self {
        Self { posing_as: Some(user.to_owned()), ..self.clone() }
    }

    /// The file that says where it is.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl.
    ///
    /// # Errors
    /// What kubectl complained about.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with(arguments, None)
    }

    /// Runs kubectl with something on its standard input.
    ///
    /// # Errors
    /// What kubectl complained about.
    pub fn kubectl_with(&self, arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
        let mut command = Command::new(&self.kubectl);
        if !self.kubectl.ends_with("kubectl") {
            command.arg("kubectl");
        }
        command.arg(format!("--kubeconfig={}", self.kubeconfig.display())).args(arguments);
        command.args(self.posing_as.iter().map(|user| format!("--as={user}")));
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run kubectl")?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies a manifest, as GitOps would.
    ///
    /// # Errors
    /// The API server refused.
    pub fn apply(&self, manifest: &str) -> anyhow::Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], Some(manifest))
    }

    /// An object, if it is there.
    ///
    /// # Errors
    /// The API server cannot be asked.
    pub fn get(&self, namespace: &str, what: &str) -> anyhow::Result<Value> {
        let text = self.kubectl(&["-n", namespace, "get", what, "-o", "json", "--ignore-not-found"])?;
        if text.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    /// Waits until an object says what is expected.
    ///
    /// # Errors
    /// It does not in time; the error shows its status.
    pub fn wait(&self, namespace: &str, what: &str, within: Duration, expected: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            let object = self.get(namespace, what).unwrap_or_default();
            if expected(&object) {
                return Ok(object);
            }
            if start.elapsed() > within {
                bail!("{what}: not within {} s; its status: {}", within.as_secs(), object.get("status").unwrap_or(&Value::Null));
            }
            // Each question is a process: who has waited long asks less often, or a dozen who wait would keep two processors busy.
            std::thread::sleep((start.elapsed() / 10).clamp(Duration::from_millis(500), Duration::from_secs(3)));
        }
    }
}

/// Whether the object has the condition, and it is true.
pub fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|found| found.get("type").and_then(Value::as_str) == Some(condition) && found.get("status").and_then(Value::as_str) == Some("True"))
}

/// A text in an object, empty when absent.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
