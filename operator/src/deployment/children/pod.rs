//! What every pod of a deployment has in common: it runs restricted, and ends without losing a call.

use plimsoll_crds::names::{self, METRICS_PORT, SERVING_PORT};
use serde_json::{Value, json};

use super::metadata::{Owner, with};

/// The user that images are built for.
const USER: i64 = 65532;
/// Seconds between a pod's removal from its Service and its end signal: routers and kube-proxies learn of it meanwhile.
/// This is the drain delay of a revision that is scaled down.
const PRE_STOP_SECONDS: i64 = 10;
/// Seconds until a pod that does not end is killed: the drain delay, and the longest call.
const GRACE_SECONDS: i64 = 60;
/// Seconds that a pod may take to load its model.
const START_SECONDS: i64 = 300;
/// Where a pod finds the token that it shows the evaluator.
pub(super) const TOKEN: &str = "/var/run/secrets/plimsoll/token";
const TOKEN_DIRECTORY: &str = "/var/run/secrets/plimsoll";
const TOKEN_FILE: &str = "token";
/// Seconds that a token is good for; the kubelet renews it long before. Whoever steals one has it for that long.
const TOKEN_SECONDS: i64 = 3600;

/// The fields of a pod that are the same for model servers, routers and evaluators. What is empty here is what nobody may add.
pub(super) fn restricted_pod() -> Value {
    json!({
        "initContainers": [],
        "hostAliases": [],
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": GRACE_SECONDS,
    })
}

/// A container's security.
pub(super) fn restricted_container() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// A container's environment: none, and nobody may add one.
pub(super) fn no_environment() -> Value {
    json!({"env": [], "envFrom": []})
}

/// Ports, probes and the orderly end of a container that answers calls.
pub(super) fn serving_fields() -> Value {
    with(probed_fields(), json!({"lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}}}))
}

/// Ports and probes of a container that answers calls.
pub(super) fn probed_fields() -> Value {
    let (serving, serving_port) = SERVING_PORT;
    let (metrics, metrics_port) = METRICS_PORT;
    let fields = json!({
        "ports": [
            {"name": serving, "containerPort": serving_port, "protocol": "TCP"},
            {"name": metrics, "containerPort": metrics_port, "protocol": "TCP"},
        ],
        "startupProbe": {"httpGet": {"path": "/livez", "port": metrics}, "periodSeconds": 1, "failureThreshold": START_SECONDS},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": metrics}, "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": metrics}, "periodSeconds": 10, "failureThreshold": 3},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    with(fields, no_environment())
}

/// The token with which a pod hands records to the deployment's evaluator, and its mount. It opens nothing else: it is for another audience than
/// the API server.
pub(super) fn token(owner: &Owner) -> (Value, Value) {
    let audience = names::evaluator_audience(&owner.namespace, &owner.name, &owner.uid);
    let source = json!({"serviceAccountToken": {"audience": audience, "expirationSeconds": TOKEN_SECONDS, "path": TOKEN_FILE}});
    (json!({"name": TOKEN_FILE, "projected": {"sources": [source]}}), json!({"name": TOKEN_FILE, "mountPath": TOKEN_DIRECTORY, "readOnly": true}))
}

/// Tells Prometheus where to look.
pub(super) fn scrape_annotations() -> Value {
    json!({"prometheus.io/scrape": "true", "prometheus.io/port": METRICS_PORT.1.to_string(), "prometheus.io/path": "/metrics"})
}

/// Pods of one kind prefer different nodes.
pub(super) fn spread(labels: &Value) -> Value {
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }])
}
