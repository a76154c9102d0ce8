//! Pods, output and the life of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::{Accelerator, Resources, Toleration, optional_object_name, volume_size};

/// The pods that train.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// A device that the pod needs. A run that asks for one and finds none fails for good: it never falls back to the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,
    /// CPU and memory of the pod.
    #[serde(default)]
    pub resources: Resources,
    /// Where the pod keeps its copy of the data, what the query spills, and the model until it is uploaded.
    #[serde(default)]
    pub scratch: Scratch,
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of the node that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
}

/// The scratch space of the pod. It goes with the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scratch {
    /// How much it may hold, for example `50Gi`: the sources, as much again for a query that needs more memory than there is,
    /// and the model. A run that needs more ends, and its condition names this field.
    #[serde(default = "default_scratch_size")]
    #[schemars(schema_with = "volume_size")]
    pub size: String,
    /// What it is made of. `Disk` is the node's disk: the kubelet looks at its size now and then, and ends a pod that uses more.
    /// `Memory` is a disk in memory: fast, a write beyond its size fails at once, and what it holds counts against
    /// `resources.limits.memory`.
    #[serde(default)]
    pub medium: Medium,
}

/// What scratch space is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    /// The node's disk.
    #[default]
    Disk,
    /// A disk in memory.
    Memory,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { size: default_scratch_size(), medium: Medium::default() }
    }
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// A prefix in object storage, as `s3://bucket/prefix`. Every artifact below it is named by its digest.
    #[schemars(length(min = 1, max = 1024))]
    pub uri: String,
    /// A Secret like `data.credentialsSecret`, for writing. The pods that fetch the model to serve it mount the same Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_object_name")]
    pub credentials_secret: Option<String>,
}

/// Attempts, deadlines, suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Attempts before the run has failed. Attempts that a drained or preempted node ended do not count.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: i32,
    /// How long one attempt may take.
    #[serde(default = "default_deadline")]
    pub active_deadline: DurationText,
    /// When finished pods and their Jobs are removed. The TrainingJob itself stays: GitOps would bring it back and train again.
    #[serde(default = "default_time_to_live")]
    pub time_to_live: DurationText,
    /// Holds the run: a running attempt is stopped, and tried again when this is false.
    #[serde(default)]
    pub suspend: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self { max_attempts: default_attempts(), active_deadline: default_deadline(), time_to_live: default_time_to_live(), suspend: false }
    }
}

fn default_scratch_size() -> String {
    "20Gi".to_owned()
}

fn default_attempts() -> i32 {
    3
}

fn default_deadline() -> DurationText {
    DurationText::new("2h")
}

fn default_time_to_live() -> DurationText {
    DurationText::new("24h")
}
