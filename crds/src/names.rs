//! Where label keys, annotations, ports and children's names are spelled. Router and model server, which must not know this crate, repeat a few.

/// The API group.
pub const GROUP: &str = "plimsoll.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";

/// Label: the ModelDeployment that a child belongs to.
pub const LABEL_DEPLOYMENT: &str = "plimsoll.dev/deployment";
/// Label: the revision that a model pod runs.
pub const LABEL_REVISION: &str = "plimsoll.dev/revision";
/// Label: the TrainingJob that a child belongs to.
pub const LABEL_TRAINING_JOB: &str = "plimsoll.dev/training-job";
/// Label: the line of models.
pub const LABEL_MODEL: &str = "plimsoll.dev/model";
/// Label: the application, on every child.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label: the part of Plimsoll that runs in a pod.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Label: who made the object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of the name and managed-by labels.
pub const PLIMSOLL: &str = "plimsoll";
/// Label on a namespace: with the value `optional`, live traffic needs no approval there.
pub const LABEL_APPROVAL: &str = "plimsoll.dev/approval";

/// Annotation on a TrainingJob: who created it. Stamped by an admission policy, never by the author.
pub const ANNOTATION_AUTHOR: &str = "plimsoll.dev/author";
/// Annotation on a ModelDeployment: a fresh token tries a blocked model again.
pub const ANNOTATION_RETRY: &str = "plimsoll.dev/retry";
/// Annotation on a ModelDeployment: `<revision>/<step>/<token>` ends the pause of that revision in that step.
pub const ANNOTATION_RESUME: &str = "plimsoll.dev/resume";
/// What stands for an author that no admission policy has stamped.
pub const UNKNOWN_AUTHOR: &str = "unknown";

/// Port name and number for predictions, on routers and model servers.
pub const SERVING_PORT: (&str, i32) = ("serving", 8080);
/// Port name and number for metrics and probes, on every part.
pub const METRICS_PORT: (&str, i32) = ("metrics", 9090);
/// Port name and number on which the operator hears Alertmanager.
pub const ALERTS_PORT: (&str, i32) = ("alerts", 8081);
/// The key of the routes in their ConfigMap.
pub const ROUTES_KEY: &str = "routes.json";
/// The key of the API server's keys in the evaluator's ConfigMap.
pub const JWKS_KEY: &str = "jwks.json";

/// How much of a UID tells tests of one name apart.
const UID_CHARACTERS: usize = 8;
/// How many hex digits of a digest stand in a ModelVersion's name.
pub const VERSION_DIGITS: usize = 10;

/// The name of the ModelVersion with this digest (`sha256:<hex>`), in the line `model`.
pub fn model_version(model: &str, digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("{model}-{}", hex.get(..VERSION_DIGITS).unwrap_or(hex))
}

/// Model pods, their Service and their ControllerRevision.
pub fn revision_child(deployment: &str, revision: &str) -> String {
    format!("{deployment}-{revision}")
}

/// Router pods, their ServiceAccount and Role.
pub fn router(deployment: &str) -> String {
    format!("{deployment}-router")
}

/// The evaluator's pod, its Service, its volume and the keys that it checks tokens with.
pub fn evaluator(deployment: &str) -> String {
    format!("{deployment}-evaluator")
}

/// The ServiceAccount of model pods that hand predictions over.
pub fn model_account(deployment: &str) -> String {
    format!("{deployment}-model")
}

/// A ServiceAccount as its tokens name it.
pub fn subject(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// For whom the tokens are that a deployment's routers and model servers show its evaluator: for nobody else, the API server included. The
/// UID makes them worthless for another deployment that gets the name later.
pub fn evaluator_audience(namespace: &str, deployment: &str, uid: &str) -> String {
    format!("{uid}.{deployment}.{namespace}.evaluator.{GROUP}")
}

/// The ConfigMap that routers follow.
pub fn routes(deployment: &str) -> String {
    format!("{deployment}-routes")
}

/// A variant as routers, evaluators and metrics know it: no other test, of whatever name, has the same.
pub fn variant(test: &str, uid: &str, variant: &str) -> String {
    format!("{test}.{}.{variant}", uid.get(..UID_CHARACTERS).unwrap_or(uid))
}

/// One attempt of a TrainingJob.
pub fn attempt(training_job: &str, number: i32) -> String {
    format!("{training_job}-{number}")
}

/// The ConfigMap with the trainer's configuration.
pub fn trainer_config(training_job: &str) -> String {
    format!("{training_job}-config")
}
