//! The dashboard and the rules as they are shipped: every expression, with variables filled in as Grafana fills them.

use plimsoll_tests::stage::Stage;
use serde_json::Value;

/// An expression, and where it stands.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The panel's title or the alert's name.
    pub name: String,
    /// PromQL.
    pub text: String,
}

/// `$__rate_interval` at a scrape interval of 15 s, which is what a data source assumes: four scrapes.
const RATE_INTERVAL: &str = "1m";

/// Every expression of every panel of this dashboard, for these choices of its variables.
pub fn panels(stage: &Stage, dashboard: &str, (namespace, deployment): (&str, &str)) -> Vec<Expression> {
    let path = stage.tree("charts/plimsoll/files").join(dashboard);
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let text = target["expr"].as_str().unwrap();
            let text = text.replace("$__rate_interval", RATE_INTERVAL).replace("$namespace", namespace).replace("$deployment", deployment);
            assert!(!text.contains('$'), "a variable that the dashboard does not define: {text}");
            expressions.push(Expression { name: panel["title"].as_str().unwrap().to_owned(), text });
        }
    }
    expressions
}

/// Every alerting rule, without the comparison that makes it fire: what is left must have data.
pub fn measured_by_rules(stage: &Stage) -> Vec<Expression> {
    let path = stage.tree("charts/plimsoll/files/rules.yaml");
    let file: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| {
            let name = rule["alert"].as_str().unwrap().to_owned();
            let (measured, bound) = rule["expr"].as_str().unwrap().rsplit_once(" > ").unwrap_or_else(|| panic!("{name} compares with nothing"));
            assert!(bound.trim().parse::<f64>().is_ok(), "{name}: {bound}");
            Expression { name, text: measured.to_owned() }
        })
        .collect()
}

/// The counters that a panel of rates is made of: the same selectors and the same grouping, without the rate.
pub fn counters(panel: &Expression) -> String {
    let inner = panel.text.strip_prefix("histogram_quantile(0.99, ").map_or(panel.text.as_str(), |rest| rest.strip_suffix(')').unwrap());
    assert!(inner.contains("(rate("), "{} is no panel of rates", panel.name);
    inner.replace("(rate(", "((").replace(&format!("[{RATE_INTERVAL}]"), "")
}
