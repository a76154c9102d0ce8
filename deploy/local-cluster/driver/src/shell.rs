//! Other programs: run to their end, or started and remembered.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Runs a program and gives what it printed; its complaints are part of the error.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program whose failure means that there was nothing to do.
pub fn try_run(program: &str, arguments: &[&str]) {
    drop(run(program, arguments));
}

/// Repeats a check until it holds.
pub fn wait_for(what: &str, within: Duration, mut check: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < within {
        match check() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => last = Some(error),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    bail!("{what}: not within {} s{}", within.as_secs(), last.map(|error| format!(": {error:#}")).unwrap_or_default())
}

/// Writes a file together with its folder.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}
