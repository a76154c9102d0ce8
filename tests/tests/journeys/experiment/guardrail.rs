//! A variant that does harm is switched off within one evaluation interval of the evidence.

use std::time::{Duration, Instant};

use plimsoll_crds::names::variant;
use plimsoll_stats::{Calls, Verdict, compare};
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::outcomes::Reporters;
use plimsoll_tests::prometheus::Prometheus;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::{Value, json};

use super::{CHECK_INTERVAL, apply, end, serve, test, wait};

/// How much worse the treatment may be.
const MARGIN: f64 = 0.02;
/// How long it may take from the evidence on, besides one interval: other journeys kill the operator meanwhile, and it comes back after a while.
const SLACK: Duration = Duration::from_secs(55);
/// How often the journey asks Prometheus.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What routers counted of a variant, as Prometheus has it.
#[expect(clippy::as_conversions, reason = "counters of a journey")]
fn calls(prometheus: &Prometheus, variant: &str) -> Calls {
    let counted = prometheus.query(&format!("sum by (outcome) (plimsoll_router_variant_requests_total{{variant=\"{variant}\"}})")).unwrap();
    let of = |outcomes: &[&str]| counted.iter().filter(|series| outcomes.contains(&series.label("outcome"))).map(|series| series.last() as u64).sum::<u64>();
    let failed = of(&["server_error", "unreachable"]);
    Calls { failed, all: failed + of(&["success"]) }
}

/// Whether routers are told to split anybody's traffic.
fn splits(team: &Team) -> bool {
    let routes = team.get("configmap/flight-delay-routes").unwrap();
    let routes: Value = serde_json::from_str(text(&routes, "/data/routes.json")).unwrap();
    routes.get("test").is_some_and(|test| !test.is_null())
}

#[test]
#[ignore = "needs a cluster"]
fn a_variant_that_fails_its_guardrail_is_switched_off_within_one_interval() {
    let stage = Stage::of_journeys().unwrap();
    let (team, prometheus) = (Team::visit(&stage, "harm").unwrap(), Prometheus::of(&stage).unwrap());
    let version = team.train(&team.quick_job("sound", 1).unwrap().to_string()).unwrap();
    let mut job = team.quick_job("failing", 2).unwrap();
    job["spec"]["architecture"] = json!({"mlp": {"hidden": [8]}});
    let network = team.train(&job.to_string()).unwrap();
    // Its server spoils one call in ten of a network.
    serve(&team, &version, |spec| spec["predictor"]["runtime"] = json!("half-faulty"));
    let callers = Reporters::start(&team, "flight-delay", &flights::load(&stage, "2013-01", 4_000).unwrap(), Duration::ZERO).unwrap();
    apply(
        &team,
        &test(&team, "harmful", [&version, &network], |spec| {
            spec["guardrails"] = json!([{"metric": "errorRate", "margin": MARGIN, "alpha": 0.001}]);
            spec["design"]["maximumUnitsPerVariant"] = json!(100_000);
        }),
    );
    team.approve(&network).unwrap();
    let running = wait(&team, "harmful", |test| is_true(test, "Running"));
    let start = Instant::now();
    let [control, treatment] = ["control", "treatment"].map(|name| variant("harmful", text(&running, "/metadata/uid"), name));
    let evidence = || compare(calls(&prometheus, &treatment), calls(&prometheus, &control), MARGIN, 0.001).verdict == Verdict::Fail;
    let (mut evident, mut off) = (None, None);
    while off.is_none() && start.elapsed() < CHECK_INTERVAL + SLACK * 2 {
        if evident.is_none() && evidence() {
            evident = Some(Instant::now());
        }
        off = (!splits(&team)).then(Instant::now);
        std::thread::sleep(ASK_AGAIN);
    }
    let off = off.expect("the treatment is still called");
    // The operator may have asked before the journey did.
    let took = evident.map_or(Duration::ZERO, |evident| off - evident);
    println!(
        "switched off {:.1} s after Prometheus had the evidence, at an interval of {} s; {:.1} s after the first user was assigned",
        took.as_secs_f64(),
        CHECK_INTERVAL.as_secs(),
        (off - start).as_secs_f64()
    );
    assert!(took < CHECK_INTERVAL + SLACK, "{took:?}");
    let harmful = end(&team, "harmful");
    let (answered, failed) = callers.stop().unwrap();
    println!("{answered} calls answered, {failed} failed");
    assert_eq!(text(&harmful, "/status/verdict"), "Inconclusive");
    assert!(text(&harmful, "/status/summary").contains("guardrail failed: treatment fails more calls"), "{harmful}");
    assert!(failed > 0, "the treatment never failed");
    let deployment = team.get("modeldeployment/flight-delay").unwrap();
    assert_eq!(text(&deployment, "/status/stable/modelVersion"), text(&version, "/metadata/name"));
}
