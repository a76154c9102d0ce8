//! Releases of Plimsoll on a cluster: what is installed, another one to go to, and the way there and back.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::cluster::text;
use crate::stage::Stage;

/// Where the charts are installed.
pub const NAMESPACE: &str = "plimsoll-system";
/// Images that a release brings.
const PARTS: [&str; 5] = ["operator", "router", "model-server", "trainer", "evaluator"];

/// What Helm was told: the values of the chart `plimsoll`.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    values: Value,
}

impl Release {
    /// What is installed.
    ///
    /// # Errors
    /// Nothing is.
    pub fn installed(stage: &Stage) -> anyhow::Result<Self> {
        let values = stage.helm(&["get", "values", "plimsoll", "--namespace", NAMESPACE, "--output", "json"])?;
        Ok(Self { values: serde_json::from_str(&values)? })
    }

    /// The same settings with images of their own, which are made and loaded: the programs that were built last, labelled as another release.
    ///
    /// # Errors
    /// The programs were not built, or the cluster takes no images.
    pub fn next(&self, stage: &Stage, label: &str) -> anyhow::Result<Self> {
        let folder = PathBuf::from(local_cluster(stage, &["images", "--release", label])?.trim());
        let made = std::fs::read_to_string(folder.join("values.json"))?;
        let archives: Vec<String> = PARTS.iter().map(|part| folder.join(format!("{part}.tar")).display().to_string()).collect();
        let mut arguments = vec!["load", stage.name()?];
        arguments.extend(archives.iter().map(String::as_str));
        local_cluster(stage, &arguments)?;
        // The cluster has them now.
        std::fs::remove_dir_all(&folder)?;
        let mut values = self.values.clone();
        merge(&mut values, serde_json::from_str(&made)?);
        Ok(Self { values })
    }

    /// An image, by its key in the values.
    pub fn image(&self, part: &str) -> &str {
        text(&self.values, &format!("/images/{part}"))
    }

    /// Brings the cluster to this release, as an administrator would, and waits for it.
    ///
    /// # Errors
    /// What helm complained about.
    pub fn install(&self, stage: &Stage) -> anyhow::Result<()> {
        let path = tempfile::Builder::new().suffix(".json").tempfile()?.into_temp_path();
        std::fs::write(&path, self.values.to_string())?;
        stage.helm(&["upgrade", "plimsoll-crds", "charts/plimsoll-crds", "--wait"])?;
        stage
            .helm(&["upgrade", "plimsoll", "charts/plimsoll", "--namespace", NAMESPACE, "--values", &path.display().to_string(), "--wait", "--timeout", "120s"])
            .map(drop)
    }
}

fn local_cluster(stage: &Stage, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(stage.program("local-cluster")).args(arguments).output().context("build plimsoll-local-cluster")?;
    ensure!(output.status.success(), "local-cluster {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Puts values over others, as Helm does with a second file.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}
