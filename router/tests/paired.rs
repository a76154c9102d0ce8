//! A paired test: every caller is answered by the control, the treatment answers copies, and a copy costs no caller anything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use common::{Router, slice};
use plimsoll_router::assign::unit;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const INFER: &str = "/v2/models/m/infer";
/// As the router copies at most, in bytes and at a time.
const LARGEST: usize = 1 << 20;
const COPIES: u32 = 64;

/// A pod that remembers what it heard.
#[derive(Clone, Default)]
struct Pod {
    heard: Arc<Mutex<Vec<Value>>>,
    /// How long it takes.
    wait: Duration,
    fails: bool,
}

impl Pod {
    async fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, pod) = (listener.local_addr().unwrap().port(), self.clone());
        let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let [unit, variant, shadow, id] = ["x-plimsoll-unit", "x-plimsoll-variant", "x-plimsoll-shadow", "x-plimsoll-request-id"].map(header);
            let heard = json!({"path": uri.path(), "unit": unit, "variant": variant, "shadow": shadow, "id": id, "other": header("x-other"), "bytes": body.len(),
                "sum": body.iter().map(|byte| u64::from(*byte)).sum::<u64>()});
            pod.heard.lock().unwrap().push(heard);
            tokio::time::sleep(pod.wait).await;
            (if pod.fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }, "{}")
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        port
    }

    /// What it heard, once it is so much.
    async fn heard(&self, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            if self.heard.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let heard = self.heard.lock().unwrap().clone();
        assert_eq!(heard.len(), count);
        heard
    }
}

async fn router(control: &Pod, treatment: &Pod, ready: &[&str]) -> Router {
    let (old, new) = (control.start().await, treatment.start().await);
    let routes = json!({"version": 1, "seed": "deployment", "evaluator": {"service": "evaluator", "port": 1},
        "backends": [{"revision": "old", "service": "old", "port": old, "weight": 10_000, "state": "Stable"},
            {"revision": "new", "service": "new", "port": new, "weight": 0, "state": "Candidate"}],
        "pairedTest": {"seed": "test", "header": "x-user-id", "variants": [
            {"name": "control", "revision": "old", "weight": 5_000}, {"name": "treatment", "revision": "new", "weight": 5_000}]}});
    Router::start(&routes, &ready.iter().map(|service| slice(service, true)).collect::<Vec<_>>()).await
}

/// Calls it as this user; gives the status and the revision that answered.
async fn call(router: &Router, user: &str, body: Vec<u8>) -> (StatusCode, String) {
    let request = reqwest::Client::new().post(format!("{}{INFER}", router.address)).header("x-user-id", user).header("x-other", "stays");
    let answer = request.header("x-plimsoll-shadow", "forged").header("x-plimsoll-request-id", "forged").body(body).send().await.unwrap();
    assert!(answer.headers().get("x-plimsoll-variant").is_none(), "nobody is assigned to anything");
    let revision = answer.headers()["x-plimsoll-revision"].to_str().unwrap().to_owned();
    (StatusCode::from_u16(answer.status().as_u16()).unwrap(), revision)
}

fn count(router: &Router, name: &str, labels: &[&str]) -> u64 {
    let page = router.metrics.render();
    let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label)));
    line.and_then(|line| line.rsplit_once(' ')).map_or(0, |(_, value)| value.parse().unwrap())
}

fn shadows(router: &Router, outcome: &str) -> u64 {
    count(router, "plimsoll_router_shadow_calls_total", &[&format!("outcome=\"{outcome}\"")])
}

/// Waits until so many copies ended in this way.
async fn ended(router: &Router, outcome: &str, expected: u64) {
    for _ in 0..500 {
        if shadows(router, outcome) == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(shadows(router, outcome), expected, "{outcome}");
}

#[tokio::test]
async fn the_control_answers_and_the_treatment_hears_the_same_under_the_same_id() {
    let (control, treatment) = (Pod::default(), Pod::default());
    let router = router(&control, &treatment, &["old", "new"]).await;
    let body: Vec<u8> = (0..200_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    for user in 0..20 {
        assert_eq!(call(&router, &format!("N{user}"), body.clone()).await, (StatusCode::OK, "old".to_owned()));
    }
    assert_eq!(call(&router, "", body.clone()).await.1, "old");
    let (said, copied) = (control.heard(21).await, treatment.heard(20).await);
    for user in 0..20 {
        let unit = json!(unit("test", format!("N{user}").as_bytes()));
        let of = |heard: &[Value]| heard.iter().find(|heard| heard["unit"] == unit).unwrap().clone();
        let (mut call, copy) = (of(&said), of(&copied));
        assert!(call["variant"].is_null() && call["shadow"].is_null() && call["id"] != "forged", "{call}");
        (call["variant"], call["shadow"]) = (json!("treatment"), json!("control"));
        assert_eq!(call, copy, "all else is the same");
    }
    assert!(said[20]["unit"].is_null() && said[20]["id"].is_null() && said[20]["shadow"].is_null(), "who names nobody is in no test: {}", said[20]);
    ended(&router, "success", 20).await;
    let requests = |of: &str| count(&router, "plimsoll_router_requests_total", &[&format!("revision=\"{of}\""), "outcome=\"success\""]);
    let variants = |of: &str| count(&router, "plimsoll_router_variant_requests_total", &[&format!("variant=\"{of}\""), "outcome=\"success\""]);
    assert_eq!((requests("old"), requests("new"), variants("control"), variants("treatment")), (21, 0, 20, 20), "copies count for the variant alone");
}

#[tokio::test]
async fn a_treatment_that_is_slow_or_fails_or_is_away_costs_nobody_anything() {
    let (control, slow) = (Pod::default(), Pod { wait: Duration::from_secs(3), ..Pod::default() });
    let slowed = router(&control, &slow, &["old", "new"]).await;
    let started = Instant::now();
    for user in 0..COPIES + 6 {
        assert_eq!(call(&slowed, &format!("N{user}"), b"{}".to_vec()).await.0, StatusCode::OK);
    }
    assert!(started.elapsed() < slow.wait, "{:?}: a caller waited for a copy", started.elapsed());
    assert_eq!(shadows(&slowed, "busy"), 6, "copies under way are bounded");

    let failing = Pod { fails: true, ..Pod::default() };
    let failed = router(&Pod::default(), &failing, &["old", "new"]).await;
    assert_eq!(call(&failed, "N1", b"{}".to_vec()).await, (StatusCode::OK, "old".to_owned()));
    ended(&failed, "server_error", 1).await;
    assert_eq!(count(&failed, "plimsoll_router_variant_requests_total", &["variant=\"treatment\"", "outcome=\"server_error\""]), 1, "a guardrail sees it");
    assert_eq!(count(&failed, "plimsoll_router_requests_total", &["revision=\"new\"", "outcome=\"server_error\""]), 0);

    let away = router(&Pod::default(), &Pod::default(), &["old"]).await;
    assert_eq!(call(&away, "N1", b"{}".to_vec()).await, (StatusCode::OK, "old".to_owned()));
    assert_eq!(shadows(&away, "no_endpoints"), 1);
}

#[tokio::test]
async fn a_large_body_is_passed_on_and_not_copied_whether_or_not_it_says_its_length() {
    let (control, treatment) = (Pod::default(), Pod::default());
    let router = router(&control, &treatment, &["old", "new"]).await;
    let chunks = |bytes: usize| {
        let chunks = (0..bytes / 10_000).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 10_000])));
        reqwest::Body::wrap_stream(tokio_stream::iter(chunks))
    };
    let post = |body: reqwest::Body| reqwest::Client::new().post(format!("{}{INFER}", router.address)).header("x-user-id", "N1").body(body).send();
    assert_eq!(call(&router, "N1", vec![7; LARGEST + 1]).await.0, StatusCode::OK);
    assert!(post(chunks(2 * LARGEST)).await.unwrap().status().is_success());
    assert_eq!(shadows(&router, "too_large"), 2);
    // As large as may be, and nothing at all.
    assert_eq!(call(&router, "N1", vec![7; LARGEST]).await.0, StatusCode::OK);
    assert!(post(chunks(500_000)).await.unwrap().status().is_success());
    assert_eq!(call(&router, "N1", Vec::new()).await.0, StatusCode::OK);
    let mut sizes: Vec<u64> = treatment.heard(3).await.iter().map(|heard| heard["bytes"].as_u64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 500_000, 1 << 20]);
    let heard = control.heard(5).await;
    assert_eq!(heard.iter().map(|heard| heard["bytes"].as_u64().unwrap()).max(), Some(2 * (1 << 20) / 10_000 * 10_000));
}

#[tokio::test]
async fn with_the_test_its_copies_end() {
    let (control, treatment) = (Pod::default(), Pod::default());
    let router = router(&control, &treatment, &["old", "new"]).await;
    let mut over = router.table.load().routes.clone();
    (over.version, over.paired_test) = (2, None);
    router.table.store(Arc::new(router.table.load().with(over, &[slice("old", true), slice("new", true)])));
    assert_eq!(call(&router, "N1", b"{}".to_vec()).await, (StatusCode::OK, "old".to_owned()));
    assert_eq!(control.heard(1).await[0]["id"], Value::Null);
    assert!(treatment.heard.lock().unwrap().is_empty());
}
