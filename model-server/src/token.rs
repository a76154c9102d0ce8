//! The token that proves to the evaluator whose predictions these are: a file that the kubelet writes anew long before the token expires.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tonic::metadata::{Ascii, MetadataValue};

/// How old what is known of the file may be.
const READ_EVERY: Duration = Duration::from_secs(60);

/// A token in a file.
pub struct Token {
    path: PathBuf,
    known: Option<(Instant, MetadataValue<Ascii>)>,
}

impl Token {
    /// The token of this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, known: None }
    }

    /// What goes with a call. Without a token that can be read nothing does: the evaluator then says what is missing.
    pub fn header(&mut self) -> Option<MetadataValue<Ascii>> {
        if let Some((_, header)) = self.known.as_ref().filter(|(read, _)| read.elapsed() < READ_EVERY) {
            return Some(header.clone());
        }
        self.known = self.read().map(|header| (Instant::now(), header));
        self.known.as_ref().map(|(_, header)| header.clone())
    }

    /// The evaluator did not believe it: the file may have another one by now.
    pub fn forget(&mut self) {
        self.known = None;
    }

    fn read(&self) -> Option<MetadataValue<Ascii>> {
        let text = std::fs::read_to_string(&self.path);
        let text = text.inspect_err(|error| tracing::warn!(%error, path = %self.path.display(), "the token for the evaluator cannot be read")).ok()?;
        let mut header = MetadataValue::try_from(format!("Bearer {}", text.trim())).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_when_it_is_old_or_was_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut token = Token::new(path.clone());
        let header = |token: &mut Token| token.header().map(|header| header.to_str().unwrap().to_owned());
        assert_eq!(header(&mut token), None, "there is no file yet");
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(header(&mut token).as_deref(), Some("Bearer one"));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(header(&mut token).as_deref(), Some("Bearer one"), "it is not read for each call");
        token.forget();
        assert_eq!(header(&mut token).as_deref(), Some("Bearer two"));
        std::fs::write(&path, "three").unwrap();
        token.known = token.known.map(|(read, header)| (read - READ_EVERY, header));
        assert_eq!(header(&mut token).as_deref(), Some("Bearer three"));
    }
}
