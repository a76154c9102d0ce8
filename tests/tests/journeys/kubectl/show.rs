//! `kubectl wait` and `kubectl get`: what a person sees of real objects, from the first run to the middle of a rollout.

use std::time::Duration;

use plimsoll_tests::cluster::text;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

/// Cells by their column's head, of every row that `kubectl get` printed.
fn table(printed: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = printed.lines();
    let head = lines.next().unwrap_or_default();
    let is_start = |place: &usize| *place == 0 || head[..*place].ends_with("  ");
    let mut starts: Vec<usize> = head.char_indices().filter(|(_, letter)| *letter != ' ').map(|(place, _)| place).filter(is_start).collect();
    starts.push(usize::MAX);
    let cell = |line: &str, from: usize, to: usize| line.get(from.min(line.len())..to.min(line.len())).unwrap_or_default().trim().to_owned();
    lines.map(|line| starts.windows(2).map(|pair| (cell(head, pair[0], pair[1]), cell(line, pair[0], pair[1]))).collect()).collect()
}

#[test]
fn cells_are_found_below_their_heads() {
    let rows = table("NAME   READY   WHY NOT\na      True    \nlong           x y\n");
    let texts = |row: &[(String, String)]| row.iter().map(|(head, cell)| format!("{head}={cell}")).collect::<Vec<_>>().join(",");
    assert_eq!(rows.iter().map(|row| texts(row)).collect::<Vec<_>>(), ["NAME=a,READY=True,WHY NOT=", "NAME=long,READY=,WHY NOT=x y"]);
}

#[test]
#[ignore = "needs a cluster"]
fn wait_and_get_tell_the_whole_story() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "show").unwrap();
    let ann = |arguments: &[&str]| team.ann.kubectl(&[&["-n", team.namespace.as_str()], arguments].concat());
    let wait = |what: &str, condition: &str| ann(&["wait", what, &format!("--for=condition={condition}"), "--timeout=180s"]).unwrap();

    // An object that is not ready does not satisfy the wait, so that a script stops.
    let mut held = team.quick_job("held", 9).unwrap();
    held["spec"]["run"]["suspend"] = json!(true);
    team.apply(&team.ann, &held.to_string()).unwrap();
    wait("trainingjob/held", "Suspended");
    assert!(ann(&["wait", "trainingjob/held", "--for=condition=Ready", "--timeout=1s"]).is_err());

    let job = team.quick_job("show-1", 1).unwrap();
    team.apply(&team.ann, &job.to_string()).unwrap();
    wait("trainingjob/show-1", "Ready");
    let version = team.train(&job.to_string()).unwrap();
    let name = text(&version, "/metadata/name").to_owned();
    approve_for_a_year(&team, &version);
    wait(&format!("modelversion/{name}"), "Approved");
    wait(&format!("modelversion/{name}"), "Ready");
    team.deploy(|spec| spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 10}, {"pause": {}}]})).unwrap();
    wait("modeldeployment/flight-delay", "Ready");
    wait("modeldeployment/flight-delay", "Promoted");
    let second = team.train(&team.quick_job("show-2", 2).unwrap().to_string()).unwrap();
    approve_for_a_year(&team, &second);
    // In the middle of a rollout a deployment is Ready, and every column has something to say.
    wait("modeldeployment/flight-delay", "Paused");
    wait("modeldeployment/flight-delay", "Ready");
    let weight = |deployment: &Value| deployment.pointer("/status/candidate/weight").and_then(Value::as_i64) == Some(1_000);
    stage.admin.wait(&team.namespace, "modeldeployment/flight-delay", Duration::from_secs(60), weight).unwrap();
    ann(&["delete", "trainingjob/held"]).unwrap();

    for short in ["tj", "mv", "ma", "md"] {
        let rows = table(&ann(&["get", short, "-o", "wide"]).unwrap());
        assert!(!rows.is_empty(), "{short}");
        for (head, cell) in rows.iter().flatten() {
            assert!(!cell.is_empty() && !cell.starts_with('<'), "{short}: {head} is {cell:?} in {rows:?}");
        }
        println!("{short}: {:?}", rows[0]);
    }
    let everything = ann(&["get", "plimsoll", "-o", "name"]).unwrap();
    for kind in ["trainingjob", "modelversion", "modelapproval", "modeldeployment"] {
        assert!(everything.lines().any(|line| line.starts_with(&format!("{kind}.plimsoll.dev/"))), "{kind}: {everything}");
    }
}

fn approve_for_a_year(team: &Team, version: &Value) {
    let mut approval = team.approval("gil", version);
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(365 * 24);
    approval["spec"]["expiresAt"] = json!(expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    team.apply(&team.gil, &approval.to_string()).unwrap();
}
