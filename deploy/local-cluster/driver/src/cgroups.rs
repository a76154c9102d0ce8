//! The cluster's cgroups: one folder of its own in every hierarchy, so that what is left after a crash is known to be its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::shell::text;

/// Where the machine mounts them.
const MOUNT: &str = "/sys/fs/cgroup";
/// How long a cgroup may stay busy after its last process was killed.
const IDLE_WITHIN: Duration = Duration::from_secs(10);

/// The cgroups of one cluster.
#[derive(Clone, Debug)]
pub struct Cgroups {
    root: String,
}

impl Cgroups {
    /// The cgroups of a cluster.
    pub fn new(cluster: &str) -> Self {
        Self { root: format!("plimsoll-{cluster}") }
    }

    /// As the kubelet is told.
    pub fn root(&self) -> String {
        format!("/{}", self.root)
    }

    /// Makes the folder that the kubelet wants to find in every hierarchy.
    pub fn make(&self) -> anyhow::Result<()> {
        for folder in self.folders() {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(())
    }

    /// Removes all of it, from the leaves up. Processes must have ended.
    pub fn remove(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        for folder in self.folders() {
            while let Err(error) = remove_tree(&folder) {
                if start.elapsed() > IDLE_WITHIN {
                    return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// What is left of it.
    pub fn remains(&self) -> Vec<String> {
        self.folders().iter().filter(|folder| folder.exists()).map(|folder| format!("cgroup {}", text(folder))).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        hierarchies().into_iter().map(|hierarchy| hierarchy.join(&self.root)).collect()
    }
}

/// The mounted hierarchies: one for all controllers, or one for each (version 1).
fn hierarchies() -> Vec<PathBuf> {
    let mount = Path::new(MOUNT);
    if mount.join("cgroup.controllers").exists() {
        return vec![mount.to_owned()];
    }
    let folders = std::fs::read_dir(mount).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(|folder| !folder.is_symlink() && folder.join("cgroup.procs").exists()).collect()
}

/// A cgroup's files are no files: only folders are removed, and only empty ones can be.
fn remove_tree(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(folder)
}
