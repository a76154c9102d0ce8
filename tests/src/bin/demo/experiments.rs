//! Two A/B tests that run beside the canary. The network v2 answers in the shadow of the linear v1, whose callers notice nothing, and takes over once
//! it has won; and v1 is compared with itself. Planes are their users, and what came true is told for each of them a little later.

use std::time::Duration;

use anyhow::{Context, ensure};
use plimsoll_tests::cluster::{is_true, text};
use plimsoll_tests::flights;
use plimsoll_tests::outcomes::Reporters;
use serde_json::{Value, json};

use crate::{Demo, NAMESPACE};

/// The deployment where v2 is compared with v1.
const NETWORK: &str = "network-or-not";
/// The deployment where v1 is compared with itself.
const SAME: &str = "same-or-not";
/// How long outcomes are waited for.
const MATURITY: &str = "20s";
/// How long a person waits between two calls: two people call about 60 times a second.
const PAUSE: Duration = Duration::from_millis(30);
/// Flights that are called.
const FLIGHTS: usize = 9_000;
/// How long verdicts may take after the canary.
const WITHIN: Duration = Duration::from_secs(420);

impl Demo {
    /// Serves v1 twice more, asks of both whether something else is better, and lets people call them meanwhile. The test of v2
    /// waits for its approval.
    pub fn begin_experiments(&mut self, second: &Value) -> anyhow::Result<()> {
        let team = self.team()?.clone();
        let (first, second) = (text(&team.get("modeldeployment/flight-delay")?, "/status/stable/modelVersion").to_owned(), text(second, "/metadata/name"));
        for name in [NETWORK, SAME] {
            let mut deployment: Value = serde_yaml::from_str(&self.stage.sample("deployment.yaml")?)?;
            deployment["metadata"]["name"] = json!(name);
            let spec = deployment.get_mut("spec").context("the sample has a spec")?;
            spec["strategy"] = json!({});
            if name == SAME {
                spec["model"]["version"] = json!(first);
            }
            spec["router"]["replicas"] = json!(1);
            spec["outcomes"] = json!({"maturity": MATURITY, "retention": "1h"});
            team.ann.apply(&deployment.to_string())?;
        }
        // What matters, to find it in how many users, at which chance of an error. One demo in a thousand may find something in a model beside itself.
        let paired = json!({"mode": "Paired", "onWinner": "Promote", "design": {"alpha": 0.05, "maximumUnitsPerVariant": 2_400, "looks": 5}});
        team.ann.apply(&test(NETWORK, (&first, second), 0.01, &paired).to_string())?;
        let split = json!({"design": {"alpha": 0.001, "maximumUnitsPerVariant": 800, "looks": 3}});
        team.ann.apply(&test(SAME, (&first, &first), 0.08, &split).to_string())?;
        let flights = flights::load(&self.stage, "2013-07", FLIGHTS)?;
        for name in [NETWORK, SAME] {
            let collects = |deployment: &Value| is_true(deployment, "Ready") && is_true(deployment, "OutcomesCollected");
            self.stage.admin.wait(NAMESPACE, &format!("modeldeployment/{name}"), Duration::from_secs(180), collects)?;
            self.callers.push(Reporters::start(&team, name, &flights, PAUSE)?);
        }
        Ok(())
    }

    /// f: what the tests found meanwhile.
    pub fn experiments(&mut self) -> anyhow::Result<String> {
        let team = self.team()?.clone();
        let end = |name: &str| self.stage.admin.wait(NAMESPACE, &format!("abtest/{name}"), WITHIN, |test| is_true(test, "Complete"));
        let (network, same) = (end(NETWORK)?, end(SAME)?);
        let treatment = text(&network, "/spec/variants/1/modelVersion").to_owned();
        let said = |test: &Value| {
            let looks = test.pointer("/status/looks").and_then(Value::as_array).map_or(0, Vec::len);
            format!("{} after {looks} looks: {}", text(test, "/status/verdict"), text(test, "/status/summary"))
        };
        let found = format!("v2 in the shadow of v1: {} v1 beside itself: {}", said(&network), said(&same));
        ensure!(["NoDifference", "Inconclusive"].contains(&text(&same, "/status/verdict")), "{found}");
        ensure!(text(&network, "/status/winner") == "treatment", "{found}");
        let served = |deployment: &Value| text(deployment, "/status/stable/modelVersion") == treatment;
        self.stage.admin.wait(NAMESPACE, &format!("modeldeployment/{NETWORK}"), WITHIN, served)?;
        // From now on by name: a newer version that is approved later would go before the winner.
        team.ann.kubectl(&["-n", NAMESPACE, "patch", &format!("modeldeployment/{NETWORK}"), "--type=merge", "-p", &named(&treatment)])?;
        let mut calls = 0;
        for callers in std::mem::take(&mut self.callers) {
            let (answered, failed) = callers.stop()?;
            ensure!(failed == 0, "{failed} calls of the tests failed, {answered} were answered");
            calls += answered;
        }
        Ok(format!("{found} v2 was promoted there; {calls} calls, none failed"))
    }
}

/// A change of a ModelDeployment: it names its version.
fn named(version: &str) -> String {
    json!({"spec": {"model": {"version": version}}}).to_string()
}

/// The test of a deployment of the same name.
fn test(name: &str, (control, treatment): (&str, &str), effect: f64, more: &Value) -> Value {
    let mut spec = json!({
        "deployment": name,
        "variants": [{"name": "control", "modelVersion": control, "weight": 50}, {"name": "treatment", "modelVersion": treatment, "weight": 50}],
        "unit": {"header": "x-user-id"},
        "primary": {"metric": {"outcome": "logLoss"}, "direction": "Decrease", "minimumDetectableEffect": effect},
        "guardrails": [{"metric": "errorRate", "margin": 0.01}],
    });
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more.clone());
    }
    json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ABTest", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}
