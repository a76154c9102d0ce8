//! What kubectl and GitOps tools rest on.

mod apply;
mod explain;
mod show;
