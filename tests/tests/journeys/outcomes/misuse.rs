//! What is refused about outcomes, and in which words.

use plimsoll_tests::cluster::{Cluster, text};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{WITHIN, collecting};

/// What the API server says to a change of the sample.
fn refused(team: &Team, change: impl Fn(&mut Value)) -> String {
    refused_to(team, &team.ann, change)
}

fn refused_to(team: &Team, who: &Cluster, change: impl Fn(&mut Value)) -> String {
    let error = team.deploy_as(who, change).unwrap_err().to_string();
    println!("{error}");
    error
}

#[test]
#[ignore = "needs a cluster"]
fn what_makes_no_sense_about_outcomes_is_refused_or_named() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "outcomes-misuse").unwrap();
    let asked = |database: Value| json!({"maturity": "60s", "retention": "1h", "database": database});
    let error = refused(&team, |spec| spec["predictionLog"] = json!({"columns": ["carrier"]}));
    assert!(error.contains("predictionLog needs outcomes"));
    let error = refused(&team, |spec| spec["outcomes"] = asked(json!({"sqlite": {}, "postgresql": {"secret": "object-store"}})));
    assert!(error.contains("exactly one of sqlite and postgresql"));
    let error = refused(&team, |spec| {
        spec["outcomes"] = asked(json!({"sqlite": {}}));
        spec["predictionLog"] = json!({"sample": 1.5});
    });
    assert!(error.contains("sample must be above 0 and at most 1"));

    // A check of outcomes where there are none, by a metric for which the base rate says nothing, and beside another kind.
    let check = |outcome: Value| move |spec: &mut Value| spec["checks"].as_array_mut().unwrap().push(json!({"name": "quality", "outcome": outcome}));
    let skill = |metric: &str, minimum: f64| json!({"metric": metric, "versus": "BaseRate", "minimumSkill": minimum});
    let error = refused(&team, check(skill("logLoss", 0.05)));
    assert!(error.contains("a check of the kind outcome needs outcomes: set spec.outcomes.maturity"), "{error}");
    let with_outcomes = |outcome: Value| {
        let add = check(outcome);
        move |spec: &mut Value| {
            spec["outcomes"] = asked(json!({"sqlite": {}}));
            add(spec);
        }
    };
    let error = refused(&team, with_outcomes(skill("accuracy", 0.05)));
    assert!(error.contains("\"accuracy\": supported values: \"logLoss\", \"brier\", \"meanSquaredError\""), "{error}");
    let error = refused(&team, with_outcomes(skill("logLoss", 1.0)));
    assert!(error.contains("minimumSkill must be below 1"), "{error}");
    let error = refused(&team, |spec| {
        spec["outcomes"] = asked(json!({"sqlite": {}}));
        spec["checks"][0]["outcome"] = skill("logLoss", 0.05);
    });
    assert!(error.contains("a check has exactly one of errorRate, drift, alert and outcome"), "{error}");

    // Dan may deploy, but may not read Secrets: the evaluator must not read them for him.
    let bind = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "dan-deploys", "namespace": team.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "plimsoll-edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dan"}]});
    stage.admin.apply(&bind.to_string()).unwrap();
    let dan = stage.person("dan").unwrap();
    let error = refused_to(&team, &dan, |spec| spec["outcomes"] = asked(json!({"postgresql": {"secret": "object-store"}})));
    assert!(error.contains("you may not get the Secret object-store that spec.outcomes.database.postgresql.secret names"), "{error}");

    let before = collecting(&team, 60);
    let error = refused(&team, |spec| spec["outcomes"] = asked(json!({"sqlite": {"size": "2Gi"}})));
    assert!(error.contains("kubectl edit pvc"), "{error}");
    // A column that the model does not have is named, and what serves goes on.
    team.deploy(|spec| {
        spec["outcomes"] = asked(json!({"sqlite": {"size": "1Gi"}}));
        spec["predictionLog"] = json!({"columns": ["tailnum"]});
    })
    .unwrap();
    let named = |deployment: &Value| {
        let conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["reason"] == "UnknownColumn" && text(one, "/message").contains("tailnum"))
    };
    let after = team.wait(WITHIN, named).unwrap();
    assert_eq!(after["status"]["stable"]["revision"], before["status"]["stable"]["revision"]);
}
