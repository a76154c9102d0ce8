//! What asking for outcomes does to the pods, to the routes and to what was collected.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_crds::condition::{ConditionType, find};
use plimsoll_crds::model_deployment::PredictionLog;
use plimsoll_stats::Verdict;
use serde_json::json;

use super::fixtures::{KEYS, at, deployment, image, outcomes, version, version_name};
use super::stories::serving_one;
use super::world::World;
use crate::change::Change;
use crate::deployment::children::{kind, name};
use crate::deployment::looks::{Clock, due};
use crate::deployment::revision::{Desired, Serving};
use crate::deployment::rules::Rules;

const EVALUATOR: &str = "flight-delay-evaluator";
const ACCOUNT: &str = "flight-delay-model";

fn collecting() -> World {
    let mut world = serving_one();
    world.deployment.spec.outcomes = Some(outcomes());
    world.bump();
    world.run(7_200);
    world
}

/// Version 2 at a tenth of the traffic, judged by its outcomes, too.
fn judged() -> World {
    let mut world = serving_one();
    let spec = &mut world.deployment.spec;
    spec.outcomes = Some(outcomes());
    spec.checks.push(serde_json::from_value(json!({"name": "quality", "outcome": {"metric": "logLoss", "versus": "BaseRate", "minimumSkill": 0.05}})).unwrap());
    spec.strategy.canary.checks.push("quality".to_owned());
    world.bump();
    while world.status().candidate.is_none_or(|candidate| candidate.weight == 0) {
        world.pass();
    }
    world
}

fn condition(world: &World, kind: ConditionType) -> (String, String) {
    find(&world.status().conditions, kind).map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
}

fn arguments(world: &World) -> String {
    let revision = world.status().stable.unwrap().reference.revision;
    world.object("Deployment", &format!("flight-delay-{revision}")).unwrap()["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
}

#[test]
fn an_evaluator_is_made_and_the_servers_that_know_it_are_rolled_out() {
    let before = serving_one();
    let world = collecting();
    assert_ne!(before.status().stable.unwrap().reference.revision, world.status().stable.unwrap().reference.revision);
    assert!(arguments(&world).contains("http://flight-delay-evaluator.flights:8080"), "{}", arguments(&world));
    for kind in ["Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy", "ConfigMap"] {
        assert!(world.object(kind, EVALUATOR).is_some(), "{kind}");
    }
    assert_eq!(world.routes().unwrap().evaluator.unwrap().service, EVALUATOR);
    assert_eq!(condition(&world, ConditionType::OutcomesCollected), ("True".to_owned(), "EvaluatorReady".to_owned()));
}

#[test]
fn a_candidate_waits_for_its_outcomes_whoever_cannot_be_asked_and_goes_back_when_they_are_bad() {
    let mut world = judged();
    let (one, two) = (BTreeMap::from([(1, 10_000)]), BTreeMap::from([(1, 9_000), (2, 1_000)]));
    assert_eq!(world.traffic(), two);
    let clock = Clock { looked_at: None, poked: true, now: at(world.now) };
    let look = due(&world.deployment, &Rules::read(&world.deployment.spec), clock).unwrap();
    assert_eq!((look.checks.len(), look.maturity), (3, Some(Duration::from_secs(6 * 3_600))));
    for verdict in [Verdict::NoData, Verdict::ProviderError, Verdict::TooLittle] {
        world.of_check.insert("quality".into(), verdict);
        world.run(8 * 3_600);
        assert_eq!(world.traffic(), two, "{verdict}: every other check passes, and nothing moves");
        assert_eq!(world.status().checks.iter().find(|check| check.name == "quality").unwrap().verdict, verdict.as_str());
    }
    let mut good = world.clone();
    good.of_check.clear();
    good.run(8 * 3_600);
    assert_eq!(good.traffic(), BTreeMap::from([(2, 10_000)]));
    world.of_check.insert("quality".into(), Verdict::Fail);
    world.run(8 * 3_600);
    let status = world.status();
    assert_eq!((world.traffic(), status.blocked[0].check.as_str(), status.candidate), (one, "quality", None));
}

#[test]
fn who_asks_for_no_outcomes_has_no_trace_of_them() {
    let world = serving_one();
    assert!(world.routes().unwrap().evaluator.is_none() && !arguments(&world).contains("--evaluator"));
    assert_eq!(condition(&world, ConditionType::OutcomesCollected), (String::new(), String::new()));
    let record = world.observed.records().remove(0);
    assert!(!serde_json::to_string(&record).unwrap().contains("predictionLog"), "a record from before must stay equal");
    assert!(world.object("ServiceAccount", ACCOUNT).is_none());
    assert!(!world.object("Deployment", "flight-delay-router").unwrap().to_string().contains("token"));
}

/// Made before there were outcomes: an operator that hashed otherwise would start every model anew.
#[test]
fn i11_a_revision_without_outcomes_has_the_hash_that_it_always_had() {
    let mut deployment = deployment("Latest");
    deployment.spec.predictor.node_selector.insert("pool".into(), "models".into());
    let desired = Desired::new(&version(1), &Serving::of(&deployment.spec), &image("model-server", 1));
    assert_eq!(desired.reference.revision, "cba7a352f2");
}

#[test]
fn who_asks_no_longer_keeps_what_was_collected() {
    let mut world = collecting();
    world.deployment.spec.outcomes = None;
    world.bump();
    world.run(7_200);
    let left: Vec<&str> = world.observed.children.iter().filter(|child| name(child).contains("evaluator")).map(kind).collect();
    assert_eq!(left, ["PersistentVolumeClaim"]);
    assert!(world.object("ServiceAccount", ACCOUNT).is_none());
    assert!(world.routes().unwrap().evaluator.is_none() && !arguments(&world).contains("--evaluator"));
}

#[test]
fn a_volume_is_made_once_and_never_changed() {
    let mut world = collecting();
    let claim = world.observed.children.iter_mut().find(|child| kind(child) == "PersistentVolumeClaim").unwrap();
    claim["spec"]["resources"]["requests"]["storage"] = json!("50Gi");
    let plan = world.pass();
    assert!(plan.changes.is_empty(), "somebody made it larger: {:?}", plan.changes);
    world.observed.children.retain(|child| kind(child) != "PersistentVolumeClaim");
    let plan = world.pass();
    assert!(matches!(&plan.changes[..], [Change::Create(object)] if kind(object) == "PersistentVolumeClaim"), "{:?}", plan.changes);
}

#[test]
fn i11_a_new_evaluator_image_waits_for_a_change_of_the_outcomes() {
    let mut world = collecting();
    let running = |world: &World| world.object("Deployment", EVALUATOR).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    world.settings.evaluator_image = image("evaluator", 7);
    world.run(60);
    assert_eq!(running(&world), json!(image("evaluator", 1)));
    let revision = world.status().stable.unwrap().reference.revision;
    world.deployment.spec.outcomes.as_mut().unwrap().maturity = plimsoll_crds::DurationText::new("1h");
    world.bump();
    world.run(60);
    assert_eq!(running(&world), json!(image("evaluator", 7)));
    assert_eq!(world.status().stable.unwrap().reference.revision, revision, "the model servers do not care how long outcomes are waited for");
}

#[test]
fn an_unknown_column_is_named_and_what_serves_goes_on() {
    let mut world = collecting();
    let before = (world.traffic(), world.status().stable.unwrap().reference.revision);
    world.deployment.spec.prediction_log = Some(PredictionLog { sample: 1.0, columns: vec!["tailnum".into()] });
    world.bump();
    world.run(600);
    let stalled = find(&world.status().conditions, ConditionType::Stalled).cloned().unwrap();
    assert_eq!(stalled.reason, "UnknownColumn");
    assert!(stalled.message.contains("tailnum") && stalled.message.contains("spec.predictionLog.columns"), "{}", stalled.message);
    assert_eq!((world.traffic(), world.status().stable.unwrap().reference.revision), before);
}

#[test]
fn durations_that_make_no_sense_start_no_evaluator() {
    for (maturity, retention, named) in
        [("6 hours", "1d", "outcomes.maturity"), ("6h", "soon", "outcomes.retention"), ("0s", "1d", "above 0"), ("2d", "1d", "shorter")]
    {
        let mut world = serving_one();
        let mut asked = outcomes();
        (asked.maturity, asked.retention) = (plimsoll_crds::DurationText::new(maturity), plimsoll_crds::DurationText::new(retention));
        world.deployment.spec.outcomes = Some(asked);
        world.bump();
        world.run(600);
        assert!(world.object("Deployment", EVALUATOR).is_none(), "{maturity} {retention}");
        assert_eq!(condition(&world, ConditionType::OutcomesCollected), ("False".to_owned(), "BadSpec".to_owned()));
        let stalled = find(&world.status().conditions, ConditionType::Stalled).cloned().unwrap();
        assert!(stalled.message.contains(named), "{}", stalled.message);
    }
}

#[test]
fn a_duration_that_makes_no_sense_stops_no_evaluator_that_is_there() {
    let mut world = collecting();
    let before = (world.object("Deployment", EVALUATOR).cloned(), world.routes().unwrap().evaluator);
    world.deployment.spec.outcomes.as_mut().unwrap().retention = plimsoll_crds::DurationText::new("1h");
    world.bump();
    world.run(600);
    assert_eq!((world.object("Deployment", EVALUATOR).cloned(), world.routes().unwrap().evaluator), before);
    assert_eq!(condition(&world, ConditionType::OutcomesCollected), ("False".to_owned(), "BadSpec".to_owned()));
}

#[test]
fn a_rollout_goes_on_while_the_evaluator_is_down() {
    let mut world = collecting();
    world.broken.push("evaluator".to_owned());
    world.settle();
    world.approve(3);
    world.ask_for(&version_name(3));
    world.run(7_200);
    assert_eq!(world.traffic().into_keys().collect::<Vec<_>>(), [3]);
    assert_eq!(condition(&world, ConditionType::OutcomesCollected).0, "False");
    assert_eq!(condition(&world, ConditionType::Ready).0, "True");
}

fn keys(world: &World) -> String {
    world.object("ConfigMap", EVALUATOR).map(|config| config["data"]["jwks.json"].as_str().unwrap().to_owned()).unwrap_or_default()
}

fn told(world: &World) -> String {
    find(&world.status().conditions, ConditionType::OutcomesCollected).unwrap().message.clone()
}

#[test]
fn keys_that_cannot_be_read_stay_what_they_were_and_that_is_said() {
    let mut world = collecting();
    assert_eq!(keys(&world), KEYS);
    let before = told(&world);
    world.observed.keys = Some(Err("/openid/v1/jwks: forbidden".to_owned()));
    world.run(60);
    assert_eq!((keys(&world).as_str(), condition(&world, ConditionType::OutcomesCollected).0.as_str()), (KEYS, "True"));
    assert!(told(&world).contains("/openid/v1/jwks: forbidden") && told(&world).contains("those read last stay in use"), "{}", told(&world));
    let plan = world.pass();
    assert!(plan.changes.is_empty() && plan.status == world.status(), "an outage is told once");
    let newer = KEYS.replace("first", "second");
    world.observed.keys = Some(Ok(newer.clone()));
    world.run(60);
    assert_eq!((keys(&world), told(&world)), (newer, before));
}

#[test]
fn an_evaluator_without_keys_is_waited_for_in_words() {
    let mut world = serving_one();
    world.observed.keys = Some(Err("/openid/v1/jwks: forbidden".to_owned()));
    // Its pod waits for the volume.
    world.broken.push("evaluator".to_owned());
    world.deployment.spec.outcomes = Some(outcomes());
    world.bump();
    world.run(7_200);
    assert!(world.object("ConfigMap", EVALUATOR).is_none());
    assert_eq!(condition(&world, ConditionType::OutcomesCollected), ("False".to_owned(), "KeysNotRead".to_owned()));
    assert!(told(&world).contains("/openid/v1/jwks: forbidden"), "{}", told(&world));
    assert_eq!(condition(&world, ConditionType::Ready).0, "True", "the model serves");
}

/// The account outlives the wish for outcomes as long as pods run under it.
#[test]
fn an_account_stays_until_no_pod_runs_under_it() {
    let mut world = collecting();
    assert!(world.object("ServiceAccount", ACCOUNT).is_some());
    world.deployment.spec.outcomes = None;
    world.bump();
    world.pass();
    for _ in 0..200 {
        let runs_under_it = |child: &&serde_json::Value| {
            kind(child) == "Deployment" && child["spec"]["replicas"] != json!(0) && child["spec"]["template"]["spec"]["serviceAccountName"] == json!(ACCOUNT)
        };
        if world.observed.children.iter().any(|child| runs_under_it(&child)) {
            assert!(world.object("ServiceAccount", ACCOUNT).is_some(), "pods lost their account");
        }
        world.now += 60;
        world.pass();
    }
    assert!(world.object("ServiceAccount", ACCOUNT).is_none());
}

/// A release without tokens made these pods. They are not restarted, and their word is taken until the next rollout has replaced them.
#[test]
fn i11_pods_from_before_there_were_tokens_go_on_and_are_believed() {
    let mut world = collecting();
    let revision = world.status().stable.unwrap().reference.revision;
    for child in world.observed.children.iter_mut().filter(|child| name(child) == format!("flight-delay-{revision}")) {
        for pointer in ["/data/template/spec/serviceAccountName", "/spec/template/spec/serviceAccountName"] {
            if let Some(account) = child.pointer_mut(pointer) {
                *account = json!("default");
            }
        }
    }
    let asks = |world: &World| world.object("Deployment", EVALUATOR).unwrap()["spec"]["template"].to_string().contains("--keys");
    assert!(asks(&world));
    world.run(600);
    assert_eq!(world.status().stable.unwrap().reference.revision, revision, "nothing is rolled out");
    assert!(!asks(&world));
    world.approve(3);
    world.ask_for(&version_name(3));
    world.run(7_200);
    assert_eq!(world.traffic().into_keys().collect::<Vec<_>>(), [3]);
    assert!(asks(&world), "everybody has a token now");
}
