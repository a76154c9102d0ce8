//! An artifact on a local disk: verified when it is read, complete or absent when it is written.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use plimsoll_features::Baseline;
use serde::de::DeserializeOwned;

use crate::manifest::FORMAT_VERSION;
use crate::{BASELINE, Behaviour, Digest, Error, MANIFEST, Manifest, PIPELINE, WEIGHTS};

/// The largest manifest, pipeline or baseline that is read into memory.
const JSON_BYTES: u64 = 64 << 20;
/// The files that every model has.
const NEEDED: [&str; 3] = [WEIGHTS, PIPELINE, BASELINE];

/// An artifact whose every byte has been checked.
#[derive(Clone, Debug)]
pub struct ModelDirectory {
    path: PathBuf,
    digest: Digest,
    manifest: Manifest,
}

impl ModelDirectory {
    /// Reads and checks an artifact; with `expected`, only that one.
    ///
    /// # Errors
    /// Names the first file that differs from the manifest, is missing, is a link, or is not in the manifest.
    pub fn open(path: &Path, expected: Option<&Digest>) -> Result<Self, Error> {
        let bytes = read_plain(&path.join(MANIFEST))?;
        let found = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(Error::WrongDigest { expected: expected.clone(), found });
        }
        let manifest = parse_manifest(&bytes)?;
        let mut listed: BTreeSet<&str> = BTreeSet::from([MANIFEST]);
        for file in &manifest.files {
            if !listed.insert(&file.path) {
                return Err(content(&file.path, "is listed twice in manifest.json"));
            }
            check_plain(&path.join(&file.path))?;
            let (sha256, size) = Digest::of_file(&path.join(&file.path))?;
            if (size, &sha256) != (file.size, &file.sha256) {
                return Err(content(&file.path, &format!("has {size} bytes and {sha256}, but manifest.json says {} bytes and {}", file.size, file.sha256)));
            }
        }
        refuse_strangers(path, &listed)?;
        Ok(Self { path: path.to_owned(), digest: found, manifest })
    }

    /// The artifact's identity.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The weights' bytes, checked once more as they are read.
    ///
    /// # Errors
    /// The file cannot be read or has changed.
    pub fn weights(&self) -> Result<Vec<u8>, Error> {
        self.read(WEIGHTS)
    }

    /// Transforms, calibration and threshold.
    ///
    /// # Errors
    /// The file cannot be read, has changed, or is not understood.
    pub fn behaviour(&self) -> Result<Behaviour, Error> {
        self.json(PIPELINE)
    }

    /// What the training data looked like.
    ///
    /// # Errors
    /// The file cannot be read, has changed, or is not understood.
    pub fn baseline(&self) -> Result<Baseline, Error> {
        self.json(BASELINE)
    }

    fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.read(file)?).map_err(|source| Error::Parse { file: file.to_owned(), source })
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.path.join(file);
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        match self.manifest.file(file) {
            Some(entry) if entry.sha256 == Digest::of(&bytes) => Ok(bytes),
            _ => Err(content(file, "changed after it was checked")),
        }
    }
}

/// Parses a manifest and checks what can be checked without the files.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, Error> {
    let parse = |source| Error::Parse { file: MANIFEST.to_owned(), source };
    let version = serde_json::from_slice::<serde_json::Value>(bytes).map_err(parse)?;
    let found = version.get("formatVersion").and_then(serde_json::Value::as_u64).and_then(|v| u32::try_from(v).ok()).unwrap_or_default();
    if found != FORMAT_VERSION {
        return Err(Error::FormatVersion { found, expected: FORMAT_VERSION });
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(parse)?;
    if manifest.canonical_bytes()? != bytes {
        return Err(content(MANIFEST, "is not in canonical form (sorted keys, no whitespace)"));
    }
    for file in &manifest.files {
        let plain = !file.path.is_empty() && !file.path.starts_with('.') && file.path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !plain {
            return Err(content(&file.path, "is not a plain file name (letters, digits, dot, dash, underscore)"));
        }
    }
    for needed in NEEDED {
        if manifest.file(needed).is_none() {
            return Err(content(needed, "is not listed in manifest.json"));
        }
    }
    let digest_of = |path: &str| manifest.file(path).map(|file| &file.sha256);
    if let (Some(weights), Some(pipeline)) = (digest_of(WEIGHTS), digest_of(PIPELINE))
        && Manifest::content_digest_of(weights, pipeline) != manifest.content_digest
    {
        return Err(content(MANIFEST, "contentDigest does not follow from the files"));
    }
    Ok(manifest)
}

/// Writes an artifact's files and its manifest; the directory appears complete or not at all.
///
/// # Errors
/// The directory exists, or the disk cannot take it.
pub fn write_directory(path: &Path, manifest: &Manifest, files: &[(&str, &[u8])]) -> Result<Digest, Error> {
    let bytes = manifest.canonical_bytes()?;
    parse_manifest(&bytes)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    let unfinished = parent.join(format!(".{}.unfinished", manifest.content_digest.hex()));
    let failed = |source| Error::write(&unfinished, source);
    match std::fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::create_dir_all(&unfinished).map_err(failed)?;
    for (name, content) in files.iter().copied().chain([(MANIFEST, bytes.as_slice())]) {
        write_file(&unfinished.join(name), content)?;
    }
    std::fs::rename(&unfinished, path).map_err(|source| Error::write(path, source))?;
    Ok(Digest::of(&bytes))
}

/// Writes a file and waits until the disk has it.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| Error::write(path, source))
}

fn content(file: &str, what: &str) -> Error {
    Error::Content { file: file.to_owned(), what: what.to_owned() }
}

fn check_plain(path: &Path) -> Result<u64, Error> {
    let metadata = std::fs::symlink_metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if !metadata.is_file() {
        return Err(content(&path.display().to_string(), "is a link or a folder, not a file"));
    }
    Ok(metadata.len())
}

fn read_plain(path: &Path) -> Result<Vec<u8>, Error> {
    if check_plain(path)? > JSON_BYTES {
        return Err(content(&path.display().to_string(), "is larger than 64 MiB"));
    }
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn refuse_strangers(path: &Path, listed: &BTreeSet<&str>) -> Result<(), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    for entry in std::fs::read_dir(path).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        if !name.to_str().is_some_and(|name| listed.contains(name)) {
            return Err(content(&name.to_string_lossy(), "is not listed in manifest.json"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
