//! What a token proves. The clock is the only thing that it asks; this module must not know calls or files.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;

use super::keys::Keys;

/// How far two machines' clocks may be apart, in seconds.
const SKEW: u64 = 60;
/// The longest life of a token that is taken, in seconds. Pods ask for an hour, and some clusters give a day; whoever had one made for years means
/// to keep it.
const LONGEST: u64 = 25 * 3_600;

/// Why a caller is not believed. The words are for whoever set the caller up; they tell nothing that a stranger could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token came with the call.
    #[error("records are taken from this deployment's own routers and model servers only, who show a token; report outcomes at the deployment's own address")]
    NoToken,
    /// It is no token, or not one as API servers make them.
    #[error("the token is not understood: it must be a JSON Web Token of a ServiceAccount, signed with RS256, ES256 or ES384")]
    Unreadable,
    /// Nobody published the key.
    #[error("the token is signed with a key that is not known here: if the cluster has a new one, it is known in a few minutes; send the call again")]
    UnknownKey,
    /// Somebody else signed it, or it was changed.
    #[error("the token's signature is wrong")]
    Signature,
    /// It was good once.
    #[error("the token has expired: read the file again, the kubelet renews it")]
    Expired,
    /// It was made to be kept.
    #[error("the token was made for more than a day: those of the deployment's pods live an hour")]
    LongLived,
    /// It will be good.
    #[error("the token is not valid yet: compare the clocks of the nodes")]
    Early,
    /// It opens another door.
    #[error("the token is for another audience: a deployment's evaluator takes tokens that were made for it")]
    Audience,
    /// It is somebody else's.
    #[error("the token's account may not hand over such records: predictions come from model servers, outcomes from routers")]
    Account,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 9] =
        [Self::NoToken, Self::Unreadable, Self::UnknownKey, Self::Signature, Self::Expired, Self::LongLived, Self::Early, Self::Audience, Self::Account];

    /// A word from a bounded set, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Unreadable => "unreadable",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::LongLived => "long_lived",
            Self::Early => "early",
            Self::Audience => "audience",
            Self::Account => "account",
        }
    }
}

impl From<jsonwebtoken::errors::Error> for Refusal {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::Early,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Self::Audience,
            _ => Self::Unreadable,
        }
    }
}

/// Who shows the token, and how long that holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Proof {
    /// `system:serviceaccount:<namespace>:<name>`.
    #[serde(rename = "sub")]
    pub subject: String,
    /// Seconds since 1970.
    #[serde(rename = "exp")]
    expires: u64,
    /// The same.
    #[serde(rename = "iat")]
    issued: u64,
}

impl Proof {
    /// Whether it still holds.
    pub fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now < self.expires.saturating_add(SKEW)
    }
}

/// Checks signature, times and audience. The algorithm is the key's, whatever the token says of itself.
pub fn prove(token: &str, keys: &Keys, audience: &str) -> Result<Proof, Refusal> {
    let id = decode_header(token)?.kid.ok_or(Refusal::UnknownKey)?;
    let key = keys.find(&id).ok_or(Refusal::UnknownKey)?;
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = SKEW;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    validation.set_audience(&[audience]);
    let proof = decode::<Proof>(token, &key.key, &validation)?.claims;
    if proof.expires.saturating_sub(proof.issued) > LONGEST { Err(Refusal::LongLived) } else { Ok(proof) }
}
