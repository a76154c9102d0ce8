//! Calls of an A/B test: who answers them, what the model server and the caller are told, and how they are counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::sync::atomic::AtomicBool;

use axum::http::StatusCode;
use common::{Router, pod, slice};
use plimsoll_router::assign::unit;
use plimsoll_router::serve::probes;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const INFER: &str = "/v2/models/m/infer";
const FORGED: [(&str, &str); 2] = [("x-plimsoll-unit", "somebody"), ("x-plimsoll-variant", "treatment")];

async fn routes() -> Value {
    let (old, new, evaluator) = (pod("old").await, pod("new").await, pod("evaluator").await);
    json!({"version": 1, "seed": "deployment", "stickyHeader": "x-user-id", "evaluator": {"service": "evaluator", "port": evaluator},
        "backends": [{"revision": "old", "service": "old", "port": old, "weight": 10_000, "state": "Stable"},
            {"revision": "new", "service": "new", "port": new, "weight": 0, "state": "Candidate"}],
        "test": {"seed": "test", "header": "x-user-id", "variants": [
            {"name": "control", "revision": "old", "weight": 5_000}, {"name": "treatment", "revision": "new", "weight": 5_000}]}})
}

/// What the model server, and what the caller was told: pod, unit, variant; revision, variant.
async fn told(router: &Router, headers: &[(&str, &str)]) -> ([Value; 3], [String; 2]) {
    let (status, mut answer, headers) = router.post(INFER, headers).await;
    assert_eq!(status, StatusCode::OK);
    let caller =
        ["x-plimsoll-revision", "x-plimsoll-variant"].map(|name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default());
    (["pod", "unit", "variant"].map(|part| answer[part].take()), caller)
}

fn count(router: &Router, series: &str) -> f64 {
    let page = router.metrics.render();
    let labels = ["deployment=\"flight-delay\",", "namespace=\"flights\",", ",deployment=\"flight-delay\"", ",namespace=\"flights\""];
    let page = labels.iter().fold(page, |page, label| page.replace(label, ""));
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()).unwrap_or(f64::NAN)
}

#[tokio::test]
async fn calls_of_a_test_carry_variant_and_unit_and_others_do_not() {
    let (routes, slices) = (routes().await, [slice("old", true), slice("new", true)]);
    let router = Router::start(&routes, &slices).await;
    let series = |variant: &str| format!("plimsoll_router_variant_requests_total{{outcome=\"success\",variant=\"{variant}\"}}");
    assert_eq!(count(&router, &series("treatment")), 0.0, "handles are there before the first call");
    let mut calls = [0.0, 0.0];
    for user in 14_000..14_040 {
        let user = format!("N{user}");
        let variant = &router.table.load().routes.test.as_ref().unwrap().variant(user.as_bytes()).unwrap().clone();
        let treated = usize::from(variant.name == "treatment");
        let answer = told(&router, &[FORGED[0], FORGED[1], ("x-user-id", &user)]).await;
        let model_server = [json!(["old", "new"][treated]), json!(unit("test", user.as_bytes())), json!(variant.name)];
        assert_eq!(answer, (model_server, [variant.revision.clone(), variant.name.clone()]));
        calls[treated] += 1.0;
    }
    assert_eq!(told(&router, &FORGED).await, ([json!("old"), Value::Null, Value::Null], ["old".into(), String::new()]), "who names nobody");
    for (treated, (variant, revision)) in [("control", "old"), ("treatment", "new")].into_iter().enumerate() {
        assert_eq!(count(&router, &series(variant)), calls[treated]);
        assert_eq!(count(&router, &format!("plimsoll_router_variant_request_duration_seconds_count{{variant=\"{variant}\"}}")), calls[treated]);
        let of_revision = format!("plimsoll_router_requests_total{{outcome=\"success\",revision=\"{revision}\"}}");
        assert_eq!(count(&router, &of_revision), calls[treated] + [1.0, 0.0][treated], "each call counts for its revision, too");
    }
}

#[tokio::test]
async fn a_variant_without_pods_is_answered_as_if_there_were_no_test() {
    let routes = routes().await;
    let router = Router::start(&routes, &[slice("old", true), slice("new", false)]).await;
    let test = router.table.load().routes.test.clone().unwrap();
    let user = |name: &str| (0..).map(|user| format!("N{user}")).find(|user| test.variant(user.as_bytes()).unwrap().name == name).unwrap();
    let (control, treated) = (user("control"), user("treatment"));
    let outside = [json!("old"), json!(unit("deployment", treated.as_bytes())), Value::Null];
    assert_eq!(told(&router, &[("x-user-id", &treated)]).await, (outside, ["old".into(), String::new()]));
    let inside = [json!("old"), json!(unit("test", control.as_bytes())), json!("control")];
    assert_eq!(told(&router, &[("x-user-id", &control)]).await, (inside, ["old".into(), "control".into()]));
    // The same user meets the variant once it has pods.
    router.update(&routes, &[slice("old", true), slice("new", true)]);
    assert_eq!(told(&router, &[("x-user-id", &treated)]).await.1, ["new".to_owned(), "treatment".to_owned()]);
}

#[tokio::test]
async fn a_bad_test_leaves_the_last_good_routes_and_says_so() {
    let (good, slices) = (routes().await, [slice("old", true), slice("new", true)]);
    let router = Router::start(&good, &slices).await;
    let mut bad = good.clone();
    (bad["version"], bad["test"]["variants"][0]["weight"]) = (json!(2), json!(4_000));
    router.update(&bad, &slices);
    assert_eq!(count(&router, "plimsoll_router_rejected_total{reason=\"bad_routes\"}"), 1.0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/routes", listener.local_addr().unwrap());
    let probes = probes(router.metrics.clone(), router.table.clone(), AtomicBool::new(false).into());
    tokio::spawn(async move { axum::serve(listener, probes).await });
    let shown = || async { reqwest::get(&url).await.unwrap().json::<Value>().await.unwrap() };
    let before = shown().await;
    assert_eq!((&before["version"], &before["test"]), (&json!(1), &json!("test")));
    // A test that has ended is gone for callers; what it counted stays.
    let mut over = good.clone();
    (over["version"], over["test"]) = (json!(3), Value::Null);
    router.update(&over, &slices);
    let after = shown().await;
    assert_eq!((&after["version"], &after["test"]), (&json!(3), &Value::Null));
    assert_eq!(told(&router, &[("x-user-id", "N14228")]).await.1, ["old".to_owned(), String::new()]);
    assert_eq!(count(&router, "plimsoll_router_variant_requests_total{outcome=\"success\",variant=\"control\"}"), 0.0);
}
