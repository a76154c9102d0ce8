//! Artifacts between a local disk and a store: the manifest travels last, so what has one is complete.

use std::path::Path;

use crate::directory::parse_manifest;
use crate::store::Store;
use crate::{Digest, Error, MANIFEST, ModelDirectory};

/// Uploads an artifact to `<store>/<digest>/`. Doing it twice is doing it once.
///
/// # Errors
/// The store fails, or holds other bytes under this digest.
pub async fn upload(directory: &Path, store: &Store) -> Result<Digest, Error> {
    let model = ModelDirectory::open(directory, None)?;
    let names = model.manifest().files.iter().map(|file| file.path.as_str()).chain([MANIFEST]);
    for name in names {
        let path = directory.join(name);
        let bytes = tokio::fs::read(&path).await.map_err(|source| Error::Read { path, source })?;
        store.put(&format!("{}/{name}", model.digest().hex()), bytes).await?;
    }
    Ok(model.digest().clone())
}

/// Fetches the artifact that lies at the store's address into an empty directory, and checks every byte.
///
/// # Errors
/// The store fails, or what lies there is not the artifact with this digest.
pub async fn fetch(store: &Store, digest: &Digest, to: &Path) -> Result<ModelDirectory, Error> {
    let bytes = store.get(MANIFEST).await?.ok_or_else(|| Error::NotFound { uri: store.address(MANIFEST) })?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(Error::WrongDigest { expected: digest.clone(), found });
    }
    let manifest = parse_manifest(&bytes)?;
    tokio::fs::create_dir_all(to).await.map_err(|source| Error::write(to, source))?;
    for file in &manifest.files {
        let (sha256, size) = store.download(&file.path, &to.join(&file.path)).await?;
        if (size, &sha256) != (file.size, &file.sha256) {
            return Err(Error::Content {
                file: store.address(&file.path),
                what: format!("has {size} bytes and {sha256}, but manifest.json says {} bytes and {}", file.size, file.sha256),
            });
        }
    }
    crate::directory::write_file(&to.join(MANIFEST), &bytes)?;
    ModelDirectory::open(to, Some(digest))
}
