//! Pods, output and the life of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::{Accelerator, Resources, Toleration, optional_object_name};

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
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of the node that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
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

fn default_attempts() -> i32 {
    3
}

fn default_deadline() -> DurationText {
    DurationText::new("2h")
}

fn default_time_to_live() -> DurationText {
    DurationText::new("24h")
}
