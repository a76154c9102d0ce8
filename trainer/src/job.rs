//! What is to be trained: from the operator's job.json, or from a TrainingJob manifest on a laptop.

use std::path::{Path, PathBuf};

use plimsoll_artifact::{Architecture, Task};
use plimsoll_crds::TrainingJobSpec;
use plimsoll_crds::training_job::{self as spec, Encoding, Feature, FeatureType as SpecType};
use plimsoll_features::{CategoricalEncoding, FeatureSpec, FeatureType, MissingNumber};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Rarer categories are unknown, unless the spec says otherwise.
const MINIMUM_COUNT: u64 = 10;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The TrainingJob's name.
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its UID: results are kept under it.
    pub uid: String,
    /// Its spec.
    pub spec: TrainingJobSpec,
}

/// Where a run finds things.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Scratch space.
    pub scratch: PathBuf,
    /// Credentials for the data.
    pub data_credentials: Option<PathBuf>,
    /// Credentials for the output.
    pub output_credentials: Option<PathBuf>,
    /// Files that take the place of sources, by name.
    pub overrides: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Manifest {
    metadata: Metadata,
    spec: TrainingJobSpec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Job {
    /// Reads the operator's job.json.
    ///
    /// # Errors
    /// The file cannot be read or is not understood.
    pub fn from_config(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        serde_json::from_str(&text).map_err(|error| Error::Spec(format!("{}: {error}", path.display())))
    }

    /// Reads a TrainingJob manifest. Without a cluster there is no UID: each run is a new one.
    ///
    /// # Errors
    /// The file cannot be read or is not understood.
    pub fn from_manifest(path: &Path, uid: String) -> Result<Self, Error> {
        let text = read(path)?;
        // By way of JSON: serde_yaml wants its own tags for enums, the API server does not.
        let value: serde_json::Value = serde_yaml::from_str(&text).map_err(|error| Error::Spec(format!("{}: {error}", path.display())))?;
        let manifest: Manifest = serde_json::from_value(value).map_err(|error| Error::Spec(format!("{}: {error}", path.display())))?;
        Ok(Self { name: manifest.metadata.name, namespace: manifest.metadata.namespace, uid, spec: manifest.spec })
    }

    /// The label's column and its positive value.
    pub fn label(&self) -> (&str, &str) {
        let spec::Task::BinaryClassification(task) = &self.spec.task;
        (&task.label, &task.positive)
    }

    /// The task, as the artifact records it.
    pub fn task(&self) -> Task {
        Task::BinaryClassification { positive: self.label().1.to_owned() }
    }

    /// The network, as the artifact records it.
    pub fn architecture(&self) -> Architecture {
        match &self.spec.architecture {
            spec::Architecture::Dummy(_) => Architecture::Dummy {},
            spec::Architecture::Linear(_) => Architecture::Linear {},
            spec::Architecture::Mlp(mlp) => {
                Architecture::Mlp { hidden: mlp.hidden.iter().map(|units| u32::try_from(*units).unwrap_or(1)).collect(), dropout: mlp.dropout }
            }
        }
    }

    /// The features, as the pipeline takes them.
    pub fn features(&self) -> Vec<FeatureSpec> {
        self.spec.features.iter().map(feature).collect()
    }
}

/// What the spec names, with the Secret that it is used with.
pub fn with_secret(what: &str, secret: Option<&str>) -> String {
    secret.map_or_else(|| what.to_owned(), |secret| format!("{what} (Secret {secret})"))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::Spec(format!("cannot read {}: {error}", path.display())))
}

fn feature(feature: &Feature) -> FeatureSpec {
    let kind = match feature.kind {
        SpecType::Numeric => FeatureType::Numeric {
            clip: feature.clip.map(|clip| (clip.minimum, clip.maximum)),
            log1p: feature.log1p.unwrap_or(false),
            standardize: feature.scale.unwrap_or_default() == spec::Scale::Standard,
            missing: match feature.missing.unwrap_or_default() {
                spec::Missing::Median => MissingNumber::Median,
                spec::Missing::MedianAndIndicator => MissingNumber::MedianAndIndicator,
            },
        },
        SpecType::Categorical => FeatureType::Categorical {
            encoding: match &feature.encoding {
                Some(Encoding::OneHot(_)) => CategoricalEncoding::OneHot,
                Some(Encoding::Embedding(embedding)) => {
                    CategoricalEncoding::Embedding { dimension: embedding.dimension.and_then(|dimension| usize::try_from(dimension).ok()) }
                }
                None => CategoricalEncoding::Embedding { dimension: None },
            },
            minimum_count: feature.minimum_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(MINIMUM_COUNT),
        },
    };
    FeatureSpec { name: feature.name.clone(), kind }
}
