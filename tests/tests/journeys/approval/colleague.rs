//! What a colleague with `edit` tries besides approvals. Every line of the table has its attempt here.

use std::time::Duration;

use plimsoll_crds::names;
use plimsoll_tests::audit::OPERATOR;
use plimsoll_tests::cluster::text;
use plimsoll_tests::matrix::{COLLEAGUE, Outcome};
use serde_json::{Value, json};

use super::trial::{Trial, check};

/// How long the operator may take to undo something.
const UNDONE_WITHIN: Duration = Duration::from_secs(30);
/// What is undone: the operator must be there.
const DEPLOYMENT: &str = "modeldeployment/flight-delay";

impl Trial {
    /// Tries everything; without the operator, what it would undo is left out.
    pub fn try_everything_as_colleague(&self, with_operator: bool) {
        for (what, outcome) in COLLEAGUE {
            if outcome == Outcome::Undone && !with_operator {
                continue;
            }
            let before = self.children();
            let answer = self.trick(what);
            let refused = answer.is_err();
            check(what, outcome, answer);
            if refused {
                assert_eq!(self.children(), before, "{what}: left something behind");
            }
            self.assert_no_traffic_unless_undone(what, outcome);
        }
    }

    fn assert_no_traffic_unless_undone(&self, what: &str, outcome: Outcome) {
        match (outcome, what) {
            (Outcome::Undone, "scale the model Deployment to 0") => self.wait_for(&self.model(), |model| model["spec"]["replicas"] == 1),
            (Outcome::Undone, _) => self.wait_for("configmap/flight-delay-routes", |routes| !routes.is_null()),
            (_, _) => {}
        }
        self.assert_no_traffic();
    }

    pub fn wait_for(&self, what: &str, expected: impl Fn(&Value) -> bool) {
        self.team.stage.admin.wait(&self.team.namespace, what, UNDONE_WITHIN, expected).unwrap();
    }

    /// The Deployment of the model that serves.
    pub fn model(&self) -> String {
        let deployment = self.team.get(DEPLOYMENT).unwrap();
        format!("deployment/flight-delay-{}", text(&deployment, "/status/stable/revision"))
    }

    fn pod(&self, of: &str) -> String {
        let deployment = self.team.get(DEPLOYMENT).unwrap();
        let revision = text(&deployment, &format!("/status/{of}/revision")).to_owned();
        let pods = self
            .team
            .stage
            .admin
            .kubectl(&["-n", &self.team.namespace, "get", "pods", "-l", &format!("plimsoll.dev/revision={revision}"), "-o", "name"])
            .unwrap();
        pods.lines().next().unwrap().to_owned()
    }

    /// What every refused attempt must leave as it was: the specs of everything that serves.
    fn children(&self) -> Vec<(String, Value)> {
        let list = self.team.get("modelversions,configmaps,services,deployments,replicasets,statefulsets,jobs,pods,endpointslices").unwrap();
        let namespace = self.team.get(&format!("namespace/{}", self.team.namespace)).unwrap();
        let items = list["items"].as_array().unwrap().iter().chain([&namespace]);
        let mut found: Vec<(String, Value)> = items
            .filter(|item| item["kind"] != "Pod" || item["metadata"]["labels"]["plimsoll.dev/deployment"] == "flight-delay")
            .map(|item| (format!("{}/{}", text(item, "/kind"), text(item, "/metadata/name")), json!([item["spec"], item["data"], item["metadata"]["labels"]])))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// One attempt by the colleague.
    fn trick(&self, what: &str) -> anyhow::Result<String> {
        let (cole, namespace) = (&self.team.cole, self.team.namespace.as_str());
        let create = |object: Value| cole.kubectl_with(&["-n", namespace, "create", "-f", "-"], Some(&object.to_string()));
        let status = |what: &str, status: Value| {
            cole.kubectl(&["-n", namespace, "patch", what, "--subresource=status", "--type=merge", "-p", &json!({"status": status}).to_string()])
        };
        let image = |container: &str| json!([{"name": container, "image": "example.org/another"}]);
        match what {
            "create a ModelVersion" => create(self.late()),
            "write the status of a ModelVersion" => status(&format!("modelversion/{}", text(&self.waiting, "/metadata/name")), json!({"serving": []})),
            "write the status of a ModelDeployment" => status(DEPLOYMENT, json!({"candidate": {"weight": 10_000}})),
            "relabel the namespace `plimsoll.dev/approval=optional`" => cole.kubectl(&["label", "namespace", namespace, "plimsoll.dev/approval=optional"]),
            "act as the operator (impersonate it)" => cole.posing_as(OPERATOR).kubectl(&["-n", namespace, "get", "modelapprovals"]),
            "create an EndpointSlice for the Service" => create(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "tried", "labels": {"kubernetes.io/service-name": "flight-delay"}},
                "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"name": "serving", "port": 8080}]})),
            "train in another's name (annotation `plimsoll.dev/author`)" => self.train_as_another(),
            "change the author of a TrainingJob" => self.change_author(),
            "name a version that is not approved in the ModelDeployment" => {
                self.ask();
                Ok(String::new())
            }
            "patch the routes ConfigMap" => self.patch(cole, "configmap/flight-delay-routes", &json!({"data": {"routes.json": "{}"}})),
            "patch the Service's selector" => self.patch(cole, "service/flight-delay", &json!({"spec": {"selector": {"app": "another"}}})),
            "patch the model Deployment (image)" => {
                let patch = json!({"spec": {"template": {"spec": {"containers": image("server")}}}}).to_string();
                cole.kubectl(&["-n", namespace, "patch", &self.model(), "-p", &patch])
            }
            "patch the router Deployment (replicas)" => self.patch(cole, "deployment/flight-delay-router", &json!({"spec": {"replicas": 0}})),
            "scale the model Deployment to 0" => cole.kubectl(&["-n", namespace, "scale", &self.model(), "--replicas=0"]),
            "delete the routes ConfigMap" => cole.kubectl(&["-n", namespace, "delete", "configmap/flight-delay-routes"]),
            "patch the image of a running model pod" => {
                cole.kubectl(&["-n", namespace, "patch", &self.pod("stable"), "-p", &json!({"spec": {"containers": image("server")}}).to_string()])
            }
            "relabel the candidate's pod as the stable revision's" => {
                let stable = self.team.get(DEPLOYMENT)?;
                let label = format!("plimsoll.dev/revision={}", text(&stable, "/status/stable/revision"));
                cole.kubectl(&["-n", namespace, "label", "--overwrite", &self.pod("candidate"), &label])
            }
            "create a Pod with the routers' labels" => create(pod("Pod", "v1", &router_labels())),
            "create a Pod with a TrainingJob's label" => create(pod("Pod", "v1", &json!({"plimsoll.dev/training-job": "waiting"}))),
            "create a Pod that runs as the routers' account" => {
                let mut pod = pod("Pod", "v1", &json!({}));
                pod["spec"]["serviceAccountName"] = json!(names::router("flight-delay"));
                create(pod)
            }
            "make a token of the routers' account" => cole.kubectl(&["-n", namespace, "create", "token", &names::router("flight-delay")]),
            "delete the routers' account" => cole.kubectl(&["-n", namespace, "delete", "serviceaccount", &names::router("flight-delay")]),
            "create a Deployment of such pods" => create(workload("Deployment", "apps/v1")),
            "create a ReplicaSet of such pods" => create(workload("ReplicaSet", "apps/v1")),
            "create a StatefulSet of such pods" => create(workload("StatefulSet", "apps/v1")),
            "create a Job of such pods" => {
                let mut job = workload("Job", "batch/v1");
                job["spec"] = json!({"template": job["spec"]["template"]});
                job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
                create(job)
            }
            unknown => panic!("nobody tries to {unknown}"),
        }
    }

    /// The API server writes the author down itself.
    fn train_as_another(&self) -> anyhow::Result<String> {
        let mut job = self.team.quick_job("forged", 14)?;
        job["metadata"]["annotations"] = json!({"plimsoll.dev/author": "gil"});
        job["spec"]["run"]["suspend"] = json!(true);
        let answer = self.team.apply(&self.team.cole, &job.to_string())?;
        let job = self.team.get("trainingjob/forged")?;
        assert_eq!(job["metadata"]["annotations"]["plimsoll.dev/author"], "cole");
        self.team.cole.kubectl(&["-n", &self.team.namespace, "delete", "trainingjob/forged"])?;
        Ok(answer)
    }

    fn change_author(&self) -> anyhow::Result<String> {
        let before = self.team.get("trainingjob/waiting")?;
        let answer = self.patch(&self.team.cole, "trainingjob/waiting", &json!({"metadata": {"annotations": {"plimsoll.dev/author": "cole"}}}))?;
        assert_eq!(before["metadata"]["annotations"]["plimsoll.dev/author"], "ann");
        let after = self.team.get("trainingjob/waiting")?;
        // A request that was corrected to what was there counts as a write all the same.
        for part in ["annotations", "labels", "generation", "uid"] {
            assert_eq!(after["metadata"][part], before["metadata"][part], "{part}");
        }
        Ok(answer)
    }
}

fn router_labels() -> Value {
    json!({"app.kubernetes.io/component": "router", "plimsoll.dev/deployment": "flight-delay"})
}

fn pod(kind: &str, version: &str, labels: &Value) -> Value {
    let secure = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65_532, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "tried", "labels": labels},
        "spec": {"containers": [{"name": "another", "image": "example.org/another", "securityContext": secure}]}})
}

fn workload(kind: &str, version: &str) -> Value {
    let template = pod("Pod", "v1", &router_labels());
    let mut workload = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "tried"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": router_labels()},
        "template": {"metadata": {"labels": router_labels()}, "spec": template["spec"]}}});
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = json!("tried");
    }
    workload
}
