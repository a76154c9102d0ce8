//! The evaluator: its pod, its volume, and where others find it.
//!
//! There is one pod, and the old one ends before the new one starts: one program owns the database (which also locks it). Its template is
//! pinned like the routers': a new image reaches it with the next change of `spec.outcomes`, or when somebody deletes the
//! ControllerRevision `<deployment>-evaluator-<hash>`. The volume is made once and never changed, and stays until the ModelDeployment is deleted.
//! It takes records from the deployment's own pods only, whom it knows by tokens; the keys to check them come with a ConfigMap, for it has no
//! access to the API server.

use plimsoll_crds::model_deployment::{Outcomes, SqliteVolume};
use plimsoll_crds::names::{self, JWKS_KEY, METRICS_PORT, SERVING_PORT};
use serde_json::{Value, json};

use super::metadata::{EVALUATOR, Owner, with};
use super::pod::{probed_fields, restricted_container, restricted_pod, scrape_annotations};
use super::records::PinnedTemplate;
use crate::deployment::rules::Collection;

/// Where the volume is mounted.
const DATA: &str = "/data";
/// Where the Secret with the connection string is mounted, and the file in it.
const DATABASE: &str = "/etc/plimsoll/credentials/database";
const URL_KEY: &str = "url";
/// Where the export finds its credentials.
const EXPORT: &str = "/etc/plimsoll/credentials/export";
/// Where the keys are that tokens are checked with.
const KEYS: &str = "/etc/plimsoll/keys";

/// Where the deployment's model servers find it.
pub fn evaluator_address(owner: &Owner) -> String {
    format!("http://{}.{}:{}", names::evaluator(&owner.name), owner.namespace, SERVING_PORT.1)
}

/// What changes the pod: fields of the spec, and whether everybody who hands records over has a token to show.
pub fn evaluator_request(outcomes: &Outcomes, collection: Collection, tokens: bool) -> Value {
    let volume = outcomes.database.sqlite.is_some();
    let database = outcomes.database.postgresql.as_ref().map(|database| &database.secret);
    let request = json!({
        "maturitySeconds": collection.maturity.as_secs(),
        "retentionSeconds": collection.retention.as_secs(),
        "volume": volume,
        "postgresql": database,
        "export": outcomes.export,
        "resources": outcomes.resources,
    });
    if tokens { with(request, json!({"tokens": true})) } else { request }
}

/// The evaluator's template with this image.
pub fn evaluator_template(owner: &Owner, outcomes: &Outcomes, (collection, tokens): (Collection, bool), image: &str) -> PinnedTemplate {
    let (sources, mounts): (Vec<Value>, Vec<Value>) = volumes(owner, outcomes).into_iter().chain(tokens.then(|| keys(owner))).unzip();
    let arguments: Vec<String> = arguments(owner, outcomes, collection).into_iter().chain(tokens.then(|| access(owner)).into_iter().flatten()).collect();
    let container = json!({
        "name": "evaluator",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/evaluator"],
        "args": arguments,
        "resources": outcomes.resources,
        "securityContext": restricted_container(),
        "volumeMounts": mounts,
    });
    let pod = json!({
        "serviceAccountName": "default",
        "automountServiceAccountToken": false,
        "containers": [with(container, probed_fields())],
        "volumes": sources,
    });
    let template = json!({
        "metadata": {"labels": owner.labels(EVALUATOR), "annotations": scrape_annotations()},
        "spec": with(restricted_pod(), pod),
    });
    PinnedTemplate { request: evaluator_request(outcomes, collection, tokens), template }
}

/// From whom it takes what.
fn access(owner: &Owner) -> [String; 8] {
    let subject = |account: &str| names::subject(&owner.namespace, account);
    let audience = names::evaluator_audience(&owner.namespace, &owner.name, &owner.uid);
    let (model, router) = (subject(&names::model_account(&owner.name)), subject(&names::router(&owner.name)));
    let name = str::to_owned;
    [name("--keys"), format!("{KEYS}/{JWKS_KEY}"), name("--audience"), audience, name("--predictions-from"), model, name("--outcomes-from"), router]
}

fn keys(owner: &Owner) -> (Value, Value) {
    let source = json!({"name": "keys", "configMap": {"name": names::evaluator(&owner.name)}});
    (source, json!({"name": "keys", "mountPath": KEYS, "readOnly": true}))
}

/// The keys with which the API server signs tokens. They are public.
pub fn evaluator_keys(owner: &Owner, jwks: &str) -> Value {
    let object = owner.child("v1", "ConfigMap", &names::evaluator(&owner.name), &owner.labels(EVALUATOR));
    with(object, json!({"data": {JWKS_KEY: jwks}}))
}

fn arguments(owner: &Owner, outcomes: &Outcomes, collection: Collection) -> Vec<String> {
    let database = if outcomes.database.postgresql.is_some() {
        // One database may serve many deployments; their UIDs never meet.
        let schema = format!("plimsoll_{}", owner.uid.replace('-', "_"));
        vec!["--postgresql-url-file".to_owned(), format!("{DATABASE}/{URL_KEY}"), "--schema".to_owned(), schema]
    } else {
        vec!["--sqlite".to_owned(), format!("{DATA}/evaluator.sqlite")]
    };
    let export = outcomes.export.iter().flat_map(|export| {
        let credentials = export.credentials_secret.iter().flat_map(|_| ["--export-credentials".to_owned(), EXPORT.to_owned()]);
        ["--export".to_owned(), export.uri.clone()].into_iter().chain(credentials)
    });
    let common = [
        ("--window-seconds", collection.maturity.as_secs().to_string()),
        ("--retention-seconds", collection.retention.as_secs().to_string()),
        ("--namespace", owner.namespace.clone()),
        ("--deployment", owner.name.clone()),
        ("--serving-port", SERVING_PORT.1.to_string()),
        ("--metrics-port", METRICS_PORT.1.to_string()),
    ];
    database.into_iter().chain(export).chain(common.into_iter().flat_map(|(name, value)| [name.to_owned(), value])).collect()
}

/// Volumes, each with its mount.
fn volumes(owner: &Owner, outcomes: &Outcomes) -> Vec<(Value, Value)> {
    let secret = |name: &str, secret: &str, path: &str| {
        let source = json!({"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}});
        (source, json!({"name": name, "mountPath": path, "readOnly": true}))
    };
    let data = match &outcomes.database.postgresql {
        Some(database) => secret("database", &database.secret, DATABASE),
        None => {
            let source = json!({"name": "data", "persistentVolumeClaim": {"claimName": names::evaluator(&owner.name)}});
            (source, json!({"name": "data", "mountPath": DATA}))
        }
    };
    let export = outcomes.export.iter().filter_map(|export| Some(secret("export", export.credentials_secret.as_deref()?, EXPORT)));
    std::iter::once(data).chain(export).collect()
}

/// The evaluator's pod.
pub fn evaluator_deployment(owner: &Owner, record: &PinnedTemplate) -> Value {
    let object = owner.child("apps/v1", "Deployment", &names::evaluator(&owner.name), &owner.labels(EVALUATOR));
    with(
        object,
        json!({"spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": owner.selector(EVALUATOR)},
            "strategy": {"type": "Recreate"},
            "template": record.template,
        }}),
    )
}

/// The Service whose endpoint routers read and whose address model servers use.
pub fn evaluator_service(owner: &Owner) -> Value {
    let (serving, port) = SERVING_PORT;
    let object = owner.child("v1", "Service", &names::evaluator(&owner.name), &owner.labels(EVALUATOR));
    with(
        object,
        json!({"spec": {
            "type": "ClusterIP",
            "selector": owner.selector(EVALUATOR),
            "ports": [{"name": serving, "port": port, "targetPort": serving, "protocol": "TCP"}],
        }}),
    )
}

/// The volume for the database.
pub fn evaluator_volume(owner: &Owner, volume: &SqliteVolume) -> Value {
    let object = owner.child("v1", "PersistentVolumeClaim", &names::evaluator(&owner.name), &owner.labels(EVALUATOR));
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": volume.size}}});
    if let Some(class) = &volume.storage_class_name {
        spec = with(spec, json!({"storageClassName": class}));
    }
    with(object, json!({"spec": spec}))
}
