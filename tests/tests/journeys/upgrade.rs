//! An administrator upgrades Plimsoll, and later goes back, while callers call.
//!
//! The journey replaces the cluster's operator, so it is no good company for others:
//! `cargo test -p plimsoll-tests --test journeys -- --ignored upgrade`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_crds::names::LABEL_DEPLOYMENT;
use plimsoll_tests::audit::{self, AuditLog, OPERATOR};
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::pods::{self, Pod};
use plimsoll_tests::release::{NAMESPACE, Release};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::{Team, settled};
use plimsoll_tests::traffic::{Traffic, answered_and_failed};
use serde_json::{Value, json};

/// Calls a second.
const RATE: u32 = 100;

/// Brings the release back that was there, however the journey ends.
struct Home {
    stage: Stage,
    release: Release,
}

impl Drop for Home {
    fn drop(&mut self) {
        if Release::installed(&self.stage).is_ok_and(|installed| installed != self.release)
            && let Err(error) = self.release.install(&self.stage)
        {
            eprintln!("the cluster keeps the other release: {error:#}");
        }
    }
}

#[test]
#[ignore = "needs a cluster, and replaces its operator"]
fn i11_upgrade_and_back_under_traffic() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "upgrade").unwrap();
    serve_first_model(&team);
    let home = Home { stage: stage.clone(), release: Release::installed(&stage).unwrap() };
    let next = home.release.next(&stage, &format!("next-{}", stage.name().unwrap())).unwrap();
    for part in ["operator", "modelServer", "router"] {
        assert_ne!(home.release.image(part), next.image(part), "{part}");
    }
    let mut traffic = Traffic::start(&team.address().unwrap(), "flight-delay", flights::load(&stage, "2013-07", 2_000).unwrap(), RATE);

    upgrade(&team, &next);
    assert_eq!(images(&team, "flight-delay"), expected(&home.release, &home.release), "nothing was asked for since");

    // The next rollout brings the new server, and only that.
    let routers = of(&team, "router");
    let second = team.train(&team.quick_job("upgrade-2", 2).unwrap().to_string()).unwrap();
    team.approve(&second).unwrap();
    team.wait(240, |deployment| text(deployment, "/status/stable/modelVersion") == text(&second, "/metadata/name") && settled(deployment)).unwrap();
    wait_for_pods(&team, "flight-delay", &expected(&next, &home.release));
    assert_eq!(of(&team, "router"), routers, "a rollout of a model is none of the routers");

    // A change of the routers brings the new router.
    change_routers(&team);
    wait_for_pods(&team, "flight-delay", &expected(&next, &next));

    // A new deployment has everything from the new release.
    let mut another = team.get("modeldeployment/flight-delay").unwrap();
    another = json!({"apiVersion": another["apiVersion"], "kind": another["kind"], "metadata": {"name": "another", "namespace": team.namespace}, "spec": another["spec"]});
    team.apply(&team.ann, &another.to_string()).unwrap();
    stage.admin.wait(&team.namespace, "modeldeployment/another", Duration::from_secs(120), settled).unwrap();
    wait_for_pods(&team, "another", &expected(&next, &next));
    wait_until_no_pod_ends(&team);

    upgrade(&team, &home.release);
    assert_eq!(images(&team, "flight-delay"), expected(&next, &next), "going back restarts nothing either");

    traffic.stop().unwrap();
    let counts = traffic.counts();
    let (answered, failed) = answered_and_failed(&counts);
    println!("{answered} calls answered, {failed} failed: {counts:?}");
    assert_eq!(failed, 0, "{counts:?}");
    assert!(answered > u64::from(RATE) * 20, "too little traffic to tell: {counts:?}");
}

#[test]
#[ignore = "needs a cluster"]
fn routers_are_replaced_without_a_failed_call() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "routers").unwrap();
    serve_first_model(&team);
    let mut traffic = Traffic::start(&team.address().unwrap(), "flight-delay", flights::load(&stage, "2013-07", 2_000).unwrap(), RATE);
    let before = of(&team, "router");
    change_routers(&team);
    let routers = || pods::list(&stage.admin, &team.namespace, &format!("{LABEL_DEPLOYMENT},app.kubernetes.io/component=router")).unwrap();
    wait_for("every router to be another one", || routers().keys().all(|name| !before.contains_key(name)));
    wait_until_no_pod_ends(&team);
    traffic.stop().unwrap();
    println!("{:?}", traffic.counts());
    assert_eq!(answered_and_failed(&traffic.counts()).1, 0, "{:?}", traffic.counts());
}

fn change_routers(team: &Team) {
    team.deploy(|spec| {
        quick(spec);
        spec["router"]["resources"]["requests"]["cpu"] = json!("60m");
    })
    .unwrap();
}

fn serve_first_model(team: &Team) {
    let first = team.train(&team.quick_job("upgrade-1", 1).unwrap().to_string()).unwrap();
    team.approve(&first).unwrap();
    team.deploy(quick).unwrap();
    team.wait(180, settled).unwrap();
}

/// One short step, no checks, and the way back closes at once: the journey is about what restarts.
fn quick(spec: &mut Value) {
    spec["predictor"]["replicas"] = json!(2);
    spec["checks"] = json!([]);
    spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 50}, {"pause": {"duration": "5s"}}]});
    spec["rollback"] = json!({"bake": "5s"});
}

/// Upgrades, and asserts that nothing happened to what serves although the new operator has looked at it.
fn upgrade(team: &Team, to: &Release) {
    let (stage, before, since) = (&team.stage, serving(team), Timestamp::now());
    let was_ready = ready_since(team);
    to.install(stage).unwrap();
    let took = Timestamp::now().duration_since(since);
    let operators = pods::list(&stage.admin, NAMESPACE, "app.kubernetes.io/component=operator").unwrap();
    assert_eq!(operators.values().map(|pod| pod.image.as_str()).collect::<Vec<_>>(), [to.image("operator")]);
    let operator = operators.keys().next().unwrap();
    wait_for("the new operator to look at ModelDeployments", || looks(team, operator) > 0);
    assert_eq!(serving(team), before, "what serves was touched");
    assert_eq!(ready_since(team), was_ready, "the ModelDeployment was not Ready all the time");
    let writes = AuditLog::of(&stage.folder().unwrap()).writes(OPERATOR, since).unwrap();
    assert_eq!(audit::within(&writes, &team.namespace), Vec::<&audit::Write>::new(), "an operator that renders alike writes nothing");
    println!("helm upgrade took {:.1} s; writes of the new operator: {:?}", took.as_secs_f64(), audit::summary(&writes));
}

/// How many reconciles of ModelDeployments an operator has finished.
fn looks(team: &Team, operator: &str) -> u64 {
    let metrics =
        team.stage.admin.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{NAMESPACE}/pods/{operator}:9090/proxy/metrics")]).unwrap_or_default();
    let line = metrics.lines().find(|line| line.starts_with("plimsoll_operator_reconcile_total{controller=\"deployment\",outcome=\"success\"}"));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
}

/// Since when the ModelDeployment has been Ready without a break.
fn ready_since(team: &Team) -> String {
    let deployment = team.get("modeldeployment/flight-delay").unwrap();
    assert!(is_true(&deployment, "Ready"), "{}", deployment["status"]);
    let conditions = deployment["status"]["conditions"].as_array().unwrap();
    text(conditions.iter().find(|condition| text(condition, "/type") == "Ready").unwrap(), "/lastTransitionTime").to_owned()
}

fn serving(team: &Team) -> BTreeMap<String, Pod> {
    let pods = pods::list(&team.stage.admin, &team.namespace, LABEL_DEPLOYMENT).unwrap();
    assert!(pods.len() >= 4 && pods.values().all(|pod| pod.ready), "{pods:?}");
    pods
}

fn of(team: &Team, component: &str) -> BTreeMap<String, Pod> {
    serving(team).into_iter().filter(|(_, pod)| pod.component == component).collect()
}

/// The image of each component, when all pods of a component run the same one.
fn images(team: &Team, deployment: &str) -> BTreeMap<String, Vec<String>> {
    let mut images = BTreeMap::<String, Vec<String>>::new();
    for (_, pod) in pods::list(&team.stage.admin, &team.namespace, &format!("{LABEL_DEPLOYMENT}={deployment}")).unwrap() {
        let of_component = images.entry(pod.component).or_default();
        if !of_component.contains(&pod.image) {
            of_component.push(pod.image);
        }
    }
    images
}

fn expected(server: &Release, router: &Release) -> BTreeMap<String, Vec<String>> {
    [("model-server", server.image("modelServer")), ("router", router.image("router"))]
        .map(|(component, image)| (component.to_owned(), vec![image.to_owned()]))
        .into()
}

fn wait_for_pods(team: &Team, deployment: &str, expected: &BTreeMap<String, Vec<String>>) {
    wait_for(&format!("the pods of {deployment} to run {expected:?}"), || images(team, deployment) == *expected);
}

/// Pods that were asked to end serve for a while yet, and new ones become ready.
fn wait_until_no_pod_ends(team: &Team) {
    wait_for("pods to settle", || {
        let listed: Value =
            serde_json::from_str(&team.stage.admin.kubectl(&["-n", &team.namespace, "get", "pods", "-l", LABEL_DEPLOYMENT, "-o", "json"]).unwrap()).unwrap();
        listed["items"].as_array().unwrap().iter().all(|pod| is_true(pod, "Ready") && pod.pointer("/metadata/deletionTimestamp").is_none())
    });
}

fn wait_for(what: &str, check: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited two minutes for {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
