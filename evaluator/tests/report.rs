//! Reports of A/B tests: what is in them, what is text in them, what is said where nothing is known, and who may hand them over.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/story.rs"]
mod story;

use std::path::Path;
use std::sync::Arc;

use common::came_true;
use plimsoll_evaluator::access::Access;
use plimsoll_evaluator::grpc::Served;
use plimsoll_evaluator::ledger::Ledger;
use plimsoll_evaluator::quality::Quality;
use plimsoll_evaluator::record::{Arm, Entry, Prediction, Said};
use plimsoll_evaluator::report::facts::{Facts, facts};
use plimsoll_evaluator::report::input::Test;
use plimsoll_evaluator::report::page;
use plimsoll_evaluator::serve::{probes, protocol};
use plimsoll_evaluator::settings::{Settings, Task};
use plimsoll_evaluator::state::State;
use plimsoll_evaluator::store::Sqlite;
use plimsoll_evaluator::writer::Writer;
use plimsoll_serving::Readiness;
use plimsoll_stats::experiment::Method;
use serde_json::{Value, json};
use story::{Story, UID};

const HOUR: i64 = 3_600_000;

fn of(test: &Value, state: &State) -> Facts {
    facts(&Test::parse(test["metadata"]["name"].as_str().unwrap(), test.to_string().as_bytes()).unwrap(), state)
}

/// Whatever a page is about: it needs nothing from outside, runs nothing, and has no number that is none.
fn sound(page: &str) {
    for outside in ["<script", "http://", "https://", "src=", "href=", "url(", "@import", "NaN", "inf\"", "inf,", "inf<"] {
        assert!(!page.contains(outside), "{outside} in\n{page}");
    }
    for tag in ["svg", "figure", "table", "div", "p", "ul", "li", "text", "g", "h2", "h3", "td", "tr"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}\n{page}");
    }
}

#[test]
fn a_report_says_what_was_counted_and_decided() {
    let (state, test) = Story::winner().told();
    let facts = of(&test, &state);
    let page = page(&facts);
    sound(&page);
    let summary = test["status"]["summary"].as_str().unwrap();
    assert!(summary.ends_with("it wins.") && page.find(summary) < page.find("<h2>"), "the verdict is at the top: {summary}");
    for (variant, revision) in facts.variants.iter().zip(["r0", "r1"]) {
        let (_, counted) = state.arms.iter().find(|(arm, _)| arm.revision == revision).unwrap();
        assert_eq!((variant.counted.units, variant.counted.labelled_units), (counted.units, counted.labelled_units));
        let mean = Quality::of(&counted.total, Task::BinaryClassification).log_loss.unwrap();
        let last = variant.counted.history.last().unwrap();
        assert!((variant.counted.mean.unwrap() - mean).abs() < 1e-12 && (last.mean_so_far.unwrap() - mean).abs() < 1e-9, "{variant:?}");
        assert_eq!(last.with_outcome_so_far, counted.total.losses.count);
    }
    let treatment = &facts.treatments[0];
    let now = treatment.now.unwrap();
    let last = &treatment.looks.last().unwrap().comparison;
    assert!(last.crossed && now.lower < now.estimate && now.estimate < now.upper, "{now:?} {last:?}");
    let sections = [
        "Question",
        "Design",
        "Traffic",
        "The log loss over time",
        "Each treatment against the control",
        "Guardrails",
        "Did users fall",
        "What the operator says",
    ];
    let places: Vec<_> = sections.iter().map(|name| page.find(&format!("<h2>{name}")).unwrap_or_else(|| panic!("{name}"))).collect();
    assert!(places.is_sorted());
    for axis in [
        "predictions per hour",
        "log loss (nats per prediction)",
        "difference in log loss",
        "when the prediction was made (UTC)",
        "information: part of",
        "standard errors",
    ] {
        assert!(page.contains(&format!(">{axis}")), "{axis}");
    }
    assert_eq!(page.matches("<figure>").count(), page.matches("class=\"legend\"").count());
    assert_eq!((facts.sample_ratio.unwrap().from_status, facts.phase.as_str(), facts.winner.as_deref()), (true, "Winner", Some("treatment")));
}

#[test]
fn the_arms_of_a_variant_are_one_and_means_begin_before_the_history_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(Box::new(Sqlite::open(&common::file(&folder)).unwrap()), Settings::new(Task::BinaryClassification, HOUR, 24 * HOUR)).unwrap();
    let begin = 1_000 * HOUR;
    ledger.step(begin, &[]).unwrap();
    for hour in 0..48_i64 {
        let call = |variant: &str, revision: &str, unit: u64, value: f64| {
            let arm = Arc::new(Arm { revision: revision.into(), variant: format!("t.{}.{variant}", &UID[..8]) });
            let id = format!("{hour}/{variant}/{unit}");
            let prediction = Prediction { arm, unit: Some(unit), value, positive: value >= 0.5, weight: 1.0, features: String::new() };
            [Entry { id: id.clone(), said: Said::Predicted(begin + hour * HOUR, prediction) }, came_true(&id, 1.0)]
        };
        let revision = if hour < 30 { "r1" } else { "r2" };
        let other = if hour == 0 { "foreign" } else { "control" };
        ledger.step(begin + hour * HOUR, &[[call(other, "r1", 1, 0.5), call("b", revision, 2, if hour < 24 { 0.75 } else { 0.25 })].concat()]).unwrap();
    }
    while ledger.step(begin + 50 * HOUR, &[]).unwrap().behind {}
    let mut test = Story::winner().told().1;
    test["metadata"]["name"] = json!("t");
    test["spec"]["variants"] = json!([{"name": "control", "modelVersion": "a", "weight": 50}, {"name": "b", "modelVersion": "b", "weight": 50.0}]);
    test["status"] = Value::Null;
    for (metric, expected) in [("brier", 0.3125), ("accuracy", 0.5), ("meanSquaredError", 0.3125), ("meanAbsoluteError", 0.5), ("logLoss", 0.836_988_216_585)] {
        test["spec"]["primary"]["metric"]["outcome"] = json!(metric);
        let facts = of(&test, ledger.state());
        let b = &facts.variants[1].counted;
        assert_eq!(
            (b.revisions.clone(), b.with_outcome, facts.variants[0].counted.with_outcome),
            (vec!["r1".to_owned(), "r2".to_owned()], 48, 47),
            "no other test's arms"
        );
        assert!((b.mean.unwrap() - expected).abs() < 1e-8, "{metric}: {:?}", b.mean);
        assert!(
            b.history.len() < 40
                && b.history[0].with_outcome_so_far > 10
                && b.history.last().unwrap().mean_so_far.is_some_and(|mean| (mean - expected).abs() < 1e-8),
            "{:?}",
            b.history
        );
        sound(&page(&facts));
    }
    assert!(page(&of(&test, ledger.state())).contains("More than one revision answered for b"));
}

/// Replaces every text but those that choose.
fn hostile(value: &mut Value, key: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hostile(item, key)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, field)| hostile(field, key)),
        Value::String(text) if !["outcome", "direction", "method"].contains(&key) => {
            *text = format!("<script>alert('{key}')</script>\"><img src=x onerror=\"{key}\">&amp;{}", "x".repeat(300))
        }
        _ => {}
    }
}

#[test]
fn what_somebody_wrote_is_text() {
    let (state, mut test) = Story::winner().told();
    hostile(&mut test, "");
    let name = test["metadata"]["name"].as_str().unwrap().to_owned();
    let page = page(&facts(&Test::parse(&name, test.to_string().as_bytes()).unwrap(), &state));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("alert('"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;summary&#39;)&lt;/script&gt;&quot;&gt;&lt;img src=x onerror=&quot;summary&quot;&gt;&amp;amp;"));
}

#[test]
fn a_report_without_data_says_so_in_words() {
    let (state, told) = Story { hours: 30, ..Story::winner() }.told();
    let mut test = told.clone();
    for (status, phase, words) in [
        (json!({}), "NotStarted", "No user has been assigned to a variant yet."),
        (json!({"startedAt": "2026-11-02T06:00:00Z"}), "Running", "Not decided yet. Looks so far: 0 of 10."),
        (json!({"verdict": "Invalid", "endedAt": "soon"}), "Invalid", "the test says nothing about its variants"),
        (json!({"verdict": "Winner", "winner": "treatment"}), "Winner", "treatment wins."),
        (json!({"verdict": "Later", "looks": []}), "Later", "The test ended: Later."),
        (
            json!({"looks": [{"number": 1, "at": "x", "countedUntil": 0, "information": 0, "units": [], "comparisons": []}]}),
            "NotStarted",
            "No look has been taken",
        ),
    ] {
        test["status"].clone_from(&status);
        let facts = of(&test, &State::default());
        let page = page(&facts);
        sound(&page);
        assert!(facts.phase == phase && page.contains(words), "{status}: {page}");
        assert!(page.contains("there is no traffic to draw") && page.contains("No user has been counted yet") && !page.contains("<figure>"));
    }
    // A test whose history is not kept any more has its looks.
    let page = page(&of(&told, &State::default()));
    sound(&page);
    assert!(page.contains("there is no traffic to draw") && page.matches("<figure>").count() == 2);
    assert!(!state.cells.is_empty());
}

#[test]
fn two_to_five_variants_have_figures_of_their_own() {
    let all = [("control", 40, 0.9), ("a", 15, 0.8), ("b", 15, 0.9), ("c", 15, 1.3), ("d", 15, 0.9)];
    for count in 2..=5 {
        let mut variants = all[..count].to_vec();
        variants[0].1 += 100 - variants.iter().map(|(_, weight, _)| weight).sum::<i64>();
        let (state, test) = Story { variants, method: Method::AlwaysValid, hours: 30, looks: 40, ..Story::winner() }.told();
        let (facts, treatments) = (of(&test, &state), count - 1);
        let page = page(&facts);
        sound(&page);
        assert_eq!((facts.treatments.len(), page.matches("<figure>").count(), page.matches("<h3>").count()), (treatments, 2 + 2 * treatments, treatments));
        assert!(facts.treatments.iter().all(|treatment| treatment.now.is_some() && !treatment.looks.is_empty()));
        // A look of an always valid test was taken by the same interval.
        let look = facts.treatments[0].looks.last().unwrap();
        assert!(look.comparison.lower.unwrap() < look.comparison.upper.unwrap());
    }
}

type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    let test = Story { hours: 3, ..Story::winner() }.told().1;
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut test = test.clone();
        change(&mut test);
        Test::parse("delay-2026-11", test.to_string().as_bytes()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let look = json!({"number": 1, "at": "", "countedUntil": i64::MIN, "information": 0.1, "units": [1, 1], "comparisons": []});
    let table: [(Change<'_>, &str); 7] = [
        (&|test| test["spec"]["variants"][1]["weight"] = json!("half"), "spec.variants[1].weight: invalid type: string \"half\""),
        (&|test| test["spec"]["variants"][1]["weight"] = json!(0), "spec.variants[1].weight: 0 is no share of the users"),
        (&|test| test["spec"]["variants"] = json!([]), "spec.variants: has 0; a test has 2 to 5, the control first"),
        (&|test| test["spec"]["primary"]["metric"]["outcome"] = json!("auc"), "spec.primary.metric.outcome: unknown variant `auc`"),
        (&|test| drop(test["spec"]["design"].as_object_mut().unwrap().remove("alpha")), "spec.design: missing field `alpha`"),
        (&|test| test["metadata"]["name"] = json!("other"), "metadata.name: \"other\" is not the name in the path, \"delay-2026-11\""),
        (&|test| test["status"]["looks"] = json!([look]), "status.looks[0].countedUntil: -9223372036854775808 is no time"),
    ];
    for (change, expected) in table {
        let error = refused(change);
        assert!(error.starts_with(expected), "{error} for {expected}");
    }
    assert_eq!(refused(&|test| test["spec"]["primary"]["minimumDetectableEffect"] = json!(1)), "", "floats come as integers, too");
    assert_eq!(refused(&|test| test["spec"]["later"] = json!({"field": 1})), "", "fields that are not known are left out");
}

/// Both ports of an evaluator on this file: where they answer.
async fn served(database: &Path) -> (String, String) {
    let ledger = Ledger::open(Box::new(Sqlite::open(database).unwrap()), Settings::new(Task::BinaryClassification, HOUR, 24 * HOUR)).unwrap();
    let (writer, _) = Writer::start(ledger, Readiness::default()).unwrap();
    let served = Served { writer, task: Task::BinaryClassification };
    let metrics = probes(served.clone(), Readiness::default(), (String::new(), String::new()), Access::of_everybody());
    let mut addresses = Vec::new();
    for router in [protocol(served).await.unwrap(), metrics] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    (addresses.remove(0), addresses.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_handed_over_on_one_port_and_answered_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let (serving, metrics) = served(&common::file(&folder)).await;
    let client = reqwest::Client::new();
    let test = Story { hours: 3, ..Story::winner() }.told().1;
    let put = |url: String, body: String| client.put(url).body(body).send();
    assert_eq!(put(format!("{metrics}/v1/reports/delay-2026-11"), test.to_string()).await.unwrap().status(), 204);
    assert_eq!(put(format!("{serving}/v1/reports/delay-2026-11"), test.to_string()).await.unwrap().status(), 405, "callers hand nothing over");
    for (name, body, status, words) in [
        ("delay-2026-11", "{".to_owned(), 400, "EOF while parsing"),
        ("delay-2026-11", test.to_string() + "{}", 400, "trailing characters"),
        ("other", test.to_string(), 400, "metadata.name:"),
        ("Other", test.to_string(), 400, "the name in the path must be that of an ABTest"),
        ("delay-2026-11", " ".repeat((1 << 20) + 1), 413, "the body has more than 1048576 bytes"),
    ] {
        let answer = put(format!("{metrics}/v1/reports/{name}"), body).await.unwrap();
        assert_eq!(answer.status(), status);
        let said: Value = answer.json().await.unwrap();
        assert!(said["error"].as_str().unwrap().contains(words), "{said}");
    }
    for port in [&serving, &metrics] {
        let list: Value = client.get(format!("{port}/v1/reports")).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (list["reports"].as_array().unwrap().len(), &list["reports"][0]["name"], &list["reports"][0]["verdict"]),
            (1, &json!("delay-2026-11"), &json!(""))
        );
        let page = client.get(format!("{port}/v1/reports/delay-2026-11")).send().await.unwrap();
        assert!(
            page.headers()["content-type"].to_str().unwrap().starts_with("text/html")
                && page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
        );
        sound(&page.text().await.unwrap());
        let facts: Value = client.get(format!("{port}/v1/reports/delay-2026-11.json")).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&facts["name"], &facts["variants"][1]["labelledUnits"], &facts["question"]["metric"]),
            (&json!("delay-2026-11"), &json!(0), &json!("logLoss"))
        );
        assert_eq!(client.get(format!("{port}/v1/reports/another.json")).send().await.unwrap().status(), 404);
        let quality: Value = client.get(format!("{port}/v1/quality")).send().await.unwrap().json().await.unwrap();
        assert!(quality["arms"].is_array());
    }
}

#[test]
fn a_restart_loses_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let test = Story { hours: 3, ..Story::winner() }.told().1;
    let with_runtime = |work: &dyn Fn(&tokio::runtime::Runtime)| work(&tokio::runtime::Runtime::new().unwrap());
    with_runtime(&|runtime| {
        runtime.block_on(async {
            let (_, metrics) = served(&common::file(&folder)).await;
            let answer = reqwest::Client::new().put(format!("{metrics}/v1/reports/delay-2026-11")).body(test.to_string()).send().await.unwrap();
            assert_eq!(answer.status(), 204);
        });
    });
    with_runtime(&|runtime| {
        runtime.block_on(async {
            // The thread of the first one ends when its last handle is gone.
            tokio::time::timeout(std::time::Duration::from_secs(10), async {
                while Sqlite::open(&common::file(&folder)).is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            })
            .await
            .unwrap();
            let (serving, _) = served(&common::file(&folder)).await;
            assert!(reqwest::get(format!("{serving}/v1/reports/delay-2026-11")).await.unwrap().text().await.unwrap().contains("Not decided yet"));
        });
    });
}
