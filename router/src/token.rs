//! The token that proves to the evaluator that outcomes come through this router: a file that the kubelet writes anew long before the token expires.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

/// How old what is known of the file may be.
const READ_EVERY: Duration = Duration::from_secs(60);

/// A token in a file; cheap to clone.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    path: PathBuf,
    known: Mutex<Option<(Instant, HeaderValue)>>,
}

impl Token {
    /// The token of this file.
    pub fn new(path: PathBuf) -> Self {
        Self(Arc::new(Inner { path, known: Mutex::default() }))
    }

    /// What goes with a call. Without a token that can be read nothing does: the evaluator then says what is missing.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|(read, _)| read.elapsed() >= READ_EVERY) {
            *known = self.read().map(|header| (Instant::now(), header));
        }
        known.as_ref().map(|(_, header)| header.clone())
    }

    /// The evaluator did not believe it: the file may have another one by now.
    pub fn forget(&self) {
        *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn read(&self) -> Option<HeaderValue> {
        let text = std::fs::read_to_string(&self.0.path);
        let text = text.inspect_err(|error| tracing::warn!(%error, path = %self.0.path.display(), "the token for the evaluator cannot be read")).ok()?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", text.trim())).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}
