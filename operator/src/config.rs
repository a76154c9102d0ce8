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
