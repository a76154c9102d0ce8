//! Programs from the Go module proxy, each built once per machine and version.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::paths::{CONTAINERD, COREDNS, HELM, KUBERNETES, RUNC, VERSITYGW, program, tree};
use crate::shell::text;

/// Builds whatever is missing.
pub fn build() -> anyhow::Result<()> {
    kubernetes()?;
    for name in ["containerd", "ctr", "containerd-shim-runc-v2"] {
        install(&format!("github.com/containerd/containerd/v2/cmd/{name}"), CONTAINERD, &[])?;
    }
    install("github.com/opencontainers/runc", RUNC, &["-tags=seccomp"])?;
    install("github.com/coredns/coredns", COREDNS, &[])?;
    install("github.com/versity/versitygw/cmd/versitygw", VERSITYGW, &[])?;
    install("helm.sh/helm/v4/cmd/helm", HELM, &[])
}

/// The node binary, linked by the module beside this program. Without the version kubectl and helm cannot parse what the server says.
pub fn kubernetes() -> anyhow::Result<()> {
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        let [major, minor] = [1, 36];
        flags += &format!(" -X {package}.gitVersion={KUBERNETES} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
    }
    once("kubernetes", KUBERNETES, |target| {
        let mut command = Command::new("go");
        command.current_dir(tree().join("deploy/local-cluster/kubernetes")).env("CGO_ENABLED", "0");
        command.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(target).arg(".");
        command
    })
}

fn install(package: &str, version: &str, flags: &[&str]) -> anyhow::Result<()> {
    let name = package.rsplit('/').next().unwrap_or(package);
    once(name, version, |target| {
        let mut command = Command::new("go");
        // runc needs C for seccomp; everything else is static without it.
        command.env("CGO_ENABLED", if name == "runc" { "1" } else { "0" }).env("GOBIN", target.with_extension("folder"));
        command.args(["install", "-trimpath", "-ldflags", "-s -w"]).args(flags).arg(format!("{package}@{version}"));
        command
    })
}

/// Runs a build unless its result is there; a half-finished one does not count.
fn once(name: &str, version: &str, build: impl Fn(&Path) -> Command) -> anyhow::Result<()> {
    let result = program(name, version);
    if result.is_file() {
        return Ok(());
    }
    std::fs::create_dir_all(result.parent().context("the cache has a parent")?)?;
    let unfinished = result.with_extension(format!("{}.unfinished", std::process::id()));
    eprintln!("building {name} {version} (once per machine) ...");
    let start = Instant::now();
    let status = build(&unfinished).status().context("cannot run go: install Go 1.26 or newer")?;
    if !status.success() {
        bail!("building {name} {version} failed");
    }
    let folder = unfinished.with_extension("folder");
    if folder.is_dir() {
        std::fs::rename(folder.join(name), &unfinished)?;
        std::fs::remove_dir(&folder)?;
    }
    std::fs::rename(&unfinished, &result).with_context(|| text(&result))?;
    eprintln!("built {name} {version} in {} s", start.elapsed().as_secs());
    Ok(())
}
