//! Who wrote what, from the API server's audit log: the one account that no writer can leave out.
//!
//! The local cluster's audit policy records every request but reads, and but leases (which the operator has no right to).

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::text;

/// The operator, as the API server knows it.
pub const OPERATOR: &str = "system:serviceaccount:plimsoll-system:plimsoll-operator";

/// One request that changes something, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When it came.
    pub at: Timestamp,
    /// Who sent it.
    pub user: String,
    /// create, update, patch, delete or deletecollection.
    pub verb: String,
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// Resource, name and subresource.
    pub what: String,
    /// The answer's code.
    pub code: i64,
}

/// An audit log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    /// The log of the cluster with this folder.
    pub fn of(cluster: &Path) -> Self {
        Self { path: cluster.join("audit.log") }
    }

    /// What `user` wrote from this time on, oldest first.
    ///
    /// # Errors
    /// The log cannot be read, or is none.
    pub fn writes(&self, user: &str, since: Timestamp) -> anyhow::Result<Vec<Write>> {
        let file = std::fs::File::open(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let mut found = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line?;
            // Most lines are somebody else's, and parsing is what takes long. The last line may be half-written: it is not ours yet.
            if !line.contains(user) || !line.ends_with('}') {
                continue;
            }
            let write = Write::parse(&serde_json::from_str(&line)?)?;
            if write.user == user && write.at >= since && write.changes() {
                found.push(write);
            }
        }
        found.sort_by_key(|write| write.at);
        Ok(found)
    }
}

impl Write {
    fn parse(event: &Value) -> anyhow::Result<Self> {
        let part = |pointer| text(event, pointer);
        let what = ["/objectRef/resource", "/objectRef/name", "/objectRef/subresource"]
            .map(part)
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        Ok(Self {
            at: part("/requestReceivedTimestamp").parse().context("an audit event without a time")?,
            user: part("/user/username").to_owned(),
            verb: part("/verb").to_owned(),
            namespace: part("/objectRef/namespace").to_owned(),
            what,
            code: event.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or_default(),
        })
    }

    /// Whether it is more than a question. Reviews of one's own rights are created, and change nothing.
    fn changes(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str()) && !self.what.contains("reviews")
    }
}

impl Display for Write {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} {} in {:?} by {} ({})", self.at, self.verb, self.what, self.namespace, self.user, self.code)
    }
}

/// The writes in a namespace.
pub fn within<'a>(writes: &'a [Write], namespace: &str) -> Vec<&'a Write> {
    writes.iter().filter(|write| write.namespace == namespace).collect()
}

/// How many of each kind, for a report.
pub fn summary<'a>(writes: impl IntoIterator<Item = &'a Write>) -> String {
    let mut counts = BTreeMap::<String, u64>::new();
    for write in writes {
        let resource = write.what.split('/').next().unwrap_or_default();
        *counts.entry(format!("{} {resource} in {:?}", write.verb, write.namespace)).or_default() += 1;
    }
    counts.into_iter().map(|(what, count)| format!("{count} x {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, verb: &str, resource: &str, second: u32) -> String {
        serde_json::json!({
            "kind": "Event", "stage": "ResponseComplete", "verb": verb, "user": {"username": user}, "responseStatus": {"code": 200},
            "objectRef": {"resource": resource, "namespace": "flights", "name": "x", "subresource": "status"}, "requestReceivedTimestamp": format!("2026-01-01T00:00:{second:02}.000001Z"),
        })
        .to_string()
    }

    #[test]
    fn writes_of_one_account_since_a_time_are_found_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("plimsoll-audit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lines = [
            event(OPERATOR, "patch", "modeldeployments", 1),
            event(OPERATOR, "patch", "modeldeployments", 30),
            event(OPERATOR, "get", "pods", 31),
            event("ann", "create", "modeldeployments", 32),
            event(OPERATOR, "create", "selfsubjectaccessreviews", 33),
            event(OPERATOR, "delete", "services", 34),
        ];
        std::fs::write(folder.join("audit.log"), format!("{}\n{{\"half\": \"{OPERATOR}", lines.join("\n"))).unwrap();
        let writes = AuditLog::of(&folder).writes(OPERATOR, "2026-01-01T00:00:02Z".parse().unwrap()).unwrap();
        assert_eq!(
            writes.iter().map(|write| (write.verb.as_str(), write.what.as_str())).collect::<Vec<_>>(),
            [("patch", "modeldeployments/x/status"), ("delete", "services/x/status")]
        );
        assert_eq!((within(&writes, "flights").len(), within(&writes, "elsewhere").len()), (2, 0));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
