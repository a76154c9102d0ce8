//! `manifest.json`: what an artifact consists of and where it comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

/// The format that this version writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// What an artifact consists of and where it comes from. Its canonical bytes are its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// The format of this file.
    pub format_version: u32,
    /// The line of models.
    pub model: String,
    /// What is predicted.
    pub task: Task,
    /// The network.
    pub architecture: Architecture,
    /// sha256 over the weights' and the pipeline's digests: what makes the model behave as it does.
    pub content_digest: Digest,
    /// Every file but this one.
    pub files: Vec<FileEntry>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileEntry {
    /// A plain name in the directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// What is predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Task {
    /// One of two classes.
    BinaryClassification {
        /// The class whose probability is given.
        positive: String,
    },
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Architecture {
    /// The base rate for everybody.
    Dummy {},
    /// Logistic regression.
    Linear {},
    /// Layers with ReLU between them.
    Mlp {
        /// Units of each hidden layer.
        hidden: Vec<u32>,
        /// Share of units that is dropped in training.
        dropout: f64,
    },
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provenance {
    /// The run's name.
    pub training_job: String,
    /// The run's UID.
    pub training_job_uid: String,
    /// sha256 of each source as it was read.
    pub data_digests: BTreeMap<String, Digest>,
    /// What it was trained on.
    pub window: DataWindow,
    /// The version of Plimsoll.
    pub software_version: String,
}

/// A span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataWindow {
    /// The first instant inside.
    pub from: String,
    /// The first instant outside.
    pub to: String,
}

impl Manifest {
    /// The bytes that are hashed and written: keys sorted, no whitespace.
    ///
    /// # Errors
    /// A number is not finite.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, Error> {
        let parse = |source| Error::Parse { file: crate::MANIFEST.to_owned(), source };
        // serde_json's map sorts its keys.
        serde_json::to_value(self).and_then(|value| serde_json::to_vec(&value)).map_err(parse)
    }

    /// The artifact's identity.
    ///
    /// # Errors
    /// A number is not finite.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(Digest::of(&self.canonical_bytes()?))
    }

    /// sha256 over what makes a model behave as it does: independent of when, where and by which run it was made.
    pub fn content_digest_of(weights: &Digest, pipeline: &Digest) -> Digest {
        Digest::of(format!("weights {weights}\npipeline {pipeline}\n").as_bytes())
    }

    /// The entry of a file.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }
}
