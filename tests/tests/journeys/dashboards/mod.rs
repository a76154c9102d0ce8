//! The shipped dashboard and rules on the real Prometheus: every expression has data, and panels say what callers counted.
//!
//! A namespace of its own makes everything that the panels show: a training that lasts, a canary of two models, failing calls.
//! Counters are compared exactly, once they have been scraped after the last call: `rate` and `increase` guess what happened
//! between scrapes, so the panel's own rate is added up over time and may differ by a tenth.

pub mod shipped;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights::{self, Flight};
use plimsoll_tests::prometheus::{Prometheus, Series};
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use plimsoll_tests::traffic::{Counts, send_each};
use serde_json::{Value, json};

use shipped::{Expression, counters, measured_by_rules, panels};

/// Epochs of the first model, so many that Prometheus sees some of them.
const EPOCHS: u32 = 100;
/// Good calls to two models, and calls that lack an input.
const GOOD: usize = 2_900;
const BAD: usize = 100;
/// Calls while one of two runtimes answers errors only.
const FAILING: usize = 300;
/// Two scrapes, and what it takes to find a new pod.
const SCRAPED_WITHIN: Duration = Duration::from_secs(60);
/// A step of the rollout, pods included.
const STEP_SECONDS: u64 = 180;
/// How far back panels look, in seconds, and the distance of two points.
const SHOWN: (i64, u32) = (3_600, 5);

struct Journey {
    team: Team,
    prometheus: Prometheus,
    panels: Vec<Expression>,
    flights: Vec<Flight>,
}

#[test]
#[ignore = "needs a cluster"]
fn every_panel_and_rule_has_data_and_panels_agree_with_what_callers_counted() {
    let stage = Stage::of_journeys().unwrap();
    let team = Team::visit(&stage, "dashboards").unwrap();
    let panels = panels(&stage, "dashboard.json", (&team.namespace, "flight-delay"));
    let journey = Journey { prometheus: Prometheus::of(&stage).unwrap(), panels, flights: flights::load(&stage, "2013-07", GOOD).unwrap(), team };
    journey.train_and_serve();
    let candidate = journey.canary("default");
    let counts = journey.send(GOOD, BAD);
    let sent = Instant::now();
    journey.compare_calls(&counts);
    journey.compare_predictions(&counts);
    journey.compare_weights(&candidate);
    journey.wait_for_drift(&candidate);
    let faulty = journey.canary("faulty");
    let failing = journey.send(FAILING, 0);
    journey.compare_failures(&counts, &failing, &faulty);
    journey.compare_training();
    journey.everything_has_data();
    journey.compare_rates(&counts, &candidate, sent);
}

/// Calls that this revision answered with one of these codes.
fn answered(counts: &Counts, revision: &str, codes: &[&str]) -> u64 {
    counts.iter().filter(|((who, code), _)| who == revision && codes.contains(&code.as_str())).map(|(_, number)| number).sum()
}

fn revisions(counts: &Counts) -> Vec<&str> {
    let mut names: Vec<&str> = counts.keys().map(|(revision, _)| revision.as_str()).collect();
    names.dedup();
    names
}

/// Numbers by revision.
fn by_revision(found: &[Series]) -> BTreeMap<&str, f64> {
    let mut sums = BTreeMap::new();
    for series in found {
        *sums.entry(series.label("revision")).or_default() += series.last();
    }
    sums
}

#[expect(clippy::as_conversions, reason = "a few thousand calls")]
fn number(count: u64) -> f64 {
    count as f64
}

impl Journey {
    fn panel(&self, title: &str) -> &Expression {
        self.panels.iter().find(|panel| panel.name == title).unwrap_or_else(|| panic!("there is no panel {title:?}"))
    }

    /// Two models; the first serves all traffic.
    fn train_and_serve(&self) {
        let mut first = self.team.quick_job("dashboards-first", 1).unwrap();
        first["spec"]["optimization"]["epochs"] = json!(EPOCHS);
        first["spec"]["optimization"].as_object_mut().unwrap().remove("earlyStopping");
        let first = self.team.train(&first.to_string()).unwrap();
        self.team.approve(&first).unwrap();
        self.deploy("default");
        self.team.wait(STEP_SECONDS, |deployment| is_true(deployment, "Ready") && is_true(deployment, "Promoted")).unwrap();
        let second = self.team.train(&self.team.quick_job("dashboards-second", 2).unwrap().to_string()).unwrap();
        self.team.approve(&second).unwrap();
    }

    fn deploy(&self, runtime: &str) {
        let change = |spec: &mut Value| {
            spec["predictor"]["runtime"] = json!(runtime);
            // Half of the traffic until a person says go, and nothing that could end it earlier.
            spec["strategy"]["canary"] = json!({"steps": [{"setWeight": 50}, {"pause": {}}], "checks": []});
        };
        self.team.deploy(change).unwrap();
    }

    /// Waits until a candidate with this runtime has half of the traffic, on every router, and Prometheus knows it. Gives its revision.
    fn canary(&self, runtime: &str) -> String {
        let before = self.team.get("modeldeployment/flight-delay").unwrap();
        let before = if runtime == "default" { String::new() } else { text(&before, "/status/candidate/revision").to_owned() };
        self.deploy(runtime);
        let half = |deployment: &Value| {
            deployment.pointer("/status/candidate/weight").and_then(Value::as_i64) == Some(5_000) && text(deployment, "/status/candidate/revision") != before
        };
        let deployment = self.team.wait(STEP_SECONDS, half).unwrap();
        let revision = text(&deployment, "/status/candidate/revision").to_owned();
        let routers = deployment.pointer("/spec/router/replicas").and_then(Value::as_u64).unwrap();
        let expression = format!("count(plimsoll_router_weight{{namespace=\"{}\", revision=\"{revision}\"}} == 0.5)", self.team.namespace);
        self.prometheus.wait(&expression, SCRAPED_WITHIN, |found| found.first().is_some_and(|series| series.last() >= number(routers))).unwrap();
        if runtime == "default" {
            // Drift is measured from one scrape to another: what a new pod counts before its first one is not seen.
            let expression = format!("count(count by (revision) (plimsoll_predictions_total{{namespace=\"{}\"}}))", self.team.namespace);
            self.prometheus.wait(&expression, SCRAPED_WITHIN, |found| found.first().is_some_and(|series| series.last() >= 2.0)).unwrap();
        }
        revision
    }

    /// Sends so many calls, and waits until everything was scraped after the last answer.
    fn send(&self, good: usize, bad: usize) -> Counts {
        let requests = self.flights.iter().cycle().take(good + bad).enumerate().map(|(place, flight)| {
            let mut request = flight.request("flight-delay");
            if place < bad {
                request.inputs.retain(|input| input.name != "carrier");
            }
            request
        });
        let counts = send_each(&self.team.address().unwrap(), requests.collect()).unwrap();
        let end = number(u64::try_from(Timestamp::now().as_millisecond()).unwrap()) / 1_000.0;
        let namespace = &self.team.namespace;
        for metric in ["plimsoll_router_requests_total", "plimsoll_predictions_total"] {
            let expression = format!("min(timestamp({metric}{{namespace=\"{namespace}\"}}))");
            self.prometheus.wait(&expression, SCRAPED_WITHIN, |found| found.first().is_some_and(|series| series.last() > end)).unwrap();
        }
        counts
    }

    /// Panels 1 and 2: calls by revision, and the count of the latency histogram, which is every call once.
    fn compare_calls(&self, counts: &Counts) {
        assert_eq!(revisions(counts).len(), 2, "{counts:?}");
        let calls = self.prometheus.query(&counters(self.panel("Calls per second by revision"))).unwrap();
        let latency = self.prometheus.query(&counters(self.panel("Latency, 99 of 100 calls"))).unwrap();
        let every: Vec<Series> = latency.into_iter().filter(|series| series.label("le") == "+Inf").collect();
        for (revision, number) in by_revision(&calls) {
            assert_eq!(number, self::number(answered(counts, revision, &["Ok", "InvalidArgument"])), "calls of {revision}: {counts:?}");
            assert_eq!(by_revision(&every)[revision], number, "latencies of {revision}");
        }
        let failed = self.prometheus.query(&counters(self.panel("Failed calls by revision"))).unwrap();
        assert!(by_revision(&failed).values().all(|number| *number == 0.0), "a caller's mistake is no failure: {failed:?}");
    }

    /// Panel 3: each good call is one row and one prediction.
    fn compare_predictions(&self, counts: &Counts) {
        let found = self.prometheus.query(&counters(self.panel("Predictions by bucket"))).unwrap();
        for (revision, number) in by_revision(&found) {
            assert_eq!(number, self::number(answered(counts, revision, &["Ok"])), "predictions of {revision}: {counts:?}");
        }
    }

    /// Panel 4.
    fn compare_weights(&self, candidate: &str) {
        let found = self.prometheus.query(&self.panel("Share of the traffic by revision").text).unwrap();
        let weights = by_revision(&found);
        assert_eq!(weights.len(), 2, "{weights:?}");
        assert!(weights.contains_key(candidate) && weights.values().all(|weight| *weight == 0.5), "{weights:?}");
    }

    /// The operator measures every ten seconds, where both revisions have enough rows.
    fn wait_for_drift(&self, candidate: &str) {
        let expression = format!("plimsoll_drift_excess_lower_bound{{namespace=\"{}\", revision=\"{candidate}\"}}", self.team.namespace);
        let found = self.prometheus.wait(&expression, SCRAPED_WITHIN, |found| !found.is_empty()).unwrap();
        // Six features and the prediction.
        assert_eq!(found.len(), 7, "{found:?}");
    }

    /// Panel 5: every call that the faulty runtime answered, and no other.
    fn compare_failures(&self, before: &Counts, counts: &Counts, faulty: &str) {
        let expected = answered(counts, faulty, &["Internal"]);
        assert!(expected > 0, "{counts:?}");
        let found = self.prometheus.query(&counters(self.panel("Failed calls by revision"))).unwrap();
        for (revision, failed) in by_revision(&found) {
            assert_eq!(failed, if revision == faulty { number(expected) } else { 0.0 }, "{revision}: {counts:?}");
        }
        let calls = self.prometheus.query(&counters(self.panel("Calls per second by revision"))).unwrap();
        for (revision, all) in by_revision(&calls) {
            let codes = ["Ok", "InvalidArgument", "Internal"];
            assert_eq!(all, number(answered(before, revision, &codes) + answered(counts, revision, &codes)), "{revision}");
        }
    }

    /// What was scraped of the training are whole epochs, one after another. The last is not always seen: the pod ends soon after it.
    fn compare_training(&self) {
        let found = self.prometheus.range(&self.panel("Training progress").text, SHOWN.0, SHOWN.1).unwrap();
        let seen = found.iter().find(|series| series.label("training_job") == "dashboards-first").unwrap();
        for pair in seen.samples.windows(2) {
            assert!(pair[0].1 <= pair[1].1, "{seen:?}");
        }
        for (_, ratio) in &seen.samples {
            let epochs = ratio * f64::from(EPOCHS);
            assert!(epochs >= 1.0 && epochs <= f64::from(EPOCHS) && (epochs - epochs.round()).abs() < 1e-9, "{seen:?}");
        }
    }

    /// Every panel shows something of this namespace, and every rule is loaded, evaluated, and has something to compare.
    fn everything_has_data(&self) {
        let mut empty = Vec::new();
        let rules = measured_by_rules(&self.team.stage);
        for expression in self.panels.iter().chain(&rules) {
            let found = self.prometheus.range(&expression.text, SHOWN.0, SHOWN.1).unwrap();
            let ours = |series: &&Series| ["", &self.team.namespace].contains(&series.label("namespace"));
            if !found.iter().filter(ours).any(|series| series.samples.iter().any(|(_, value)| value.is_finite())) {
                empty.push(expression);
            }
        }
        assert!(empty.is_empty(), "no data: {empty:#?}");
        let loaded = self.prometheus.rules().unwrap();
        for rule in &rules {
            let found = loaded.iter().find(|found| text(found, "/name") == rule.name).unwrap_or_else(|| panic!("{} is not loaded", rule.name));
            assert!(text(found, "/health") == "ok" && !text(found, "/lastEvaluation").starts_with("0001"), "{found}");
        }
        println!("{} panels' expressions and {} rules have data", self.panels.len(), rules.len());
    }

    /// The panel's own rate, a point a second, added up: within a tenth of the calls, once every window that holds a call is over.
    fn compare_rates(&self, counts: &Counts, candidate: &str, sent: Instant) {
        std::thread::sleep(Duration::from_secs(65).saturating_sub(sent.elapsed()));
        let expression = format!("sum_over_time(({})[15m:1s])", self.panel("Calls per second by revision").text);
        let found = self.prometheus.query(&expression).unwrap();
        let (sum, expected) = (by_revision(&found)[candidate], number(answered(counts, candidate, &["Ok", "InvalidArgument"])));
        assert!((sum / expected - 1.0).abs() < 0.1, "rates add up to {sum}, callers counted {expected}");
    }
}
