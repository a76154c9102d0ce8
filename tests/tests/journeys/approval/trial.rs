//! A namespace in which everything can be tried: one model serves, one waits for an approval with its pods ready, and people of
//! every kind have every right that RBAC can give them by mistake.

use std::collections::BTreeMap;

use plimsoll_tests::audit::OPERATOR;
use plimsoll_tests::cluster::{Cluster, is_true, text};
use plimsoll_tests::matrix::{Deed, Outcome, Who, expected};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

/// No model's digest.
const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The namespace, and who is in it.
pub struct Trial {
    pub team: Team,
    /// An author who is no gatekeeper.
    ada: Cluster,
    robot: Cluster,
    operator: Cluster,
    /// By ann, approved, serves.
    pub served: Value,
    /// By ann, nobody has decided; a ModelDeployment names it.
    pub waiting: Value,
    /// By ada, approved.
    hers: Value,
}

impl Trial {
    /// Trains, approves, serves, and lets the colleague ask for the model that waits.
    pub fn open(what: &str) -> Self {
        let team = Team::visit(&Stage::of_journeys().unwrap(), what).unwrap();
        let admin = &team.stage.admin;
        admin.apply(&people(&team.namespace).to_string()).unwrap();
        let (ada, robot) = (team.stage.person("ada").unwrap(), admin.posing_as(&robot(&team.namespace)));
        let operator = admin.posing_as(OPERATOR);
        let train = |who: &Cluster, name: &str, seed| team.train_as(who, &team.quick_job(name, seed).unwrap().to_string()).unwrap();
        let [served, waiting, hers] = std::thread::scope(|scope| {
            let jobs = [("served", 11, &team.ann), ("waiting", 12, &team.ann), ("hers", 13, &ada)];
            jobs.map(|(name, seed, who)| scope.spawn(move || train(who, name, seed))).map(|thread| thread.join().unwrap())
        });
        team.approve(&served).unwrap();
        team.approve(&hers).unwrap();
        let trial = Self { team, ada, robot, operator, served, waiting, hers };
        trial.serve();
        trial
    }

    fn serve(&self) {
        let version = text(&self.served, "/metadata/name");
        let plain = |spec: &mut Value| {
            spec["model"]["version"] = json!(version);
            spec["router"]["replicas"] = json!(1);
            spec["strategy"] = json!({"canary": {}});
            spec["checks"] = json!([]);
            spec["rollback"] = json!({"keep": 3, "bake": "1s"});
        };
        self.team.deploy(plain).unwrap();
        self.team.wait(120, |deployment| is_true(deployment, "Ready") && is_true(deployment, "Promoted")).unwrap();
    }

    /// The colleague names the version that waits, which `edit` allows. Its pods start, and get nothing.
    pub fn ask(&self) {
        let wish = json!({"spec": {"model": {"version": text(&self.waiting, "/metadata/name")}}});
        self.patch(&self.team.cole, "modeldeployment/flight-delay", &wish).unwrap();
        self.team.wait(120, |deployment| is_true(deployment, "AwaitingApproval")).unwrap();
    }

    /// A merge patch by somebody.
    pub fn patch(&self, who: &Cluster, what: &str, patch: &Value) -> anyhow::Result<String> {
        who.kubectl(&["-n", &self.team.namespace, "patch", what, "--type=merge", "-p", &patch.to_string()])
    }

    /// The share of the model that waits: nothing, whatever was tried.
    pub fn assert_no_traffic(&self) {
        let deployment = self.team.get("modeldeployment/flight-delay").unwrap();
        assert_eq!(deployment.pointer("/status/stable/modelVersion"), self.served.pointer("/metadata/name"), "{}", deployment["status"]);
        let weights: BTreeMap<String, i64> = serde_json::from_value(deployment["status"]["routes"]["weights"].clone()).unwrap();
        let stable = text(&deployment, "/status/stable/revision");
        assert!(weights.iter().all(|(revision, weight)| (revision == stable) == (*weight > 0)), "{weights:?}");
        let routes = self.team.get("configmap/flight-delay-routes").unwrap();
        let routes: Value = serde_json::from_str(text(&routes, "/data/routes.json")).unwrap();
        let told: BTreeMap<String, i64> =
            routes["backends"].as_array().unwrap().iter().map(|backend| (text(backend, "/revision").to_owned(), backend["weight"].as_i64().unwrap())).collect();
        assert_eq!(told, weights);
    }

    /// Tries everything that counts for nothing.
    pub fn try_all_that_is_refused(&self) {
        for (who, deed) in Who::ALL.into_iter().flat_map(|who| Deed::ALL.map(|deed| (who, deed))) {
            let outcome = expected(who, deed);
            if outcome == Outcome::Counts {
                continue;
            }
            let before = self.approvals();
            let answer = self.attempt(who, deed);
            check(&format!("{who:?} {deed:?}"), outcome, answer);
            if outcome == Outcome::NeverHolds {
                self.team.stage.admin.kubectl(&["-n", &self.team.namespace, "delete", "modelapproval", "too-early"]).unwrap();
            }
            assert_eq!(self.approvals(), before, "{who:?} {deed:?} left something behind");
        }
        self.assert_no_traffic();
    }

    fn attempt(&self, who: Who, deed: Deed) -> anyhow::Result<String> {
        let (person, name) = self.person(who);
        let target = if who == Who::Author { &self.hers } else { &self.waiting };
        // What is edited, taken back or hung up is the gatekeeper's decision about the person's own model.
        let decided = if who == Who::Author { &self.hers } else { &self.served };
        let decision = format!("modelapproval/{}", text(&self.team.approval("gil", decided), "/metadata/name"));
        let mut approval = self.team.approval(&name, target);
        approval["metadata"]["name"] = json!("tried");
        let create = |approval: &Value| person.kubectl_with(&["-n", &self.team.namespace, "create", "-f", "-"], Some(&approval.to_string()));
        match deed {
            Deed::Create => create(&approval),
            Deed::NameAnother => {
                approval["spec"]["approver"] = json!("somebody-else");
                create(&approval)
            }
            Deed::WrongDigest => {
                approval["spec"]["digest"] = json!(NO_DIGEST);
                create(&approval)
            }
            Deed::TooEarly => create(&self.too_early(&name)),
            Deed::Edit => self.patch(person, &decision, &json!({"spec": {"reason": "another one"}})),
            Deed::Delete => person.kubectl(&["-n", &self.team.namespace, "delete", &decision, "--wait=false"]),
            Deed::SetOwner => {
                let root = self.team.get("configmap/kube-root-ca.crt").unwrap();
                let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": root["metadata"]["uid"]});
                self.patch(person, &decision, &json!({"metadata": {"ownerReferences": [owner]}}))
            }
        }
    }

    /// An approval of what [`Trial::late`] will be.
    pub fn too_early(&self, approver: &str) -> Value {
        let mut approval = self.team.approval(approver, &self.late());
        approval["metadata"]["name"] = json!("too-early");
        approval
    }

    /// A version that does not exist yet: like the one that waits, with another digest.
    pub fn late(&self) -> Value {
        let mut spec = self.waiting["spec"].clone();
        spec["digest"] = json!(NO_DIGEST);
        json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": "flight-delay-0000000000"}, "spec": spec})
    }

    /// Makes it, as the operator does after a training.
    pub fn come_late(&self) {
        self.operator.kubectl_with(&["-n", &self.team.namespace, "create", "-f", "-"], Some(&self.late().to_string())).unwrap();
    }

    /// The person, and the name under which the API server knows them.
    fn person(&self, who: Who) -> (&Cluster, String) {
        match who {
            Who::Author => (&self.ada, "ada".to_owned()),
            Who::AuthorAndGatekeeper => (&self.team.ann, "ann".to_owned()),
            Who::Colleague => (&self.team.cole, "cole".to_owned()),
            Who::Gatekeeper => (&self.team.gil, "gil".to_owned()),
            Who::ServiceAccount => (&self.robot, robot(&self.team.namespace)),
            Who::Operator => (&self.operator, OPERATOR.to_owned()),
        }
    }

    /// Every decision, with its resourceVersion.
    fn approvals(&self) -> BTreeMap<String, String> {
        let list = self.team.get("modelapprovals").unwrap();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (text(item, "/metadata/name").to_owned(), text(item, "/metadata/resourceVersion").to_owned()))
            .collect()
    }
}

/// Fails when something else came of it than what the table says.
pub fn check(what: &str, outcome: Outcome, answer: anyhow::Result<String>) {
    let answer = answer.map_err(|error| format!("{error:#}"));
    let right = match (&answer, outcome) {
        (Err(error), Outcome::Rbac) => error.contains("is forbidden: User") && error.contains(" cannot "),
        (Err(error), Outcome::Policy(parts)) => error.contains("ValidatingAdmissionPolicy") && parts.iter().any(|part| error.contains(part)),
        (Err(error), Outcome::Definition(part)) => error.contains(part),
        (Ok(_), Outcome::NeverHolds | Outcome::Corrected | Outcome::Undone | Outcome::Harmless | Outcome::Counts) => true,
        (Ok(_) | Err(_), _) => false,
    };
    assert!(right, "{what}: expected {outcome:?}, but: {answer:?}");
}

fn robot(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:robot")
}

/// The author who is no gatekeeper, and a service account with rights that nobody should have.
fn people(namespace: &str) -> Value {
    let rbac = "rbac.authorization.k8s.io";
    let user = |name: &str| json!({"apiGroup": rbac, "kind": "User", "name": name});
    let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": namespace});
    let bind = |name: &str, kind: &str, role: &str, subject: &Value| {
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": rbac, "kind": kind, "name": role}, "subjects": [subject]})
    };
    let careless = json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": "careless", "namespace": namespace},
        "rules": [{"apiGroups": ["plimsoll.dev"], "resources": ["modelapprovals", "modelversions"], "verbs": ["*"]}]});
    let items = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": namespace}}),
        careless,
        bind("robot-careless", "Role", "careless", &robot),
        bind("robot-edit", "ClusterRole", "edit", &robot),
        bind("robot-gatekeeper", "ClusterRole", "plimsoll-gatekeeper", &robot),
        bind("ada-edit", "ClusterRole", "edit", &user("ada")),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
