//! Pods, steps of a rollout and the way back.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;
use crate::schema::{Resources, Toleration};

/// The pods that answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predictor {
    /// An entry of the administrator's list of server images (chart value `runtimes`).
    #[serde(default = "default_runtime")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub runtime: String,
    /// Pods of each revision that serves, is tried, or is kept warm: during a rollout and its bake there are twice as many.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,
    /// CPU and memory of a pod.
    #[serde(default)]
    pub resources: Resources,
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of the node that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
}

impl Default for Predictor {
    fn default() -> Self {
        Self { runtime: default_runtime(), replicas: 1, resources: Resources::default(), node_selector: BTreeMap::new(), tolerations: Vec::new() }
    }
}

/// The pods that split traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterSpec {
    /// Router pods.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// A request header that names a user: the same user meets the same revision. Without it, each call is drawn by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9-]+$"))]
    pub sticky_header: Option<String>,
    /// CPU and memory of a pod.
    #[serde(default)]
    pub resources: Resources,
}

impl Default for RouterSpec {
    fn default() -> Self {
        Self { replicas: 2, sticky_header: None, resources: Resources::default() }
    }
}

/// How the next version takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Step by step, with checks.
    #[serde(default)]
    pub canary: Canary,
}

/// A rollout in steps. After the last step the candidate gets all of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// What is done, in order. Before the weight of a candidate that has traffic rises, and before 100 %, every check must pass. Its first
    /// traffic needs no verdict. Without a `setWeight` step that is all of the traffic: then checks run in `rollback.bake` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.all(s, has(s.setWeight) != has(s.pause))", "a step has either setWeight or pause"))]
    pub steps: Vec<CanaryStep>,
    /// Names of entries of `spec.checks`, looked at in every step, in pauses and until `rollback.bake` is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub checks: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// The candidate's share of the traffic, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<SetWeight>,
    /// Stays at the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// Percent of the traffic.
pub type SetWeight = i32;

/// Stays for a time, or until a person says go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long. Without it, until the annotation `plimsoll.dev/resume: <revision>/<step>/<token>` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationText>,
}

/// How long the way back stays open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Old revisions that can be restored.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 20))]
    pub keep: i32,
    /// After a candidate has all of the traffic, its predecessor stays warm and the checks run for this long.
    #[serde(default = "default_bake")]
    pub bake: DurationText,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { keep: 3, bake: default_bake() }
    }
}

fn default_runtime() -> String {
    "default".to_owned()
}

fn default_bake() -> DurationText {
    DurationText::new("10m")
}

fn one() -> i32 {
    1
}

fn two() -> i32 {
    2
}

fn three() -> i32 {
    3
}
