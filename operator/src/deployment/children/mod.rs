//! The objects that a ModelDeployment owns, as the JSON that is applied. Each reads like the manifest that a person would write.
//!
//! | object | name |
//! |---|---|
//! | ControllerRevision, Deployment, Service, PodDisruptionBudget of each revision | `<deployment>-<revision>` |
//! | NetworkPolicy of the model pods, and the ServiceAccount of those that hand predictions over | `<deployment>-model` |
//! | Deployment, ServiceAccount, Role, RoleBinding, PodDisruptionBudget, NetworkPolicy of the routers | `<deployment>-router` |
//! | ControllerRevision of the routers' template | `<deployment>-router-<hash>` |
//! | Deployment, Service, PersistentVolumeClaim, NetworkPolicy of the evaluator, ConfigMap with its keys | `<deployment>-evaluator` |
//! | ControllerRevision of the evaluator's template | `<deployment>-evaluator-<hash>` |
//! | Service that callers use | `<deployment>` |
//! | ConfigMap that routers follow | `<deployment>-routes` |
//!
//! **Invariants:** every child is owned by its ModelDeployment (I12); every pod passes Pod Security `restricted`; credentials are mounted
//! in the container that fetches the model, and nowhere else. Builders cannot fail and decide nothing. This module must not know rollouts.

mod evaluator;
mod guards;
mod metadata;
mod model;
mod pod;
mod records;
mod router;

pub use evaluator::{evaluator_deployment, evaluator_keys, evaluator_request, evaluator_service, evaluator_template, evaluator_volume};
pub use guards::{disruption_budget, evaluator_network_policy, model_network_policy, router_network_policy};
pub use metadata::{EVALUATOR, MODEL_SERVER, Owner, ROUTER, is_component, kind, label, name};
pub use model::{has_token, model_account, model_deployment, model_service, model_template};
pub use records::{PinnedTemplate, model_record, read_model_record, read_template_record, template_name, template_record};
pub use router::{caller_service, role, role_binding, router_deployment, router_request, router_template, routes_config, service_account};

#[cfg(test)]
mod tests;
