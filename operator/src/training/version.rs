//! The ModelVersion of a result.

use kube::ResourceExt;
use plimsoll_crds::model_version::{Signature, SignatureInput, SignatureOutput, TrainingJobReference};
use plimsoll_crds::training_job::FeatureType;
use plimsoll_crds::training_job::result::TrainingResult;
use plimsoll_crds::{ModelVersionSpec, TrainingJob, names};
use serde_json::{Value, json};

/// What is wrong with a result: the operator records no model under a name or a place that is not this run's.
pub fn objection(job: &TrainingJob, result: &TrainingResult) -> Option<String> {
    let hex =
        result.digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
    let Some(hex) = hex else { return Some(format!("the result's digest {:?} is none", result.digest)) };
    let expected = [
        ("modelVersion", &result.model_version, names::model_version(&job.spec.model, &result.digest)),
        ("uri", &result.uri, format!("{}/{hex}", job.spec.output.uri.trim_end_matches('/'))),
    ];
    let wrong = expected.into_iter().find(|(_, value, expected)| *value != expected);
    wrong.map(|(field, value, expected)| format!("the result's {field} is {value:?}, but must be {expected:?}: is the trainer image of another release?"))
}

/// The ModelVersion; it has no owner, because it outlives the run.
pub fn model_version(job: &TrainingJob, result: &TrainingResult) -> Value {
    let author = job.annotations().get(names::ANNOTATION_AUTHOR).cloned().unwrap_or_else(|| names::UNKNOWN_AUTHOR.to_owned());
    let spec = ModelVersionSpec {
        model: job.spec.model.clone(),
        digest: result.digest.clone(),
        content_digest: result.content_digest.clone(),
        uri: result.uri.clone(),
        credentials_secret: job.spec.output.credentials_secret.clone(),
        signature: signature(job),
        metrics: result.metrics.clone(),
        gates: result.gates.clone(),
        report: result.report.clone(),
        data_digests: result.data_digests.clone(),
        window: result.window.clone(),
        training_job: TrainingJobReference { name: job.name_any(), uid: job.uid().unwrap_or_default() },
        author,
        software_version: result.software_version.clone(),
    };
    json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": "ModelVersion",
        "metadata": {
            "name": result.model_version,
            "namespace": job.namespace(),
            "labels": {names::LABEL_NAME: names::PLIMSOLL, names::LABEL_MANAGED_BY: names::PLIMSOLL, names::LABEL_MODEL: job.spec.model},
        },
        "spec": spec,
    })
}

fn signature(job: &TrainingJob) -> Signature {
    let input = |feature: &plimsoll_crds::training_job::Feature| {
        let (datatype, missing) = match feature.kind {
            FeatureType::Numeric => ("FP64", "NaN"),
            FeatureType::Categorical => ("BYTES", "empty text"),
        };
        SignatureInput { name: feature.name.clone(), datatype: datatype.to_owned(), missing: missing.to_owned() }
    };
    let output = |name: &str, datatype: &str| SignatureOutput { name: name.to_owned(), datatype: datatype.to_owned() };
    Signature { inputs: job.spec.features.iter().map(input).collect(), outputs: vec![output("probability", "FP64"), output("label", "BYTES")] }
}
