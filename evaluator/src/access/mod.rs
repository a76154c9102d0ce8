//! Who may hand over records: whoever shows a token of the right account, or everybody where the evaluator was started without keys.
//!
//! Predictions come from model servers only, outcomes from routers only. Questions change nothing and are answered to everybody who reaches the
//! evaluator. A token is checked before a byte of the body is read. This module must not know records.

mod keys;
mod token;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tonic::Status;

use crate::Error;
use crate::rest::refuse;
use keys::Keys;
use token::{Proof, prove};

pub use token::Refusal;

/// How old what is known of the file with the keys may be: the kubelet changes it under us.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Tokens that are remembered: pods that call, and each pod's last few.
const REMEMBERED: usize = 1_024;

/// What the path of a call hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Predictions,
    Outcomes,
}

impl Written {
    /// `None` for what only asks.
    fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/predictions" | "/plimsoll.evaluator.v1.Evaluator/RecordPredictions" => Some(Self::Predictions),
            "/v1/outcomes" | "/plimsoll.evaluator.v1.Evaluator/ReportOutcomes" => Some(Self::Outcomes),
            _ => None,
        }
    }
}

/// Who is believed.
#[derive(Clone, Debug)]
pub struct Policy {
    /// A JSON Web Key Set with the keys that tokens are signed with.
    pub keys: PathBuf,
    /// The audience that tokens must have.
    pub audience: String,
    /// The subject that hands over predictions.
    pub predictions_from: String,
    /// The subject that hands over outcomes.
    pub outcomes_from: String,
}

/// Decides about each call, and counts those that were refused. Cheap to clone.
#[derive(Clone, Default)]
pub struct Access(Arc<Inner>);

#[derive(Default)]
struct Inner {
    gate: Option<Gate>,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Access {
    /// Believes those of the policy.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        let keys = Keys::read(&policy.keys)?;
        let memory = Memory { keys, looked: Instant::now(), proven: HashMap::new() };
        let gate = Gate { policy, memory: Mutex::new(memory) };
        Ok(Self(Arc::new(Inner { gate: Some(gate), ..Inner::default() })))
    }

    /// Believes everybody.
    pub fn of_everybody() -> Self {
        Self::default()
    }

    /// The same service for those who may use it.
    pub fn guard(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), check))
    }

    /// How many calls were refused, by reason.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        Refusal::ALL.iter().zip(&self.0.refused).map(|(refusal, count)| (refusal.reason(), count.load(Ordering::Relaxed))).collect()
    }

    fn admit(&self, written: Written, headers: &HeaderMap) -> Result<(), Refusal> {
        let admitted = self.0.gate.as_ref().map_or(Ok(()), |gate| gate.admit(written, headers));
        admitted.inspect_err(|refusal| {
            for (_, count) in Refusal::ALL.iter().zip(&self.0.refused).filter(|(known, _)| *known == refusal) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    let Some(written) = Written::of(request.uri().path()) else { return next.run(request).await };
    match access.admit(written, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(refusal, request.headers()),
    }
}

/// In the caller's language.
fn refused(refusal: Refusal, headers: &HeaderMap) -> Response {
    let message = refusal.to_string();
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Status::unauthenticated(message).into_http::<Body>();
    }
    let mut response = refuse(StatusCode::UNAUTHORIZED, &message);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// A policy at work.
struct Gate {
    policy: Policy,
    memory: Mutex<Memory>,
}

/// What is known of keys and tokens.
struct Memory {
    keys: Keys,
    looked: Instant,
    /// Tokens whose signature was good, whole: a call costs no signature.
    proven: HashMap<Box<str>, Proof>,
}

impl Gate {
    fn admit(&self, written: Written, headers: &HeaderMap) -> Result<(), Refusal> {
        let subject = self.memory.lock().unwrap_or_else(PoisonError::into_inner).subject(bearer(headers)?, &self.policy)?;
        let expected = match written {
            Written::Predictions => &self.policy.predictions_from,
            Written::Outcomes => &self.policy.outcomes_from,
        };
        if subject == *expected { Ok(()) } else { Err(Refusal::Account) }
    }
}

impl Memory {
    /// Whose token it is.
    fn subject(&mut self, token: &str, policy: &Policy) -> Result<String, Refusal> {
        self.look(policy);
        if let Some(proof) = self.proven.get(token).filter(|proof| proof.is_fresh()) {
            return Ok(proof.subject.clone());
        }
        let proof = prove(token, &self.keys, &policy.audience)?;
        if self.proven.len() >= REMEMBERED {
            self.proven.clear();
        }
        let subject = proof.subject.clone();
        self.proven.insert(token.into(), proof);
        Ok(subject)
    }

    /// Takes the file's keys when it has others. Those that are known stay while it cannot be read; tokens of a key that is gone are forgotten.
    fn look(&mut self, policy: &Policy) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        match Keys::read(&policy.keys) {
            Ok(keys) if keys == self.keys => {}
            Ok(keys) => {
                tracing::info!(keys = keys.count(), "tokens are checked with other keys from now on");
                self.keys = keys;
                self.proven.clear();
            }
            Err(error) => tracing::warn!(%error, "tokens are checked with the keys that were read before"),
        }
    }
}

/// The token of `authorization: Bearer <token>`.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(AUTHORIZATION).ok_or(Refusal::NoToken)?.to_str().map_err(|_| Refusal::Unreadable)?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(Refusal::NoToken),
    }
}

#[cfg(test)]
mod tests;
