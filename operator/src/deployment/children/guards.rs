//! Disruption budgets and network policies.
//!
//! What network policies cannot say: the container that fetches a model and the one that serves it share a pod's network, and an
//! object store has no address that is known here. So model pods may reach other pods and the outside, but not
//! link-local addresses (where clouds keep their metadata services). That the server holds no credentials is what protects them.

use plimsoll_crds::names::{self, METRICS_PORT, SERVING_PORT};
use serde_json::{Value, json};

use super::metadata::{EVALUATOR, MODEL_SERVER, Owner, ROUTER, with};
use super::model::revision_labels;

/// The most pods of `selector` that a drain may take at a time: one.
pub fn disruption_budget(owner: &Owner, revision: Option<&str>) -> Value {
    let (name, labels, selector) = match revision {
        Some(revision) => {
            let selector = with(owner.selector(MODEL_SERVER), json!({names::LABEL_REVISION: revision}));
            (names::revision_child(&owner.name, revision), revision_labels(owner, revision), selector)
        }
        None => (names::router(&owner.name), owner.labels(ROUTER), owner.selector(ROUTER)),
    };
    with(owner.child("policy/v1", "PodDisruptionBudget", &name, &labels), json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}}}))
}

/// Model pods answer this deployment's routers, and tell their metrics to the operator and to Prometheus.
pub fn model_network_policy(owner: &Owner, metrics_namespaces: &[String]) -> Value {
    let routers = json!([{"podSelector": {"matchLabels": owner.selector(ROUTER)}}]);
    with(
        owner.child("networking.k8s.io/v1", "NetworkPolicy", &format!("{}-model", owner.name), &owner.labels(MODEL_SERVER)),
        json!({"spec": {
            "podSelector": {"matchLabels": owner.selector(MODEL_SERVER)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": routers, "ports": [port(SERVING_PORT)]}, metrics_rule(metrics_namespaces)],
            "egress": [{"to": [
                {"namespaceSelector": {}},
                {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
                {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
            ]}],
        }}),
    )
}

/// Routers answer everybody, and tell their metrics and routes to the operator and to Prometheus.
pub fn router_network_policy(owner: &Owner, metrics_namespaces: &[String]) -> Value {
    with(
        owner.child("networking.k8s.io/v1", "NetworkPolicy", &names::router(&owner.name), &owner.labels(ROUTER)),
        json!({"spec": {
            "podSelector": {"matchLabels": owner.selector(ROUTER)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [port(SERVING_PORT)]}, metrics_rule(metrics_namespaces)],
        }}),
    )
}

/// The evaluator answers this deployment's routers and model servers, and tells its metrics to the operator and to Prometheus.
pub fn evaluator_network_policy(owner: &Owner, metrics_namespaces: &[String]) -> Value {
    let callers = [ROUTER, MODEL_SERVER].map(|component| json!({"podSelector": {"matchLabels": owner.selector(component)}}));
    with(
        owner.child("networking.k8s.io/v1", "NetworkPolicy", &names::evaluator(&owner.name), &owner.labels(EVALUATOR)),
        json!({"spec": {
            "podSelector": {"matchLabels": owner.selector(EVALUATOR)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": callers, "ports": [port(SERVING_PORT)]}, metrics_rule(metrics_namespaces)],
        }}),
    )
}

fn metrics_rule(namespaces: &[String]) -> Value {
    json!({
        "from": [{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]}}],
        "ports": [port(METRICS_PORT)],
    })
}

fn port((_, number): (&str, i32)) -> Value {
    json!({"port": number, "protocol": "TCP"})
}
