//! Object storage by address: `s3://bucket/prefix`, `file:///folder`, or a path.
//!
//! Credentials are a folder with one file per key, as Kubernetes mounts a Secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig};
use tokio::io::AsyncWriteExt;

use crate::digest::Hasher;
use crate::{Digest, Error};

/// How long a call to a store that fails is repeated.
const RETRY_FOR: Duration = Duration::from_secs(120);
/// How long a store may send nothing. There is no limit on a whole transfer: large files take their time.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// How long one request may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The keys that a credentials folder may have, as the AWS tools name them.
const KEYS: [&str; 4] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"];

/// A place in a store, under which keys lie.
#[derive(Clone, Debug)]
pub struct Store {
    client: Arc<dyn ObjectStore>,
    uri: String,
    prefix: Key,
}

/// Opens the store that an address names.
///
/// # Errors
/// The address or the credentials are not understood.
pub fn open(uri: &str, credentials: Option<&Path>) -> Result<Store, Error> {
    let bad = |what: String| Error::Address { uri: uri.to_owned(), what };
    if let Some(rest) = uri.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("the bucket is missing".to_owned()));
        }
        let client = s3(bucket, credentials)?;
        let prefix = Key::parse(prefix.trim_matches('/')).map_err(|error| bad(error.to_string()))?;
        return Ok(Store { client: Arc::new(client), uri: uri.trim_end_matches('/').to_owned(), prefix });
    }
    if let Some((scheme, _)) = uri.split_once("://").filter(|(scheme, _)| *scheme != "file") {
        return Err(bad(format!("the scheme {scheme:?} is not supported")));
    }
    let path = std::path::absolute(uri.strip_prefix("file://").unwrap_or(uri)).map_err(|error| bad(error.to_string()))?;
    let prefix = Key::from_absolute_path(&path).map_err(|error| bad(error.to_string()))?;
    Ok(Store { client: Arc::new(LocalFileSystem::new().with_fsync(true)), uri: uri.trim_end_matches('/').to_owned(), prefix })
}

fn s3(bucket: &str, credentials: Option<&Path>) -> Result<object_store::aws::AmazonS3, Error> {
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 8, retry_timeout: RETRY_FOR };
    let options = ClientOptions::new().with_connect_timeout(CONNECT_WITHIN).with_timeout_disabled().with_read_timeout(SILENT_FOR);
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retry).with_client_options(options).with_region("us-east-1");
    for key in KEYS {
        let Some(value) = credentials.map(|folder| read_key(folder, key)).transpose()?.flatten() else { continue };
        builder = match key {
            "AWS_ACCESS_KEY_ID" => builder.with_access_key_id(value),
            "AWS_SECRET_ACCESS_KEY" => builder.with_secret_access_key(value),
            "AWS_REGION" => builder.with_region(value),
            _ => builder.with_allow_http(value.starts_with("http://")).with_virtual_hosted_style_request(false).with_endpoint(value),
        };
    }
    let path = credentials.map(Path::to_owned).unwrap_or_default();
    builder.build().map_err(|error| Error::Credentials { path, what: error.to_string() })
}

fn read_key(folder: &Path, key: &str) -> Result<Option<String>, Error> {
    let path = folder.join(key);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !key.contains("ACCESS") => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Credentials { path, what: format!("the key is missing: the Secret needs {}", KEYS.join(", ")) })
        }
        Err(error) => Err(Error::Credentials { path, what: error.to_string() }),
    }
}

impl Store {
    /// The full address of a key, for people.
    pub fn address(&self, name: &str) -> String {
        if name.is_empty() { self.uri.clone() } else { format!("{}/{name}", self.uri) }
    }

    fn key(&self, name: &str) -> Key {
        name.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |key, part| key.join(part))
    }

    /// An object's bytes; `None` when it does not exist.
    ///
    /// # Errors
    /// The store refuses or cannot be reached.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let result = match self.client.get(&self.key(name)).await {
            Ok(object) => object.bytes().await.map(|bytes| Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(name, error))
    }

    /// Writes an object that does not exist yet; one that exists must have the same bytes.
    ///
    /// # Errors
    /// Other bytes lie there, or the store refuses or cannot be reached.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match self.client.put_opts(&self.key(name), PutPayload::from(bytes.clone()), PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => match self.get(name).await? {
                Some(there) if there == bytes => Ok(()),
                _ => Err(Error::Conflict { uri: self.address(name) }),
            },
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Writes an object, whatever lies there.
    ///
    /// # Errors
    /// The store refuses or cannot be reached.
    pub async fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.client.put(&self.key(name), PutPayload::from(bytes)).await.map(drop).map_err(|error| self.failed(name, error))
    }

    /// Copies an object to a local file, in pieces, and says what its bytes were.
    ///
    /// # Errors
    /// The object does not exist, the store refuses or cannot be reached, or the disk cannot take it.
    pub async fn download(&self, name: &str, to: &Path) -> Result<(Digest, u64), Error> {
        let object = self.client.get(&self.key(name)).await.map_err(|error| self.failed(name, error))?;
        let write = |source| Error::write(PathBuf::from(to), source);
        let mut file = tokio::fs::File::create(to).await.map_err(write)?;
        let (mut hasher, mut size, mut pieces) = (Hasher::new(), 0_u64, object.into_stream());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.failed(name, error))?;
            hasher.update(&piece);
            size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            file.write_all(&piece).await.map_err(write)?;
        }
        // Without flush the error of the last write, such as a full disk, would be lost.
        file.flush().await.map_err(write)?;
        file.sync_all().await.map_err(write)?;
        Ok((hasher.finish(), size))
    }

    fn failed(&self, name: &str, source: object_store::Error) -> Error {
        let uri = self.address(name);
        match source {
            object_store::Error::NotFound { .. } => Error::NotFound { uri },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Error::Denied { uri, source },
            _ => Error::Unavailable { uri, source },
        }
    }
}
