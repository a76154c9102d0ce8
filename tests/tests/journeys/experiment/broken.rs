//! Tests that must not be believed.

use std::time::{Duration, Instant};

use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::outcomes::{Caller, token_of_servers};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{MATURITY, apply, end, prediction, serve, test, wait};

/// Users of the test that loses some.
const USERS: usize = 100_000;
/// Of a hundred users of the treatment, so many are lost.
const LOST: usize = 3;
/// Predictions that are handed over at a time.
const AT_A_TIME: usize = 5_000;

/// What model servers hand over of so many users.
fn predictions(test: &Value, revision: &str, users: usize) -> Vec<Value> {
    (0..users).map(|user| prediction(test, revision, user, 0.25)).collect()
}

#[test]
#[ignore = "needs a cluster"]
fn a_test_that_loses_users_or_outcomes_of_one_variant_is_invalid() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "invalid").unwrap();
    let version = team.train(&team.quick_job("only", 1).unwrap().to_string()).unwrap();
    let deployment = serve(&team, &version, |_| {});
    let (revision, caller) = (text(&deployment, "/status/stable/revision"), Caller::of(&team, "flight-delay").unwrap());
    let token = token_of_servers(&team, "flight-delay").unwrap();

    apply(&team, &test(&team, "lost", [&version, &version], |spec| spec["design"]["maximumUnitsPerVariant"] = json!(USERS)));
    let running = wait(&team, "lost", |test| is_true(test, "Running"));
    let start = Instant::now();
    let users = predictions(&running, revision, USERS).into_iter().enumerate();
    let kept: Vec<Value> = users.filter(|(user, _)| user.is_multiple_of(2) || (user / 2) % 100 >= LOST).map(|(_, prediction)| prediction).collect();
    for some in kept.chunks(AT_A_TIME) {
        caller.hand_over(some, &token).unwrap();
    }
    let lost = end(&team, "lost");
    println!("{USERS} users in {} s", start.elapsed().as_secs());
    assert_eq!(text(&lost, "/status/verdict"), "Invalid");
    assert!(text(&lost, "/status/summary").contains("not assigned as planned"), "{lost}");

    apply(&team, &test(&team, "unlabelled", [&version, &version], |_| {}));
    let running = wait(&team, "unlabelled", |test| is_true(test, "Running"));
    let users = predictions(&running, revision, 2_000);
    caller.hand_over(&users, &token).unwrap();
    let of_control = users.iter().step_by(2).map(|prediction| (text(prediction, "/id").to_owned(), true));
    caller.report(&of_control.collect::<Vec<_>>()).unwrap();
    // Nothing is said about them before their time is over.
    let (counted, start) = (Duration::from_secs(MATURITY), Instant::now());
    let unlabelled = end(&team, "unlabelled");
    assert!(start.elapsed() + Duration::from_secs(2) >= counted, "it was judged before the outcomes could come");
    assert_eq!(text(&unlabelled, "/status/verdict"), "Invalid");
    assert!(text(&unlabelled, "/status/summary").contains("Outcomes are missing"), "{unlabelled}");
}
