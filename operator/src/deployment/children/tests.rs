use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use plimsoll_crds::model_deployment::{Export, PostgresqlDatabase, PredictionLog};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::change::contains;
use crate::deployment::revision::{Desired, Record, Serving};
use crate::deployment::routes::{Backend, Routes, State};
use crate::deployment::rules::Collection;
use crate::deployment::tests::fixtures;

fn everything() -> Vec<Value> {
    let mut deployment = fixtures::deployment("Latest");
    deployment.spec.predictor.node_selector.insert("pool".into(), "models".into());
    deployment.spec.outcomes = Some(fixtures::outcomes());
    deployment.spec.prediction_log = Some(PredictionLog { sample: 0.5, columns: vec!["hour".into(), "carrier".into()] });
    let version = fixtures::version(1);
    let predictor = &deployment.spec.predictor;
    let owner = crate::deployment::observed::owner(&deployment);
    let desired = Desired::new(&version, &Serving::of(&deployment.spec), &fixtures::image("model-server", 1));
    let template = model_template(&owner, &desired, &version, predictor);
    let record = Record { reference: desired.reference, request: desired.request, version_created: None, template };
    let revision = record.reference.revision.clone();
    let router = router_template(&owner, &deployment.spec.router, true, &fixtures::image("router", 1));
    let backend = Backend { revision: revision.clone(), service: "s".into(), port: 8080, weight: 10_000, state: State::Stable };
    let routes = Routes { version: 1, seed: owner.uid.clone(), sticky_header: None, backends: vec![backend], evaluator: None, test: None, paired_test: None };
    let namespaces = &fixtures::settings().metrics_namespaces;
    let outcomes = deployment.spec.outcomes.clone().unwrap();
    let collection = Collection { maturity: Duration::from_secs(21_600), retention: Duration::from_secs(86_400) };
    let evaluator = evaluator_template(&owner, &outcomes, (collection, true), &fixtures::image("evaluator", 1));
    vec![
        model_record(&owner, &record, 1),
        template_record(&owner, ROUTER, &router, 2),
        model_deployment(&owner, &record, 2),
        model_service(&owner, &revision),
        disruption_budget(&owner, Some(&revision)),
        model_network_policy(&owner, namespaces),
        router_deployment(&owner, &deployment.spec.router, &router),
        disruption_budget(&owner, None),
        router_network_policy(&owner, namespaces),
        service_account(&owner),
        model_account(&owner),
        role(&owner),
        role_binding(&owner),
        caller_service(&owner),
        routes_config(&owner, &routes),
        template_record(&owner, EVALUATOR, &evaluator, 1),
        evaluator_volume(&owner, outcomes.database.sqlite.as_ref().unwrap()),
        evaluator_keys(&owner, fixtures::KEYS),
        evaluator_service(&owner),
        evaluator_network_policy(&owner, namespaces),
        evaluator_deployment(&owner, &evaluator),
    ]
}

#[test]
fn children_look_like_this() {
    for object in everything() {
        insta::assert_yaml_snapshot!(format!("{}-{}", kind(&object), object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap()), object);
    }
}

/// A misspelt field would be dropped here, and be missed on the way back.
#[test]
fn the_api_types_know_every_field() {
    fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<K>(object.clone()).unwrap()).unwrap()
    }
    for object in everything() {
        let back = match kind(&object) {
            "Deployment" => through::<Deployment>(&object),
            "ControllerRevision" => through::<ControllerRevision>(&object),
            "Service" => through::<Service>(&object),
            "ServiceAccount" => through::<ServiceAccount>(&object),
            "ConfigMap" => through::<ConfigMap>(&object),
            "Role" => through::<Role>(&object),
            "RoleBinding" => through::<RoleBinding>(&object),
            "PodDisruptionBudget" => through::<PodDisruptionBudget>(&object),
            "NetworkPolicy" => through::<NetworkPolicy>(&object),
            "PersistentVolumeClaim" => through::<PersistentVolumeClaim>(&object),
            other => panic!("no type for {other}"),
        };
        assert!(contains(&back, &object), "{}: {object:#}\n{back:#}", kind(&object));
    }
}

/// The rules of Pod Security `restricted`.
fn violations(pod: &PodSpec) -> Vec<String> {
    let mut found = Vec::new();
    let mut refuse = |bad: bool, what: &str| found.extend(bad.then(|| what.to_owned()));
    refuse(pod.host_network == Some(true) || pod.host_pid == Some(true) || pod.host_ipc == Some(true), "host namespaces");
    let security = pod.security_context.clone().unwrap_or_default();
    refuse(security.run_as_non_root != Some(true), "runAsNonRoot");
    refuse(security.run_as_user == Some(0), "runAsUser");
    refuse(security.seccomp_profile.is_none_or(|profile| profile.type_ != "RuntimeDefault"), "seccomp");
    for volume in pod.volumes.iter().flatten() {
        let claim = volume.persistent_volume_claim.is_some();
        let (empty, secret, config, projected) = (&volume.empty_dir, &volume.secret, &volume.config_map, &volume.projected);
        refuse(empty.is_none() && secret.is_none() && config.is_none() && projected.is_none() && !claim, "volume type");
    }
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        let security = container.security_context.clone().unwrap_or_default();
        let capabilities = security.capabilities.unwrap_or_default();
        refuse(security.allow_privilege_escalation != Some(false), "allowPrivilegeEscalation");
        refuse(security.privileged == Some(true), "privileged");
        refuse(security.read_only_root_filesystem != Some(true), "readOnlyRootFilesystem");
        refuse(capabilities.drop != Some(vec!["ALL".to_owned()]) || capabilities.add.is_some(), "capabilities");
        refuse(container.ports.iter().flatten().any(|port| port.host_port.is_some()), "hostPort");
    }
    found
}

fn pods() -> Vec<(String, PodSpec)> {
    let deployments = everything().into_iter().filter(|object| kind(object) == "Deployment");
    deployments.map(|object| (name(&object).to_owned(), serde_json::from_value(object["spec"]["template"]["spec"].clone()).unwrap())).collect()
}

#[test]
fn every_pod_passes_pod_security_restricted() {
    let pods = pods();
    assert_eq!(pods.len(), 3);
    for (name, mut pod) in pods {
        assert_eq!(violations(&pod), Vec::<String>::new(), "{name}");
        pod.containers[0].security_context = None;
        assert_ne!(violations(&pod), Vec::<String>::new(), "the test can fail");
    }
}

#[test]
fn credentials_are_mounted_where_the_model_is_fetched_and_nowhere_else() {
    let (_, pod) = pods().into_iter().find(|(name, _)| !name.ends_with("router") && !name.ends_with("evaluator")).unwrap();
    let mounts =
        |container: &k8s_openapi::api::core::v1::Container| container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect::<Vec<_>>();
    assert_eq!(pod.containers.iter().map(mounts).collect::<Vec<_>>(), [["model", "token"]]);
    assert_eq!(pod.init_containers.iter().flatten().map(mounts).collect::<Vec<_>>(), [["model", "credentials"]]);
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(pod.enable_service_links, Some(false));
}

/// API servers write 1.0 as 1, and let nobody change a record: one with a fraction could never be applied again.
#[test]
fn records_hold_no_fractions() {
    fn fractions(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(list) => list.iter().any(fractions),
            Value::Object(map) => map.values().any(fractions),
            Value::Null | Value::Bool(_) | Value::String(_) => false,
        }
    }
    assert!(fractions(&serde_json::json!([{"a": 1.0}])), "the test can fail");
    for object in everything().iter().filter(|object| kind(object) == "ControllerRevision") {
        assert!(!fractions(object), "{object:#}");
    }
}

#[test]
fn records_are_read_as_they_were_written() {
    for object in everything().iter().filter(|object| kind(object) == "ControllerRevision") {
        match is_component(object, MODEL_SERVER) {
            true => assert_eq!(object["data"], serde_json::to_value(read_model_record(object).unwrap()).unwrap()),
            false => assert_eq!(
                object["data"],
                serde_json::to_value(read_template_record(object, label(object, "app.kubernetes.io/component").unwrap()).unwrap()).unwrap()
            ),
        }
    }
}

#[test]
fn an_evaluator_mounts_what_its_database_and_its_export_need() {
    let owner = crate::deployment::observed::owner(&fixtures::deployment("Latest"));
    let collection = Collection { maturity: Duration::from_secs(60), retention: Duration::from_secs(120) };
    let mut outcomes = fixtures::outcomes();
    let template = |outcomes: &plimsoll_crds::model_deployment::Outcomes| evaluator_template(&owner, outcomes, (collection, true), "e@sha256:0").template;
    let container = |template: &Value, field: &str| template["spec"]["containers"][0][field].to_string();
    let on_volume = template(&outcomes);
    assert!(container(&on_volume, "args").contains("/data/evaluator.sqlite") && on_volume["spec"]["volumes"][0]["persistentVolumeClaim"].is_object());
    outcomes.database.sqlite = None;
    outcomes.database.postgresql = Some(PostgresqlDatabase { secret: "database".into() });
    outcomes.export = Some(Export { uri: "s3://data/log".into(), credentials_secret: Some("store".into()) });
    let elsewhere = template(&outcomes);
    let arguments = container(&elsewhere, "args");
    for part in ["/etc/plimsoll/credentials/database/url", "plimsoll_deployment_uid", "s3://data/log", "/etc/plimsoll/credentials/export"] {
        assert!(arguments.contains(part), "{part}: {arguments}");
    }
    assert!(elsewhere["spec"]["volumes"].to_string().contains("\"secretName\":\"store\""), "{elsewhere}");
    assert!(!elsewhere.to_string().contains("persistentVolumeClaim"));
}

/// Made before there were tokens: other bytes would restart routers and model pods of everybody.
#[test]
fn i11_pods_of_a_deployment_without_outcomes_are_what_they_always_were() {
    let deployment = fixtures::deployment("Latest");
    let owner = crate::deployment::observed::owner(&deployment);
    let desired = Desired::new(&fixtures::version(1), &Serving::of(&deployment.spec), &fixtures::image("model-server", 1));
    let model = model_template(&owner, &desired, &fixtures::version(1), &deployment.spec.predictor);
    let router = router_template(&owner, &deployment.spec.router, false, &fixtures::image("router", 1));
    assert_eq!(crate::deployment::revision::short_hash(&model), "3b55641a8c");
    assert_eq!(template_name(&owner, ROUTER, &router), "flight-delay-router-90fe270dd5");
    assert!(!format!("{model}{:?}", router).contains("token\""));
}

/// Whom the evaluator believes, and what its pods show, must be the same words.
#[test]
fn pods_show_tokens_of_the_account_and_for_the_audience_that_the_evaluator_asks_for() {
    let pods = pods();
    let spec = |end: &str| &pods.iter().find(|(name, _)| name.ends_with(end)).unwrap().1;
    let arguments = spec("evaluator").containers[0].args.clone().unwrap();
    let asked = |flag: &str| arguments[arguments.iter().position(|argument| argument == flag).unwrap() + 1].clone();
    let model = &pods.iter().find(|(name, _)| !name.ends_with("router") && !name.ends_with("evaluator")).unwrap().1;
    for (pod, flag, shown) in [(model, "--predictions-from", "--token"), (spec("router"), "--outcomes-from", "--evaluator-token")] {
        assert_eq!(asked(flag), format!("system:serviceaccount:flights:{}", pod.service_account_name.as_deref().unwrap()));
        let projected = pod.volumes.iter().flatten().find_map(|volume| volume.projected.as_ref()).unwrap();
        let token = projected.sources.as_ref().unwrap()[0].service_account_token.clone().unwrap();
        assert_eq!((token.audience, token.expiration_seconds), (Some(asked("--audience")), Some(3_600)));
        let arguments = pod.containers[0].args.as_ref().unwrap();
        let mount = pod.containers[0].volume_mounts.iter().flatten().find(|mount| mount.name == "token").unwrap();
        let file = &arguments[arguments.iter().position(|argument| argument == shown).unwrap() + 1];
        assert_eq!(*file, format!("{}/{}", mount.mount_path, token.path));
    }
}
