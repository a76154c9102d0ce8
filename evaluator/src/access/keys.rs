//! The public keys that tokens are signed with, as a JSON Web Key Set in a file. A key says with which algorithm it is used; a token does not.

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// The keys of a file.
pub struct Keys {
    text: String,
    keys: Vec<Key>,
}

/// One of them.
pub struct Key {
    id: String,
    /// The only algorithm that it is used with.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// There is none, or it has no key of use.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Disk { path: path.display().to_string(), source })?;
        Self::parse(text).map_err(|problem| Error::Keys { path: path.display().to_string(), problem })
    }

    /// Keys of other kinds are left out: a set may have keys for other uses.
    pub fn parse(text: String) -> Result<Self, String> {
        let set: Set = serde_json::from_str(&text).map_err(|error| format!("not a JSON Web Key Set: {error}"))?;
        let keys: Vec<Key> = set.keys.into_iter().filter_map(key).collect();
        if keys.is_empty() {
            return Err("has no key for RS256, ES256 or ES384 with a kid".to_owned());
        }
        Ok(Self { text, keys })
    }

    /// The key of that name.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    // What API servers sign with. A shared secret is no public key.
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => Algorithm::ES384,
        _ => return None,
    };
    Some(Key { key: DecodingKey::from_jwk(&jwk).ok()?, id: jwk.common.key_id?, algorithm })
}
