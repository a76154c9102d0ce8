//! Keys and tokens as an API server makes them.
#![allow(dead_code, reason = "each program uses a part")]

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// For whom good tokens are.
pub const AUDIENCE: &str = "uid.flight-delay.flights.evaluator.plimsoll.dev";
/// Who hands over predictions.
pub const MODEL: &str = "system:serviceaccount:flights:flight-delay-model";
/// Who hands over outcomes.
pub const ROUTER: &str = "system:serviceaccount:flights:flight-delay-router";
/// Of PKCS #8 around an RSA key of 2,048 bits: what stands before the key.
const RSA_PREFIX: usize = 26;

/// Who signs tokens.
pub struct Issuer {
    id: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Issuer {
    pub fn rsa(id: &str) -> Self {
        let der = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_der();
        Self { id: id.to_owned(), algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der[RSA_PREFIX..]) }
    }

    pub fn ec(id: &str) -> Self {
        let der = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
        Self { id: id.to_owned(), algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(&der) }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        encode(&Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }, claims, &self.key).unwrap()
    }

    /// A good token of this account.
    pub fn token(&self, subject: &str) -> String {
        self.sign(&claims(AUDIENCE, subject))
    }

    /// Its public half.
    pub fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }
}

/// What an API server publishes.
pub fn jwks(issuers: &[&Issuer]) -> String {
    json!({"keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What an API server says in a token that is good for an hour.
pub fn claims(audience: &str, subject: &str) -> Value {
    json!({"aud": [audience], "exp": now() + 3_600, "iat": now(), "nbf": now(), "iss": "https://kubernetes.default.svc", "sub": subject})
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
