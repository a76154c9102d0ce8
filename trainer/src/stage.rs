//! Sources on the local disk, with the digest of what was read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_artifact::{Digest, store};
use plimsoll_crds::training_job::{Data, DataFormat};

use crate::Error;
use crate::job::{Places, with_secret};

/// A source on the local disk.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The table's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: DataFormat,
    /// What was read.
    pub digest: Digest,
}

/// Copies every source of `data` into `folder`; a pinned digest must be met.
///
/// # Errors
/// A source cannot be read, or is not the pinned one.
pub async fn stage(data: &Data, places: &Places, folder: &Path) -> Result<Vec<Staged>, Error> {
    std::fs::create_dir_all(folder).map_err(|source| plimsoll_artifact::Error::write(folder, source))?;
    let mut staged = Vec::with_capacity(data.sources.len());
    for source in &data.sources {
        let uri = places.overrides.iter().find(|(name, _)| *name == source.name).map_or(&source.uri, |(_, path)| path);
        let (place, file) = uri.rsplit_once('/').unwrap_or((".", uri));
        let path = folder.join(format!("{}.{}", source.name, extension(source.format)));
        let failed =
            |error| Error::Place { what: with_secret(&format!("source {:?}", source.name), data.credentials_secret.as_deref()), source: Box::new(error) };
        let store = store::open(place, places.data_credentials.as_deref()).map_err(failed)?;
        let (digest, bytes) = store.download(file, &path).await.map_err(failed)?;
        if let Some(pinned) = source.digest.as_ref().filter(|pinned| pinned.as_str() != digest.as_str()) {
            return Err(Error::Data(format!("source {:?}: {uri} has digest {digest}, but the spec pins {pinned}: the file has changed", source.name)));
        }
        tracing::info!(source = source.name, uri, bytes, %digest, "source staged");
        staged.push(Staged { name: source.name.clone(), path, format: source.format, digest });
    }
    Ok(staged)
}

/// The digests by source.
pub fn digests(staged: &[Staged]) -> BTreeMap<String, Digest> {
    staged.iter().map(|source| (source.name.clone(), source.digest.clone())).collect()
}

fn extension(format: DataFormat) -> &'static str {
    match format {
        DataFormat::Csv => "csv",
        DataFormat::Parquet => "parquet",
    }
}
