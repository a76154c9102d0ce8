//! The routers, what they may read, and the Service that callers use.
//!
//! The routers' template is pinned like a revision's: a new router image in the operator's configuration restarts nothing. It
//! reaches the routers with the next change of `spec.router.resources`, when outcomes are asked for or no longer, or at once when someone
//! deletes the ControllerRevision `<deployment>-router-<hash>`.

use plimsoll_crds::model_deployment::RouterSpec;
use plimsoll_crds::names::{self, ROUTES_KEY, SERVING_PORT};
use serde_json::{Value, json};

use super::metadata::{Owner, ROUTER, with};
use super::pod::{TOKEN, restricted_container, restricted_pod, scrape_annotations, serving_fields, spread, token};
use super::records::PinnedTemplate;
use crate::deployment::routes::Routes;

/// The routers' template with this image. Where outcomes are asked for, they have a token to show the evaluator.
pub fn router_template(owner: &Owner, spec: &RouterSpec, outcomes: bool, image: &str) -> PinnedTemplate {
    let mut container = json!({
        "name": "router",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/router"],
        "args": ["--namespace", owner.namespace, "--deployment", owner.name],
        "resources": spec.resources,
        "securityContext": restricted_container(),
    });
    let mut pod = json!({
        "serviceAccountName": names::router(&owner.name),
        "automountServiceAccountToken": true,
        "topologySpreadConstraints": spread(&owner.selector(ROUTER)),
    });
    if outcomes {
        let (volume, mount) = token(owner);
        let arguments = ["--namespace", &owner.namespace, "--deployment", &owner.name, "--evaluator-token", TOKEN];
        container = with(container, json!({"args": arguments, "volumeMounts": [mount]}));
        pod = with(pod, json!({"volumes": [volume]}));
    }
    let pod = with(pod, json!({"containers": [with(container, serving_fields())]}));
    let template = json!({
        "metadata": {"labels": owner.labels(ROUTER), "annotations": scrape_annotations()},
        "spec": with(restricted_pod(), pod),
    });
    PinnedTemplate { request: router_request(spec, outcomes), template }
}

/// The fields of the spec that change a router pod. Nothing is said about outcomes where nobody asks for them: those routers are never
/// restarted because others may be asked.
pub fn router_request(spec: &RouterSpec, outcomes: bool) -> Value {
    let request = json!({"resources": spec.resources});
    if outcomes { with(request, json!({"outcomes": true})) } else { request }
}

/// The routers.
pub fn router_deployment(owner: &Owner, spec: &RouterSpec, record: &PinnedTemplate) -> Value {
    let object = owner.child("apps/v1", "Deployment", &names::router(&owner.name), &owner.labels(ROUTER));
    with(
        object,
        json!({"spec": {
            "replicas": spec.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": owner.selector(ROUTER)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": record.template,
        }}),
    )
}

/// The Service that callers use.
pub fn caller_service(owner: &Owner) -> Value {
    let (serving, port) = SERVING_PORT;
    let object = owner.child("v1", "Service", &owner.name, &owner.labels(ROUTER));
    with(
        object,
        json!({"spec": {
            "type": "ClusterIP",
            "selector": owner.selector(ROUTER),
            "ports": [{"name": serving, "port": port, "targetPort": serving, "protocol": "TCP"}],
        }}),
    )
}

/// What routers follow.
pub fn routes_config(owner: &Owner, routes: &Routes) -> Value {
    let text = serde_json::to_string(routes).unwrap_or_default();
    with(owner.child("v1", "ConfigMap", &names::routes(&owner.name), &owner.labels(ROUTER)), json!({"data": {ROUTES_KEY: text}}))
}

/// Who routers are.
pub fn service_account(owner: &Owner) -> Value {
    with(owner.child("v1", "ServiceAccount", &names::router(&owner.name), &owner.labels(ROUTER)), json!({"automountServiceAccountToken": false}))
}

/// What routers may do: follow one ConfigMap by its name, and the endpoints of their namespace.
pub fn role(owner: &Owner) -> Value {
    let verbs = ["get", "list", "watch"];
    with(
        owner.child("rbac.authorization.k8s.io/v1", "Role", &names::router(&owner.name), &owner.labels(ROUTER)),
        json!({"rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [names::routes(&owner.name)], "verbs": verbs},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
        ]}),
    )
}

/// Gives the Role to the ServiceAccount.
pub fn role_binding(owner: &Owner) -> Value {
    let name = names::router(&owner.name);
    with(
        owner.child("rbac.authorization.k8s.io/v1", "RoleBinding", &name, &owner.labels(ROUTER)),
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}],
        }),
    )
}
