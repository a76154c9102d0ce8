//! Approval on the real API server: who may decide, what a colleague can do besides, and what is undone. The expected outcome of
//! every attempt is [`plimsoll_tests::matrix`], which the documentation shows.

mod colleague;
mod trial;
mod undone;

use std::time::Duration;

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::matrix::{Deed, Outcome, Who, expected, markdown};
use serde_json::json;

use trial::{Trial, check};

/// What the operator sees, it says within this.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Only the gatekeeper who did not train the model moves traffic.
#[test]
#[ignore = "needs a cluster"]
fn only_the_gatekeeper_who_is_not_the_author_decides() {
    let trial = Trial::open("approval");
    trial.ask();
    trial.try_all_that_is_refused();
    trial.try_everything_as_colleague(true);
    an_early_approval_never_holds(&trial);
    a_rejection_cannot_be_taken_back_by_the_author(&trial);
    the_gatekeeper_decides(&trial);
    println!("{}", markdown());
}

fn an_early_approval_never_holds(trial: &Trial) {
    let team = &trial.team;
    team.apply(&team.gil, &trial.too_early("gil").to_string()).unwrap();
    // The API server's clock counts whole seconds; a version of the same second would count as seen.
    let made = team.get("modelapproval/too-early").unwrap();
    let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let made = second(text(&made, "/metadata/creationTimestamp"));
    while jiff::Timestamp::now().as_second() <= made {
        std::thread::sleep(Duration::from_millis(100));
    }
    trial.come_late();
    let waits = |version: &serde_json::Value| version["status"]["conditions"].to_string().contains("older than the model");
    let version = team.stage.admin.wait(&team.namespace, "modelversion/flight-delay-0000000000", SEEN_WITHIN, waits).unwrap();
    assert!(!is_true(&version, "Approved"), "{version}");
}

fn a_rejection_cannot_be_taken_back_by_the_author(trial: &Trial) {
    let team = &trial.team;
    let mut rejection = team.approval("gil", &trial.waiting);
    rejection["metadata"]["name"] = json!("rejected");
    rejection["spec"]["decision"] = json!("Rejected");
    team.apply(&team.gil, &rejection.to_string()).unwrap();
    let delete = |who: &plimsoll_tests::cluster::Cluster| who.kubectl(&["-n", &team.namespace, "delete", "modelapproval/rejected"]);
    check("the author takes a rejection back", expected(Who::AuthorAndGatekeeper, Deed::Delete), delete(&team.ann));
    check("the gatekeeper takes it back", expected(Who::Gatekeeper, Deed::Delete), delete(&team.gil));
}

fn the_gatekeeper_decides(trial: &Trial) {
    let (team, version) = (&trial.team, text(&trial.waiting, "/metadata/name"));
    assert_eq!(expected(Who::Gatekeeper, Deed::Create), Outcome::Counts);
    team.approve(&trial.waiting).unwrap();
    let serves = |deployment: &serde_json::Value| {
        text(deployment, "/status/stable/modelVersion") == version && is_true(deployment, "Ready") && is_true(deployment, "Promoted")
    };
    team.wait(60, serves).unwrap();
    let approval = text(&team.approval("gil", &trial.waiting), "/metadata/name").to_owned();
    team.gil.kubectl(&["-n", &team.namespace, "delete", "modelapproval", &approval]).unwrap();
    let withdrawn = |version: &serde_json::Value| !version.is_null() && !is_true(version, "Approved");
    team.stage.admin.wait(&team.namespace, &format!("modelversion/{version}"), SEEN_WITHIN, withdrawn).unwrap();
    assert!(serves(&team.get("modeldeployment/flight-delay").unwrap()), "what serves goes on serving");
}
