//! A rollout that waits for hours, on a real Prometheus: counts stay what they are, and answers stay small.
//!
//! `cargo test` leaves it out. It needs `prometheus` and `promtool`: `cargo test --workspace --test long_wait -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so and ends")]

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_operator::analysis::{Series, Source, Window};

/// Seconds between two scrapes.
const SCRAPE: i64 = 15;
/// Scrapes that there are: six hours.
const SCRAPES: i64 = 6 * 3_600 / SCRAPE;
/// Calls between two scrapes.
const CALLS: i64 = 10;
/// Scrapes ago, a pod was started again and counts from 0.
const RESTARTED: i64 = 400;

/// A Prometheus with the history of two pods; it ends with this value.
struct Prometheus {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Prometheus {
    async fn start(now: i64) -> Self {
        let folder = std::env::temp_dir().join(format!("plimsoll-long-wait-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        std::fs::write(at("history"), history(now)).unwrap();
        std::fs::write(at("prometheus.yml"), "{}").unwrap();
        let made = Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics"]).arg(at("history")).arg(at("data")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let process = Command::new("prometheus")
            .args([option("config.file", &at("prometheus.yml")), option("storage.tsdb.path", &at("data")), format!("--web.listen-address={address}")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self { process, folder, url: format!("http://{address}") };
        for _ in 0..100 {
            if reqwest::get(format!("{}/-/ready", prometheus.url)).await.is_ok_and(|answer| answer.status().is_success()) {
                return prometheus;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("Prometheus does not start");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// What was scraped: a pod that counts all the while, one that was started again, and what both say about the training data.
fn history(now: i64) -> String {
    let labels = |pod: &str| format!("{{namespace=\"n\",deployment=\"d\",revision=\"r\",pod=\"{pod}\"}}");
    let mut text = String::from("# TYPE calls counter\n");
    for ago in (0..SCRAPES).rev() {
        let (at, all) = (now - ago * SCRAPE, (SCRAPES - ago) * CALLS);
        let since_restart = if ago < RESTARTED { (RESTARTED - ago) * CALLS } else { all };
        writeln!(text, "calls_total{} {all} {at}\ncalls_total{} {since_restart} {at}", labels("steady"), labels("restarted")).unwrap();
    }
    text.push_str("# TYPE rows gauge\n");
    for ago in (0..SCRAPES).rev() {
        writeln!(text, "rows{} 42 {}", labels("steady"), now - ago * SCRAPE).unwrap();
    }
    text.push_str("# EOF\n");
    text
}

fn rise(all: &[Series], pod: &str) -> i64 {
    i64::try_from(all.iter().find(|series| series.label("pod") == pod).unwrap().increase()).unwrap()
}

#[tokio::test]
#[ignore = "needs prometheus and promtool"]
async fn a_rollout_that_waits_for_hours_is_counted_from_few_samples() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let now = Timestamp::now().as_second();
    let prometheus = Prometheus::start(now).await;
    let source = Source::prometheus(&prometheus.url).unwrap();
    let window = |hours: i64| Window { revision: "r".to_owned(), since: Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).unwrap() };
    for (hours, slack) in [(1, 2), (2, 8), (5, 8)] {
        let all = source.series("calls_total", ("n", "d"), &window(hours)).await.unwrap();
        let expected = hours * 3_600 / SCRAPE * CALLS;
        for pod in ["steady", "restarted"] {
            let found = rise(&all, pod);
            assert!((found - expected).abs() <= slack * CALLS, "{pod}, {hours} h: {found} instead of {expected}");
        }
        assert!(all.iter().all(|series| series.samples.len() <= 242), "{hours} h: {} samples", all.iter().map(|series| series.samples.len()).max().unwrap());
    }
    let newest = source.newest("rows", ("n", "d"), &window(5)).await.unwrap();
    assert_eq!(newest.iter().map(|series| (series.samples.len(), series.last())).collect::<Vec<_>>(), [(1, 42)]);
}
