//! An A/B test from the callers' header to what the evaluator tells the operator: a real router before model servers that keep what it
//! tells them, the ledger in virtual time, and the answer as JSON.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Uri};
use common::{came_true, file, predicted};
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::record::{Arm, Entry, Said, unit};
use plimsoll_evaluator::serve::protocol;
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::store::Sqlite;
use plimsoll_evaluator::writer::{Writer, now};
use plimsoll_router::assign::unit as named;
use plimsoll_router::metrics::Metrics;
use plimsoll_router::proxy::Proxy;
use plimsoll_router::routes::Routes;
use plimsoll_router::serve::serve;
use plimsoll_router::table::{Pod, Table};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const HOUR: i64 = 3_600_000;
const SEED: &str = "0b8f6c1e-52d7-4a63-9b1f-7e2d4c5a9f10";

/// What model servers heard: path, revision, unit and variant.
type Heard = Arc<Mutex<Vec<(String, &'static str, String, String)>>>;

async fn model_server(revision: &'static str, heard: Heard) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |uri: Uri, headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        heard.lock().unwrap().push((uri.path().trim_start_matches('/').to_owned(), revision, header("x-plimsoll-unit"), header("x-plimsoll-variant")));
        "{}"
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    port
}

/// A test of r1 against this revision.
fn table(treatment: &str, ports: [u16; 3]) -> Arc<Table> {
    let backend = |place: usize| {
        let (weight, state) = if place == 0 { (10_000, "Stable") } else { (0, "Candidate") };
        json!({"revision": format!("r{}", place + 1), "service": format!("s{}", place + 1), "port": ports[place], "weight": weight, "state": state})
    };
    let variant = |name: &str, revision: &str| json!({"name": name, "revision": revision, "weight": 5_000});
    let routes = json!({"version": 1, "seed": "deployment", "evaluator": {"service": "evaluator", "port": 1}, "backends": (0..3).map(backend).collect::<Vec<_>>(),
        "test": {"seed": SEED, "header": "x-user-id", "variants": [variant("control", "r1"), variant("treatment", treatment)]}});
    let pod = |place: usize| (format!("s{}", place + 1), vec![Arc::new(Pod { address: ([127, 0, 0, 1], ports[place]).into(), outstanding: 0.into() })]);
    Arc::new(Table { routes: Routes::parse(&routes.to_string()).unwrap(), pods: (0..3).map(pod).collect() })
}

/// Users call twice, then treatment gets another revision and half of them call again; one call is nobody's. Gives what was heard.
async fn calls() -> Heard {
    let heard = Heard::default();
    let mut ports = [0; 3];
    for (port, revision) in ports.iter_mut().zip(["r1", "r2", "r3"]) {
        *port = model_server(revision, Arc::clone(&heard)).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Arc::new(table("r2", ports).into());
    tokio::spawn(serve(listener, Proxy::new(Arc::clone(&routes), Metrics::new("flights", "delay").unwrap()), CancellationToken::new()));
    let client = reqwest::Client::new();
    for (call, from) in [0, 0, 60].into_iter().enumerate() {
        if call == 2 {
            routes.store(table("r3", ports));
        }
        for user in from..120 {
            client.post(format!("{address}/{user}/{call}")).header("x-user-id", format!("N{user}")).send().await.unwrap();
        }
    }
    client.post(format!("{address}/nobody/0")).send().await.unwrap();
    heard
}

/// What the evaluator answers once it was told all of it, with outcomes of the first call and, from user 90 on, of the third one.
async fn quality(heard: &Heard) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&file(&folder)).unwrap()), Settings::new(Task::BinaryClassification, HOUR, 24 * HOUR)).unwrap();
    let begin = now() - 3 * HOUR;
    let told = |(id, revision, name, variant): &(String, &'static str, String, String)| {
        let mut entry = predicted(id, begin, &Arc::new(Arm { revision: (*revision).to_owned(), variant: variant.clone() }), 0.25);
        if let Said::Predicted(_, prediction) = &mut entry.said {
            prediction.unit = unit(name);
        }
        entry
    };
    let predictions: Vec<Entry> = heard.lock().unwrap().iter().map(told).collect();
    let told = (0..120).map(|user| format!("{user}/0")).chain((90..120).map(|user| format!("{user}/2"))).chain(["nobody/0".to_owned()]);
    let outcomes = told.map(|id| came_true(&id, 1.0)).collect();
    ledger.step(begin, &[]).unwrap();
    ledger.step(begin + 1, &[predictions, outcomes]).unwrap();
    while ledger.step(begin + 2 * HOUR, &[]).unwrap().behind {}
    let (writer, _) = Writer::start(ledger, plimsoll_serving::Readiness::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/quality", listener.local_addr().unwrap());
    let rest = protocol(Served { writer, task: Task::BinaryClassification }).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, rest).await });
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_arm_of_a_test_has_its_units_and_their_losses_by_bucket() {
    let heard = calls().await;
    let answer = quality(&heard).await;
    let arms: BTreeMap<(&str, &str), &Value> =
        answer["arms"].as_array().unwrap().iter().map(|arm| ((arm["variant"].as_str().unwrap(), arm["revision"].as_str().unwrap()), arm)).collect();
    assert_eq!(arms.keys().copied().collect::<Vec<_>>(), [("", "r1"), ("control", "r1"), ("treatment", "r2"), ("treatment", "r3")]);
    let nobody = &arms[&("", "r1")];
    let filled: Vec<&Value> = nobody["buckets"].as_array().unwrap().iter().filter(|bucket| bucket["count"] != 0).collect();
    let of_nobody = (&nobody["predictions"], &nobody["units"], filled.len(), &filled[0]["count"], &filled[0]["truth"]);
    assert_eq!(of_nobody, (&json!(1), &json!(0), 1, &json!(1), &json!(1.0)), "nobody's call is in a bucket, and of no unit");
    let test = table("r2", [1; 3]).routes.test.clone().unwrap();
    // Who is treated, from user `from` on, as buckets: anew from the header's bytes.
    let users = |variant: &str, from: u32| -> Vec<usize> {
        let of_variant = (from..120).map(|user| format!("N{user}")).filter(|user| test.variant(user.as_bytes()).unwrap().name == variant);
        of_variant.map(|user| usize::try_from(unit(&named(SEED, user.as_bytes())).unwrap() % 64).unwrap()).collect()
    };
    // Of each arm: who called it, and the calls with an outcome.
    let (control, treated) = (users("control", 0), users("treatment", 0));
    let third_of_control = users("control", 90);
    for (arm, units, labelled, with_outcome) in [
        (("control", "r1"), control.len(), control.len(), [control, third_of_control].concat()),
        (("treatment", "r2"), treated.len(), treated.len(), treated),
        (("treatment", "r3"), users("treatment", 60).len(), users("treatment", 90).len(), users("treatment", 90)),
    ] {
        let found = arms[&arm];
        assert_eq!((&found["units"], &found["labelledUnits"]), (&json!(units), &json!(labelled)), "{arm:?}: a user counts once in each arm");
        let mut expected = vec![0_u32; 64];
        for bucket in &with_outcome {
            expected[*bucket] += 1;
        }
        let buckets = found["buckets"].as_array().unwrap();
        assert_eq!(
            buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).collect::<Vec<_>>(),
            expected.iter().map(|n| u64::from(*n)).collect::<Vec<_>>()
        );
        for (bucket, wrong) in buckets.iter().zip(expected) {
            let calls = f64::from(wrong);
            assert_eq!((&bucket["squared"], &bucket["absolute"], &bucket["wrong"]), (&json!(calls * 0.5625), &json!(calls * 0.75), &json!(wrong)));
            assert_eq!((&bucket["truth"], &bucket["truthSquared"]), (&json!(calls), &json!(calls)));
            assert!((bucket["logLoss"].as_f64().unwrap() - calls * 4.0_f64.ln()).abs() < 1e-8);
        }
    }
    let names: BTreeSet<String> = heard.lock().unwrap().iter().map(|(_, _, unit, _)| unit.clone()).collect();
    assert_eq!(names.len(), 121, "a user has one name in the whole test, whichever revision answers; nobody has none");
}
