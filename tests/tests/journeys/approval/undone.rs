//! Foreign edits that reach the API server (somebody may override, or the operator is away) are undone.

use plimsoll_tests::cluster::{Cluster, text};
use plimsoll_tests::stage::Stage;
use serde_json::{Value, json};

use super::trial::Trial;

/// Where the operator runs.
const OPERATOR: [&str; 3] = ["-n", "plimsoll-system", "deployment/plimsoll-operator"];

/// An edit, and where it shows.
struct Edit {
    object: String,
    patch: Value,
    pointer: &'static str,
}

fn edits(model: &str) -> Vec<Edit> {
    let edit = |object: &str, patch: Value, pointer| Edit { object: object.to_owned(), patch, pointer };
    let template = |change: Value| json!({"spec": {"template": change}});
    let container = |name: &str, change: Value| {
        let mut container = json!({"name": name});
        container.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    };
    let service = model.replace("deployment/", "service/");
    vec![
        edit("configmap/flight-delay-routes", json!({"data": {"routes.json": "{}"}}), "/data"),
        edit("service/flight-delay", json!({"spec": {"selector": {"app": "another"}}}), "/spec/selector"),
        edit(&service, json!({"spec": {"selector": {"app": "another"}}}), "/spec/selector"),
        edit(model, container("server", json!({"image": "example.org/another"})), "/spec/template/spec/containers"),
        edit(model, container("server", json!({"env": [{"name": "A", "value": "b"}]})), "/spec/template/spec/containers"),
        edit(model, json!({"spec": {"replicas": 3}}), "/spec/replicas"),
        edit(model, template(json!({"metadata": {"labels": {"plimsoll.dev/model": "another"}}})), "/spec/template/metadata/labels"),
        edit("deployment/flight-delay-router", container("router", json!({"image": "example.org/another"})), "/spec/template/spec/containers"),
        edit(
            "deployment/flight-delay-router",
            template(
                json!({"spec": {"initContainers": [{"name": "another", "image": "example.org/another"}], "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["kubernetes.default"]}]}}),
            ),
            "/spec/template/spec/initContainers",
        ),
    ]
}

/// What is compared: routes without their version, which grows with each write.
fn content(object: &Value, pointer: &str) -> Value {
    let value = object.pointer(pointer).cloned().unwrap_or_default();
    let routes = value.get("routes.json").and_then(Value::as_str).and_then(|routes| serde_json::from_str::<Value>(routes).ok());
    routes.map_or(value, |mut routes| {
        routes.as_object_mut().unwrap().remove("version");
        routes
    })
}

impl Trial {
    /// Edits by somebody who may override; gives what was there before.
    fn edit_children(&self, who: &Cluster) -> Vec<(Edit, Value)> {
        let before = |edit: Edit| {
            let value = content(&self.team.get(&edit.object).unwrap(), edit.pointer);
            (edit, value)
        };
        let before: Vec<_> = edits(&self.model()).into_iter().map(before).collect();
        for (edit, _) in &before {
            who.kubectl(&["-n", &self.team.namespace, "patch", &edit.object, "-p", &edit.patch.to_string()]).unwrap();
        }
        before
    }

    fn wait_until_undone(&self, before: &[(Edit, Value)]) {
        for (edit, value) in before {
            self.wait_for(&edit.object, |object| content(object, edit.pointer) == *value);
        }
    }
}

/// Somebody who may override edits everything; the operator undoes it.
#[test]
#[ignore = "needs a cluster"]
fn foreign_edits_are_undone() {
    let trial = Trial::open("undone");
    trial.wait_until_undone(&trial.edit_children(&trial.team.stage.admin));
    trial.assert_no_traffic();
}

/// The operator, away until this value goes.
struct Away<'a>(&'a Stage);

impl<'a> Away<'a> {
    fn send(stage: &'a Stage) -> Self {
        let away = Self(stage);
        stage.admin.kubectl(&["scale", OPERATOR[0], OPERATOR[1], OPERATOR[2], "--replicas=0"]).unwrap();
        let selector = ["-n", "plimsoll-system", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=60s"];
        stage.admin.kubectl(&selector).unwrap();
        away
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let _ = self.0.admin.kubectl(&["scale", OPERATOR[0], OPERATOR[1], OPERATOR[2], "--replicas=1"]);
    }
}

/// Whoever is refused is refused by the API server: the operator is not needed for it. What is edited meanwhile is undone when it is
/// back. Run alone: other journeys need the operator.
#[test]
#[ignore = "needs a cluster"]
fn the_same_people_are_refused_without_the_operator() {
    let trial = Trial::open("alone");
    trial.ask();
    let away = Away::send(&trial.team.stage);
    trial.try_all_that_is_refused();
    trial.try_everything_as_colleague(false);
    let model = trial.model();
    let edited = trial.edit_children(&trial.team.stage.admin);
    trial.team.cole.kubectl(&["-n", &trial.team.namespace, "scale", &model, "--replicas=0"]).unwrap();
    assert_eq!(text(&trial.team.get("configmap/flight-delay-routes").unwrap(), "/data/routes.json"), "{}", "nobody is there to undo it");
    drop(away);
    trial.wait_until_undone(&edited);
    trial.wait_for(&model, |model| model["spec"]["replicas"] == 1);
    trial.assert_no_traffic();
}
