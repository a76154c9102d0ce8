//! Everything that an operator made or changed in a namespace, in words that are the same in every run, and what differs between two.
//!
//! Left out: times, resource versions, addresses that the API server draws, and the numbers in a check's message (how many calls were
//! seen before the verdict). A UID becomes the name of the object that has it, so that who owns what is compared. Generations stay:
//! an object that was changed to and fro differs from one that was not.

use std::collections::BTreeMap;

use anyhow::ensure;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use plimsoll_crds::names::LABEL_TRAINING_JOB;
use plimsoll_crds::{ModelDeployment, ModelVersion, TrainingJob};
use serde_json::Value;

/// Fields that tell when or in which order, never what.
const LEFT_OUT: [&str; 3] = ["managedFields", "resourceVersion", "creationTimestamp"];
/// Where the numbers of a check's message begin.
const NUMBERS: &str = "candidate ";

/// The objects of a namespace by kind and name.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    objects: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Reads a namespace.
    ///
    /// # Errors
    /// The API server cannot be asked, or a training run has other than one Job.
    pub async fn take(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let kinds = [
            ApiResource::erase::<TrainingJob>(&()),
            ApiResource::erase::<ModelVersion>(&()),
            ApiResource::erase::<ModelDeployment>(&()),
            ApiResource::erase::<Job>(&()),
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<ControllerRevision>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<ConfigMap>(&()),
            ApiResource::erase::<ServiceAccount>(&()),
            ApiResource::erase::<Role>(&()),
            ApiResource::erase::<RoleBinding>(&()),
            ApiResource::erase::<PodDisruptionBudget>(&()),
            ApiResource::erase::<NetworkPolicy>(&()),
            ApiResource::erase::<PersistentVolumeClaim>(&()),
        ];
        let mut found = Vec::new();
        for kind in &kinds {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
            found.extend(api.list(&ListParams::default()).await?.items.into_iter().map(|object| (kind.kind.clone(), object)));
        }
        one_job_each(&found)?;
        let words = words(namespace, &found);
        let objects = found.iter().map(|(kind, object)| (plain(&format!("{kind}/{}", object.name_any()), &words), normal(&serde_json::json!(object), &words)));
        Ok(Self { objects: objects.collect() })
    }

    /// What is otherwise in `other`, a line each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in self.objects.keys().chain(other.objects.keys()).collect::<std::collections::BTreeSet<_>>() {
            compare(name, self.objects.get(name), other.objects.get(name), &mut lines);
        }
        lines
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }
}

fn one_job_each(found: &[(String, DynamicObject)]) -> anyhow::Result<()> {
    for (_, run) in found.iter().filter(|(kind, _)| kind == "TrainingJob") {
        let jobs = found.iter().filter(|(kind, job)| kind == "Job" && job.labels().get(LABEL_TRAINING_JOB) == Some(&run.name_any())).count();
        ensure!(jobs <= 1, "I1: {} has {jobs} Jobs", run.name_any());
    }
    Ok(())
}

/// What is drawn anew in each run, and the word that stands for it.
fn words(namespace: &str, found: &[(String, DynamicObject)]) -> Vec<(String, String)> {
    let uids = found.iter().map(|(kind, object)| (object.uid().unwrap_or_default(), format!("<uid of {kind} {}>", object.name_any())));
    // The record of the routers' template is named by a hash into which the namespace goes.
    let records = found.iter().filter_map(|(_, object)| Some((object.name_any(), format!("{}-router-<hash>", object.name_any().split_once("-router-")?.0))));
    uids.chain(records).chain([(namespace.to_owned(), "<namespace>".to_owned())]).collect()
}

fn plain(text: &str, words: &[(String, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (drawn, word)| text.replace(drawn, word))
}

fn normal(value: &Value, words: &[(String, String)]) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
            let address = |key: &str, value: &Value| key.starts_with("clusterIP") && !value.to_string().contains("None");
            kept.map(|(key, value)| (key.clone(), if address(key, value) { Value::from("<address>") } else { normal(value, words) })).collect()
        }
        Value::Array(list) => list.iter().map(|value| normal(value, words)).collect(),
        Value::String(text) => Value::from(normal_text(text, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn normal_text(text: &str, words: &[(String, String)]) -> String {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "<time>".to_owned();
    }
    let text = plain(text, words);
    let Some(place) = text.find(NUMBERS).filter(|_| text.contains(" calls failed")) else { return text };
    let (what, numbers) = text.split_at(place);
    let pieces = numbers.split(|letter: char| letter.is_ascii_digit()).filter(|piece| !piece.is_empty());
    what.to_owned() + &pieces.collect::<Vec<_>>().join("#")
}

fn compare(place: &str, ours: Option<&Value>, theirs: Option<&Value>, lines: &mut Vec<String>) {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs => {}
        (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
            for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
                compare(&format!("{place} {key}"), ours.get(key), theirs.get(key), lines);
            }
        }
        (Some(Value::Array(ours)), Some(Value::Array(theirs))) => {
            for index in 0..ours.len().max(theirs.len()) {
                compare(&format!("{place} {index}"), ours.get(index), theirs.get(index), lines);
            }
        }
        (ours, theirs) => {
            let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            lines.push(format!("{place}: undisturbed {}, here {}", show(ours), show(theirs)));
        }
    }
}
