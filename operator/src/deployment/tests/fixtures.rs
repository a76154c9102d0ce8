//! Objects that tests start from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_approval::Decision;
use plimsoll_crds::model_deployment::Outcomes;
use plimsoll_crds::{ABTest, ModelApproval, ModelDeployment, ModelVersion};
use serde_json::{Value, json};

use crate::deployment::observed::Settings;

pub const CHECKS: [&str; 2] = ["errors", "skew"];
/// What the API server publishes.
pub const KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"first"}]}"#;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn digest(number: u8) -> String {
    format!("sha256:{}", format!("{number:02x}").repeat(32))
}

pub fn version_name(number: u8) -> String {
    plimsoll_crds::names::model_version("flight-delay", &digest(number))
}

/// Version `number`, created `number` seconds after the epoch.
pub fn version(number: u8) -> ModelVersion {
    let mut version: ModelVersion = serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": version_name(number), "namespace": "flights", "uid": format!("version-{number}")},
        "spec": {
            "model": "flight-delay",
            "digest": digest(number),
            "contentDigest": digest(number.wrapping_add(100)),
            "uri": format!("s3://models/flight-delay/{number}"),
            "credentialsSecret": "object-store",
            "signature": {"inputs": [], "outputs": []},
            "metrics": {},
            "report": {"uri": "s3://models/report", "digest": digest(200)},
            "dataDigests": {},
            "window": {"from": "2013-01-01", "to": "2013-07-01"},
            "trainingJob": {"name": "job", "uid": "job-uid"},
            "author": "ada",
            "softwareVersion": "0.1.0",
        },
    }))
    .unwrap();
    version.metadata.creation_timestamp = Some(Time(at(i64::from(number))));
    version
}

pub fn approval(number: u8, decision: Decision) -> ModelApproval {
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelApproval",
        "metadata": {"name": format!("{}-{decision:?}", version_name(number)).to_lowercase(), "namespace": "flights"},
        "spec": {"modelVersion": version_name(number), "digest": digest(number), "decision": decision, "approver": "grace", "reason": "read the report"},
    }))
    .unwrap()
}

/// 10 %, two minutes, 50 %, two minutes, 100 %, ten minutes of bake.
pub fn deployment(version: &str) -> ModelDeployment {
    deployment_with(version, json!([{"setWeight": 10}, {"pause": {"duration": "2m"}}, {"setWeight": 50}, {"pause": {"duration": "2m"}}]))
}

pub fn deployment_with(version: &str, steps: Value) -> ModelDeployment {
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "flight-delay", "namespace": "flights", "uid": "deployment-uid", "generation": 1},
        "spec": {
            "model": {"name": "flight-delay", "version": version},
            "predictor": {"replicas": 2, "resources": {"requests": {"cpu": "0.5", "memory": "512Mi"}}},
            "router": {"replicas": 2, "stickyHeader": "x-user-id"},
            "strategy": {"canary": {"steps": steps, "checks": CHECKS}},
            "checks": [
                {"name": "errors", "errorRate": {"versusStable": {"margin": 0.005, "alpha": 0.001}}},
                {"name": "skew", "drift": {"of": "Features", "versusStable": true, "threshold": 0.25}},
            ],
        },
    }))
    .unwrap()
}

/// On a volume, six hours and a day.
pub fn outcomes() -> Outcomes {
    serde_json::from_value(json!({"maturity": "6h", "retention": "1d", "resources": {"limits": {"memory": "1Gi"}}})).unwrap()
}

/// Version `treatment` beside version `control`, half of the users each.
pub fn ab_test(control: u8, treatment: u8) -> ABTest {
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ABTest",
        "metadata": {"name": "newer", "namespace": "flights", "uid": "test-uid", "generation": 1, "creationTimestamp": at(500).to_string()},
        "spec": {
            "deployment": "flight-delay",
            "variants": [
                {"name": "control", "modelVersion": version_name(control), "weight": 50},
                {"name": "treatment", "modelVersion": version_name(treatment), "weight": 50},
            ],
            "unit": {"header": "x-user-id"},
            "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": 0.01},
            "guardrails": [{"metric": "errorRate", "margin": 0.01}],
            "design": {"maximumUnitsPerVariant": 1_000, "looks": 4, "maximumDuration": "1h"},
        },
    }))
    .unwrap()
}

pub fn settings() -> Settings {
    Settings {
        runtimes: [("default".to_owned(), image("model-server", 1)), ("other".to_owned(), image("other-server", 2))].into(),
        router_image: image("router", 1),
        evaluator_image: image("evaluator", 1),
        metrics_namespaces: vec!["plimsoll-system".to_owned(), "monitoring".to_owned()],
    }
}

pub fn image(name: &str, number: u8) -> String {
    format!("plimsoll.local/{name}@{}", digest(number))
}
