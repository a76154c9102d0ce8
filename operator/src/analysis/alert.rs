//! The check `alert`: an alert of Prometheus about this deployment's candidate.

use plimsoll_crds::model_deployment::AlertCheck;
use plimsoll_stats::Verdict;

use super::Look;
use super::prometheus::{Alert, AlertRule};
use super::source::{Source, SourceError};

/// Asks Prometheus for the rule and its alerts.
pub async fn look(source: &Source, look: &Look, check: &AlertCheck) -> Result<(Verdict, String), SourceError> {
    let Source::Prometheus(prometheus) = source else { return Err(SourceError::NoPrometheus) };
    let Some(name) = check.match_labels.get("alertname") else {
        return Ok((Verdict::NoData, "matchLabels needs alertname".to_owned()));
    };
    Ok(judge(&prometheus.rules(name).await?, name, look, check))
}

fn judge(rules: &[AlertRule], name: &str, look: &Look, check: &AlertCheck) -> (Verdict, String) {
    let firing = || rules.iter().flat_map(|rule| &rule.alerts).filter(|alert| alert.state == "firing" && is_ours(alert, look, check));
    if let Some(alert) = firing().find(|alert| alert.active_at.is_none_or(|since| since >= look.began)) {
        let says = alert.annotations.get("summary").map_or("it says nothing", String::as_str);
        return (Verdict::Fail, format!("the alert {name} fires: {says}"));
    }
    if firing().next().is_some() {
        return (Verdict::NoData, format!("the alert {name} has fired since before this rollout began: it is waited for until it ends"));
    }
    if rules.is_empty() {
        return (Verdict::NoData, format!("Prometheus has no alerting rule {name}"));
    }
    if let Some(rule) = rules.iter().find(|rule| rule.health == "err") {
        return (Verdict::NoData, format!("the rule {} cannot be evaluated: look at Prometheus' page of rules", rule.name));
    }
    if rules.iter().all(|rule| rule.last_evaluation.is_some_and(|at| at >= look.of.candidate.since)) {
        return (Verdict::Pass, format!("the alert {name} was evaluated since the step began and does not fire"));
    }
    (Verdict::NoData, format!("the rule {name} has not been evaluated since the step began"))
}

/// Whether the alert is about this deployment, and not about another of its revisions.
fn is_ours(alert: &Alert, look: &Look, check: &AlertCheck) -> bool {
    let label = |name: &str| alert.labels.get(name).map(String::as_str);
    let asked = check.match_labels.iter().all(|(name, value)| label(name) == Some(value));
    let scope = label("namespace") == Some(&look.namespace) && label("deployment") == Some(&look.deployment);
    asked && scope && label("revision").is_none_or(|revision| revision == look.of.candidate.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Comparison, Window};
    use serde_json::json;

    fn alert(change: &[(&str, &str)]) -> serde_json::Value {
        let mut labels = json!({"alertname": "A", "namespace": "n", "deployment": "d", "revision": "new"});
        for (name, value) in change {
            labels[*name] = (*value).into();
        }
        json!({"labels": labels, "state": "firing", "annotations": {"summary": "far"}})
    }

    #[test]
    fn only_a_firing_alert_about_the_candidate_fails_and_only_an_evaluated_rule_passes() {
        let rule = |evaluated: &str, health: &str, alerts: Vec<serde_json::Value>| {
            vec![json!({"name": "A", "lastEvaluation": evaluated, "health": health, "alerts": alerts})]
        };
        let (before, after) = ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z");
        let active_at = |since: &str| {
            let mut alert = alert(&[]);
            alert["activeAt"] = since.into();
            alert
        };
        let mut pending = alert(&[]);
        pending["state"] = "pending".into();
        let table = [
            ("no rule", vec![], Verdict::NoData),
            ("not since", rule(before, "ok", vec![]), Verdict::NoData),
            ("quiet", rule(after, "ok", vec![]), Verdict::Pass),
            ("broken", rule(after, "err", vec![]), Verdict::NoData),
            ("firing", rule(after, "ok", vec![alert(&[])]), Verdict::Fail),
            ("firing from before", rule(after, "ok", vec![active_at("2026-01-01T00:20:00Z")]), Verdict::NoData),
            ("firing from an earlier step", rule(after, "ok", vec![active_at("2026-01-01T00:40:00Z")]), Verdict::Fail),
            ("pending", rule(after, "ok", vec![pending]), Verdict::Pass),
            ("another namespace", rule(after, "ok", vec![alert(&[("namespace", "x")])]), Verdict::Pass),
            ("another deployment", rule(after, "ok", vec![alert(&[("deployment", "x")])]), Verdict::Pass),
            ("another revision", rule(after, "ok", vec![alert(&[("revision", "old")])]), Verdict::Pass),
        ];
        let window = |revision: &str| Window { revision: revision.into(), since: "2026-01-01T01:00:00Z".parse().unwrap() };
        let look = Look {
            namespace: "n".into(),
            deployment: "d".into(),
            of: Comparison { candidate: window("new"), stable: window("old") },
            began: "2026-01-01T00:30:00Z".parse().unwrap(),
            number: 1,
            maturity: None,
            checks: vec![],
        };
        let check = AlertCheck { match_labels: [("alertname".to_owned(), "A".to_owned())].into() };
        for (what, rules, expected) in table {
            let rules: Vec<AlertRule> = serde_json::from_value(rules.into()).unwrap();
            assert_eq!(judge(&rules, "A", &look, &check).0, expected, "{what}");
        }
    }
}
