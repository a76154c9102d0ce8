//! The objects of Plimsoll: five custom resources, their rules, defaults, conditions and names.
//!
//! Field docs are user docs: they are what `kubectl explain` prints. Whatever CEL can check is checked by the API server.
//! This crate must not know a client, an async runtime, or what anybody does with the objects.

pub mod ab_test;
pub mod condition;
mod duration;
mod explain;
pub mod model_approval;
pub mod model_deployment;
pub mod model_version;
pub mod names;
mod schema;
pub mod training_job;

pub use ab_test::{ABTest, ABTestSpec, ABTestStatus};
pub use duration::DurationText;
pub use model_approval::{ModelApproval, ModelApprovalSpec};
pub use model_deployment::{ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus};
pub use model_version::{ModelVersion, ModelVersionSpec, ModelVersionStatus};
pub use training_job::{TrainingJob, TrainingJobSpec, TrainingJobStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every custom resource definition, in the order in which the parts of the story appear.
pub fn all() -> Vec<CustomResourceDefinition> {
    [TrainingJob::crd(), ModelVersion::crd(), ModelApproval::crd(), ModelDeployment::crd(), ABTest::crd()].into_iter().map(explain::explained).collect()
}
