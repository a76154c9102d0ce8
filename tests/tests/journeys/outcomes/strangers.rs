//! Whom an evaluator believes, on a network that keeps nobody from it.

use std::time::{Duration, Instant};

use plimsoll_crds::names::{evaluator_audience, model_account, router};
use plimsoll_tests::cluster::text;
use plimsoll_tests::flights;
use plimsoll_tests::outcomes::{Caller, audience, token};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::json;

use super::{WITHIN, at_once, collecting};

/// How long outcomes are waited for, in seconds.
const MATURITY: u64 = 60;

/// Milliseconds since 1970.
fn now() -> u64 {
    u64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
#[ignore = "needs a cluster"]
fn only_a_deployments_own_routers_and_servers_hand_over_records() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "strangers").unwrap();
    collecting(&team, MATURITY);
    let caller = Caller::of(&team, "flight-delay").unwrap();
    let (servers, routers) = (model_account("flight-delay"), router("flight-delay"));
    let own = audience(&team, "flight-delay").unwrap();
    let [model, of_routers] = [&servers, &routers].map(|account| token(&team, account, &own).unwrap());
    // As another deployment's pods have them: their account, their audience.
    let theirs = token(&team, &servers, &evaluator_audience(&team.namespace, "another", "0")).unwrap();
    let stranger = token(&team, "default", &own).unwrap();
    let for_the_api = team.stage.admin.kubectl(&["-n", &team.namespace, "create", "token", &servers]).unwrap();
    let prediction = json!({"predictions": [{"id": "forged/0", "timeUnixMs": now(), "revision": "r1", "value": 0.5, "positive": true}]});
    let outcome = json!({"outcomes": [{"id": "forged/0", "value": 1}]});
    let refused = [None, Some(theirs.as_str()), Some(stranger.as_str()), Some(for_the_api.trim()), Some("forged")];
    for (path, body, other) in [("/v1/predictions", &prediction, &of_routers), ("/v1/outcomes", &outcome, &model)] {
        for token in refused.into_iter().chain([Some(other.as_str())]) {
            let (status, answer) = caller.say(path, body, token).unwrap();
            println!("{path}: {status}: {}", text(&answer, "/error"));
            assert_eq!(status, 401, "{answer}");
        }
    }
    assert!(caller.ask("/v1/records/forged/0").unwrap_err().to_string().contains("404"), "something was stored");

    // What comes the right way is believed: from the servers by themselves, and from callers through the routers, whatever they call themselves.
    let flight = flights::load(&stage, "2013-07", 1).unwrap().remove(0);
    let answer = caller.predict("genuine", &flight).unwrap();
    let (receipt, _) = caller.report(&[(answer.id.clone(), true)]).unwrap();
    assert_eq!(receipt["contradictory"], json!(0), "{receipt}");
    let start = Instant::now();
    while caller.ask(&format!("/v1/records/{}", answer.id)).map_or(true, |record| record["prediction"].is_null() || record["outcome"].is_null()) {
        assert!(start.elapsed() < Duration::from_secs(WITHIN), "the prediction did not come");
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(caller.say("/v1/predictions", &prediction, Some(&model)).unwrap().0, 200);

    // A colleague who may edit everything gets neither a token of the account nor a pod that has one.
    let error = team.cole.kubectl(&["-n", &team.namespace, "create", "token", &servers, "--audience", &own]).unwrap_err().to_string();
    assert!(error.contains("only kubelets get tokens"), "{error}");
    let secure = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65_532, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dressed-up"}, "spec": {"serviceAccountName": servers,
        "containers": [{"name": "another", "image": "example.org/another", "securityContext": secure}]}});
    let error = team.apply(&team.cole, &pod.to_string()).unwrap_err().to_string();
    assert!(error.contains("only the operator makes pods that run as the account"), "{error}");

    // Who asks for outcomes no longer has no account for it either.
    team.deploy(at_once).unwrap();
    team.stage.admin.wait(&team.namespace, &format!("serviceaccount/{servers}"), Duration::from_secs(WITHIN), serde_json::Value::is_null).unwrap();
}
