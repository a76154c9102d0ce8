use plimsoll_crds::TrainingJob;
use serde_json::{Value, json};

pub const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A run with everything that is required.
pub fn job(run: Value) -> TrainingJob {
    let mut run = run;
    for (field, default) in [("activeDeadline", "2h"), ("timeToLive", "24h")] {
        if run.get(field).is_none() {
            run[field] = default.into();
        }
    }
    serde_json::from_value(json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "TrainingJob",
        "metadata": {"name": "t", "namespace": "n", "uid": "u", "generation": 1, "annotations": {"plimsoll.dev/author": "ann"}},
        "spec": {
            "model": "m",
            "data": {
                "sources": [{"name": "a", "uri": "s3://b/a.csv", "format": "Csv"}], "credentialsSecret": "in", "query": "SELECT 1",
                "rowKey": ["k"], "timeColumn": "t", "window": {"from": "2013-01-01", "to": "2013-02-01"},
                "split": {"byTime": {"validation": "1d", "test": "1d"}}
            },
            "task": {"binaryClassification": {"label": "y", "positive": "1"}},
            "features": [{"name": "x", "type": "Numeric"}, {"name": "c", "type": "Categorical"}], "architecture": {"linear": {}},
            "output": {"uri": "s3://m/m", "credentialsSecret": "out"}, "run": run
        }
    }))
    .unwrap()
}

/// What the trainer says at the end.
pub fn result(passed: bool) -> Value {
    json!({"result": {
        "modelVersion": "m-aaaaaaaaaa", "digest": DIGEST, "contentDigest": DIGEST, "uri": format!("s3://m/m/{}", &DIGEST[7..]),
        "report": {"uri": "s3://m/m/reports/r", "digest": DIGEST}, "metrics": {"auc": 0.7123},
        "gates": [{"metric": "auc", "passed": passed, "message": "auc is 0.7123, at least 0.66 is asked for"}], "gatesPassed": passed, "dataDigests": {},
        "window": {"from": "2013-01-01", "to": "2013-02-01"}, "rows": {"train": 1, "validation": 1, "test": 1}, "device": "Cpu", "softwareVersion": "0", "seconds": 1.0
    }})
}
