use proptest::prelude::*;

use super::*;
use crate::training::tests::fixtures::job;

fn full() -> TrainingJob {
    let mut job = job(json!({"activeDeadline": "1h30m"}));
    job.spec.workers = serde_json::from_value(json!({
        "accelerator": {"resource": "nvidia.com/gpu", "count": 2}, "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "3Gi"}},
        "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "gpu"}, {"key": "team", "value": "ml", "effect": "NoSchedule"}]
    }))
    .unwrap();
    job
}

#[test]
fn a_job_and_its_configuration_look_like_this() {
    insta::assert_yaml_snapshot!("attempt", attempt(&full(), 2, "trainer@sha256:1"));
    insta::assert_yaml_snapshot!("configuration", configuration(&full()));
}

#[test]
fn scratch_space_is_what_the_spec_says() {
    let mut job = full();
    let scratch = |job: &TrainingJob| attempt(job, 1, "i")["spec"]["template"]["spec"]["volumes"][1]["emptyDir"].clone();
    assert_eq!(scratch(&job), json!({"sizeLimit": "20Gi"}), "the default");
    job.spec.workers.scratch = serde_json::from_value(json!({"size": "2Gi", "medium": "Memory"})).unwrap();
    assert_eq!(scratch(&job), json!({"sizeLimit": "2Gi", "medium": "Memory"}));
}

#[test]
fn a_job_claims_no_field_that_it_does_not_set() {
    let mut values = vec![attempt(&job(json!({})), 1, "i"), configuration(&job(json!({})))];
    while let Some(value) = values.pop() {
        assert!(!value.is_null());
        match value {
            Value::Object(map) => values.extend(map.into_iter().map(|(_, value)| value)),
            Value::Array(list) => values.extend(list),
            _ => {}
        }
    }
}

#[test]
fn what_the_author_may_change_does_not_change_the_configuration() {
    let mut changed = full();
    changed.spec.run.suspend = true;
    changed.spec.run.time_to_live = DurationText::new("1s");
    assert_eq!(configuration(&changed), configuration(&full()));
}

#[test]
fn the_api_knows_every_field() {
    for value in [attempt(&full(), 1, "i"), attempt(&job(json!({})), 1, "i")] {
        let typed: k8s_openapi::api::batch::v1::Job = serde_json::from_value(value.clone()).unwrap();
        let back = serde_json::to_value(typed).unwrap();
        assert!(crate::change::contains(&back, &value), "{value:#}\n{back:#}");
    }
}

/// What the restricted Pod Security Standard asks for, and the rules of the project beyond it.
fn objections(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut wrong = Vec::new();
    let mut ask = |what: &str, is: bool| {
        if !is {
            wrong.push(what.to_owned())
        }
    };
    ask("runAsNonRoot", spec["securityContext"]["runAsNonRoot"] == true && spec["securityContext"]["runAsUser"].as_i64() > Some(0));
    ask("seccomp", spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
    ask("host", ["hostNetwork", "hostPID", "hostIPC", "hostUsers"].iter().all(|field| spec.get(*field).is_none()));
    ask("token", spec["automountServiceAccountToken"] == false && spec.get("serviceAccountName").is_none());
    ask("links", spec["enableServiceLinks"] == false);
    for container in spec["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        ask("escalation", context["allowPrivilegeEscalation"] == false && context.get("privileged").is_none());
        ask("capabilities", context["capabilities"] == json!({"drop": ["ALL"]}));
        ask("root filesystem", context["readOnlyRootFilesystem"] == true);
        ask("ports", container["ports"].as_array().unwrap().iter().all(|port| port.get("hostPort").is_none()));
        ask("plain environment", container["env"].as_array().unwrap().iter().all(|variable| variable.get("valueFrom").is_none()));
    }
    for volume in spec["volumes"].as_array().unwrap() {
        ask("volumes", ["configMap", "emptyDir", "secret"].iter().any(|kind| volume.get(*kind).is_some()));
    }
    wrong
}

proptest! {
    #[test]
    fn every_pod_is_restricted_and_its_labels_and_secrets_are_its_own(
        name in "[a-z]([-a-z0-9]{0,20}[a-z0-9])?", selector in prop::collection::btree_map("[a-z./-]{1,20}", "\\PC{0,20}", 0..4),
        key in "\\PC{0,30}", secret in prop::option::of("[a-z0-9.-]{1,20}"), count in 1_i32..16, requests in prop::collection::btree_map("[a-z./-]{1,20}", "[0-9]{1,3}Mi", 0..4),
    ) {
        let mut job = full();
        job.metadata.name = Some(name.clone());
        job.spec.workers.node_selector = selector;
        job.spec.workers.tolerations[0].key = key;
        job.spec.workers.resources.requests = requests;
        job.spec.workers.accelerator.as_mut().unwrap().count = count;
        job.spec.data.credentials_secret.clone_from(&secret);
        job.spec.output.credentials_secret = None;
        let value = attempt(&job, 1, "i");
        let pod = &value["spec"]["template"];
        prop_assert_eq!(objections(pod), Vec::<String>::new());
        prop_assert_eq!(pod["metadata"]["labels"][LABEL_TRAINING_JOB].as_str(), Some(name.as_str()));
        let secrets: Vec<&str> = pod["spec"]["volumes"].as_array().unwrap().iter().filter_map(|volume| volume["secret"]["secretName"].as_str()).collect();
        prop_assert_eq!(secrets, secret.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
