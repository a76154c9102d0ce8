//! Versions, and where things lie outside the tree.

use std::path::PathBuf;

/// Kubernetes, all of its components.
pub const KUBERNETES: &str = "v1.36.3";
/// containerd, its shim and ctr.
pub const CONTAINERD: &str = "v2.4.2";
/// runc.
pub const RUNC: &str = "v1.4.0";
/// CoreDNS.
pub const COREDNS: &str = "v1.13.1";
/// The S3 server.
pub const VERSITYGW: &str = "v1.8.0";
/// Helm.
pub const HELM: &str = "v4.3.1";

/// The cache folder of all checkouts on this machine.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache/plimsoll");
    std::env::var_os("PLIMSOLL_CACHE").map_or_else(home, PathBuf::from)
}

/// A program that was built.
pub fn program(name: &str, version: &str) -> PathBuf {
    cache().join("bin").join(format!("{name}-{version}"))
}

/// Images, their layers, and the values file.
pub fn images() -> PathBuf {
    cache().join("images")
}

/// This checkout.
pub fn tree() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}
