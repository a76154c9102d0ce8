//! sha256 digests, written `sha256:<64 hex digits>`.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// A sha256 digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

const PREFIX: &str = "sha256:";
/// Files are hashed in pieces of this many bytes.
const PIECE: usize = 1 << 16;

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Hasher::new().and(bytes).finish()
    }

    /// The digest and size of a file, read in pieces.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(path: &Path) -> Result<(Self, u64), Error> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let mut file = std::fs::File::open(path).map_err(read)?;
        let (mut hasher, mut size, mut piece) = (Hasher::new(), 0_u64, vec![0; PIECE]);
        loop {
            let count = file.read(&mut piece).map_err(read)?;
            if count == 0 {
                return Ok((hasher.finish(), size));
            }
            size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            hasher.update(piece.get(..count).unwrap_or_default());
        }
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }

    /// With its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashes bytes as they come.
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn and(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }

    pub(crate) fn finish(self) -> Digest {
        let hex: String = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Digest(format!("{PREFIX}{hex}"))
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hex = |hex: &str| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.strip_prefix(PREFIX) {
            Some(hex) if is_hex(hex) => Ok(Self(text.to_owned())),
            _ => Err(Error::ParseDigest { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
