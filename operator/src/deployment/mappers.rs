//! Which ModelDeployments care about a ModelVersion or a ModelApproval (those of the same line of models, in the same namespace) or
//! about a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use plimsoll_crds::names::LABEL_DEPLOYMENT;
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion};
use std::sync::Arc;

/// Those that may serve the version.
pub fn of_version(deployments: &[Arc<ModelDeployment>], version: &ModelVersion) -> Vec<ObjectRef<ModelDeployment>> {
    of_line(deployments, version.metadata.namespace.as_deref(), &version.spec.model)
}

/// Those that may serve the version that is decided about: its name is the line's, a dash, and a digest.
pub fn of_approval(deployments: &[Arc<ModelDeployment>], approval: &ModelApproval) -> Vec<ObjectRef<ModelDeployment>> {
    let line = approval.spec.model_version.rsplit_once('-').map_or("", |(line, _)| line);
    of_line(deployments, approval.metadata.namespace.as_deref(), line)
}

/// The one that a pod works for: pods belong to ReplicaSets, and their label says whose they are.
pub fn of_pod(pod: &Pod) -> Option<ObjectRef<ModelDeployment>> {
    let name = pod.labels().get(LABEL_DEPLOYMENT)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

fn of_line(deployments: &[Arc<ModelDeployment>], namespace: Option<&str>, line: &str) -> Vec<ObjectRef<ModelDeployment>> {
    let cares = |deployment: &&Arc<ModelDeployment>| deployment.metadata.namespace.as_deref() == namespace && deployment.spec.model.name == line;
    deployments.iter().filter(cares).map(|deployment| ObjectRef::from_obj(deployment.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_crds::model_approval::Decision;

    use super::*;
    use crate::deployment::tests::fixtures;

    #[test]
    fn a_version_and_its_approval_concern_deployments_of_their_line_and_namespace() {
        let mine = fixtures::deployment("Latest");
        let (mut foreign, mut other) = (mine.clone(), mine.clone());
        foreign.metadata.namespace = Some("elsewhere".into());
        other.spec.model.name = "other".into();
        let all = [mine.clone(), foreign, other].map(Arc::new);
        let expected = vec![ObjectRef::from_obj(&mine)];
        assert_eq!(of_version(&all, &fixtures::version(1)), expected);
        assert_eq!(of_approval(&all, &fixtures::approval(1, Decision::Approved)), expected);
    }
}
