//! The pods and the Service of one revision.

use plimsoll_crds::ModelVersion;
use plimsoll_crds::model_deployment::Predictor;
use plimsoll_crds::names::{self, LABEL_MODEL, LABEL_REVISION, METRICS_PORT, SERVING_PORT};
use serde_json::{Value, json};

use super::evaluator::evaluator_address;
use super::metadata::{MODEL_SERVER, Owner, with};
use super::pod::{TOKEN, no_environment, restricted_container, restricted_pod, scrape_annotations, serving_fields, spread, token};
use crate::deployment::revision::{Desired, Logged, Record};

/// Where the model lies in a pod.
const MODEL_DIRECTORY: &str = "/model";
/// Where the container that fetches it finds its credentials.
const CREDENTIALS_DIRECTORY: &str = "/etc/plimsoll/credentials/model";
/// The largest model.
const MODEL_SIZE_LIMIT: &str = "16Gi";

/// The pod template of a new revision. Rendered once; the record keeps it.
pub fn model_template(owner: &Owner, desired: &Desired, version: &ModelVersion, predictor: &Predictor) -> Value {
    let labels = with(owner.labels(MODEL_SERVER), json!({LABEL_REVISION: desired.reference.revision, LABEL_MODEL: version.spec.model}));
    // Where nobody asks for outcomes, a pod is what it was before there were any.
    let (account, token) = match desired.request.prediction_log {
        Some(_) => (names::model_account(&owner.name), Some(token(owner))),
        None => ("default".to_owned(), None),
    };
    let (token_volume, token_mount) = token.unzip();
    let pod = json!({
        "serviceAccountName": account,
        "automountServiceAccountToken": false,
        "topologySpreadConstraints": spread(&revision_selector(owner, &desired.reference.revision)),
        "initContainers": [fetch(desired, version, predictor)],
        "containers": [server(owner, desired, version, predictor, token_mount)],
        "volumes": volumes(version, token_volume),
    });
    let mut pod = with(restricted_pod(), pod);
    if !predictor.node_selector.is_empty() {
        pod = with(pod, json!({"nodeSelector": predictor.node_selector}));
    }
    if !predictor.tolerations.is_empty() {
        pod = with(pod, json!({"tolerations": tolerations(predictor)}));
    }
    json!({"metadata": {"labels": labels, "annotations": scrape_annotations()}, "spec": pod})
}

/// Fetches the model and checks every byte. The only container that sees credentials.
fn fetch(desired: &Desired, version: &ModelVersion, predictor: &Predictor) -> Value {
    let mut arguments = vec!["fetch", "--uri", &version.spec.uri, "--digest", &version.spec.digest, "--to", MODEL_DIRECTORY];
    let mut mounts = vec![json!({"name": "model", "mountPath": MODEL_DIRECTORY})];
    if version.spec.credentials_secret.is_some() {
        arguments.extend(["--credentials", CREDENTIALS_DIRECTORY]);
        mounts.push(json!({"name": "credentials", "mountPath": CREDENTIALS_DIRECTORY, "readOnly": true}));
    }
    let container = json!({
        "name": "fetch",
        "image": desired.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/plimsoll-artifact"],
        "args": arguments,
        "resources": predictor.resources,
        "securityContext": restricted_container(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    });
    with(container, no_environment())
}

fn server(owner: &Owner, desired: &Desired, version: &ModelVersion, predictor: &Predictor, token: Option<Value>) -> Value {
    let arguments = [
        "--model-directory",
        MODEL_DIRECTORY,
        "--digest",
        &version.spec.digest,
        "--model-name",
        &version.spec.model,
        "--model-version",
        &desired.reference.model_version,
        "--namespace",
        &owner.namespace,
        "--deployment",
        &owner.name,
        "--revision",
        &desired.reference.revision,
        "--serving-port",
        &SERVING_PORT.1.to_string(),
        "--metrics-port",
        &METRICS_PORT.1.to_string(),
    ];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    arguments.extend(desired.request.prediction_log.iter().flat_map(|log| logging(owner, log)));
    let mounts: Vec<Value> = std::iter::once(json!({"name": "model", "mountPath": MODEL_DIRECTORY, "readOnly": true})).chain(token).collect();
    let container = json!({
        "name": "server",
        "image": desired.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/model-server"],
        "args": arguments,
        "resources": predictor.resources,
        "securityContext": restricted_container(),
        "volumeMounts": mounts,
    });
    with(container, serving_fields())
}

/// What makes the server hand its predictions to the evaluator.
fn logging(owner: &Owner, log: &Logged) -> Vec<String> {
    let common = [("--evaluator", evaluator_address(owner)), ("--token", TOKEN.to_owned()), ("--log-sample", log.sample.clone())];
    let mut arguments: Vec<String> = common.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    arguments.extend(log.columns.iter().flat_map(|column| ["--log-column".to_owned(), column.clone()]));
    arguments
}

fn volumes(version: &ModelVersion, token: Option<Value>) -> Value {
    let mut volumes = vec![json!({"name": "model", "emptyDir": {"sizeLimit": MODEL_SIZE_LIMIT}})];
    if let Some(secret) = &version.spec.credentials_secret {
        volumes.push(json!({"name": "credentials", "secret": {"secretName": secret, "defaultMode": 0o440}}));
    }
    volumes.extend(token);
    Value::Array(volumes)
}

fn tolerations(predictor: &Predictor) -> Vec<Value> {
    let mut tolerations = Vec::new();
    for toleration in &predictor.tolerations {
        let operator = if toleration.value.is_some() { "Equal" } else { "Exists" };
        tolerations.push(with(json!(toleration), json!({"operator": operator})));
    }
    tolerations
}

fn revision_selector(owner: &Owner, revision: &str) -> Value {
    with(owner.selector(MODEL_SERVER), json!({LABEL_REVISION: revision}))
}

/// Who model pods are that hand predictions over. No Role names it.
pub fn model_account(owner: &Owner) -> Value {
    let object = owner.child("v1", "ServiceAccount", &names::model_account(&owner.name), &owner.labels(MODEL_SERVER));
    with(object, json!({"automountServiceAccountToken": false}))
}

/// Whether the pods of a revision have a token to show. Those of a revision from before there were tokens have none, and are never restarted
/// for one.
pub fn has_token(owner: &Owner, record: &Record) -> bool {
    let account = record.template.pointer("/spec/serviceAccountName").and_then(Value::as_str);
    account == Some(names::model_account(&owner.name).as_str())
}

/// The pods of a revision, from its record.
pub fn model_deployment(owner: &Owner, record: &Record, replicas: i32) -> Value {
    let revision = &record.reference.revision;
    let object = owner.child("apps/v1", "Deployment", &names::revision_child(&owner.name, revision), &revision_labels(owner, revision));
    with(
        object,
        json!({"spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": revision_selector(owner, revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": record.template,
        }}),
    )
}

/// The Service whose endpoints routers read. It has no address of its own: routers pick pods themselves.
pub fn model_service(owner: &Owner, revision: &str) -> Value {
    let (serving, port) = SERVING_PORT;
    let object = owner.child("v1", "Service", &names::revision_child(&owner.name, revision), &revision_labels(owner, revision));
    with(
        object,
        json!({"spec": {
            "clusterIP": "None",
            "selector": revision_selector(owner, revision),
            "ports": [{"name": serving, "port": port, "targetPort": serving, "protocol": "TCP"}],
        }}),
    )
}

/// The labels of what belongs to one revision.
pub(super) fn revision_labels(owner: &Owner, revision: &str) -> Value {
    with(owner.labels(MODEL_SERVER), json!({LABEL_REVISION: revision}))
}
