//! What an administrator sets, from the file that the chart mounts.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The operator's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Images of what the operator starts, by digest.
    pub images: Images,
    /// The server images that a ModelDeployment may name.
    pub runtimes: BTreeMap<String, String>,
    /// Where checks read their counters; without it the operator scrapes its own pods.
    #[serde(default)]
    pub prometheus_url: Option<String>,
    /// Only this namespace is looked at.
    #[serde(default)]
    pub watch_namespace: Option<String>,
    /// Where the operator runs.
    #[serde(default = "default_namespace")]
    pub operator_namespace: String,
    /// From where pods are scraped.
    #[serde(default = "default_monitoring")]
    pub monitoring_namespace: String,
}

/// Images by digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// Splits traffic.
    pub router: String,
    /// Fetches models (and is the usual runtime).
    pub model_server: String,
    /// Trains.
    pub trainer: String,
    /// Joins predictions to outcomes.
    pub evaluator: String,
}

fn default_namespace() -> String {
    "plimsoll-system".to_owned()
}

fn default_monitoring() -> String {
    "monitoring".to_owned()
}

impl Configuration {
    /// Reads the file's text.
    ///
    /// # Errors
    /// Says where the file is not understood.
    pub fn parse(text: &str) -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "images: {router: r, modelServer: m, trainer: t, evaluator: e}\nruntimes: {default: m}\n";

    #[test]
    fn what_an_administrator_leaves_out_has_a_default() {
        let configuration = Configuration::parse(FILE).unwrap();
        assert_eq!((configuration.prometheus_url, configuration.watch_namespace), (None, None));
        assert_eq!((configuration.operator_namespace.as_str(), configuration.monitoring_namespace.as_str()), ("plimsoll-system", "monitoring"));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_name() {
        let table = [
            (format!("{FILE}prometheusURL: http://p\n"), "prometheusURL"),
            ("images: {router: r, trainer: t, evaluator: e}\nruntimes: {}\n".to_owned(), "modelServer"),
            ("images: {router: r, modelServer: m, trainer: t, evaluator: e}\n".to_owned(), "runtimes"),
        ];
        for (text, named) in table {
            let error = Configuration::parse(&text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
