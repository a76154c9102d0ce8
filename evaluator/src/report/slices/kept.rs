//! One walk at a time, and what it found for a minute: whoever asks often, or for many tests, keeps one reader busy, not all of the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::found::Slices;
use super::read::{Limits, Range, read};
use crate::grpc::Served;
use crate::report::input::{Mode, Test};
use crate::state::State;

/// How long what was found is shown again.
const FRESH: Duration = Duration::from_secs(60);

/// How long a page waits for another one's walk; then it goes without slices.
const PATIENCE: Duration = Duration::from_secs(2);

/// By the test's UID.
type Kept = BTreeMap<String, (Instant, Slices)>;

/// Finds slices.
#[derive(Clone, Default)]
pub struct Slicer {
    kept: Arc<Mutex<Kept>>,
}

impl Slicer {
    /// The slices of a test; `None` if its records cannot be read now. The caller's answer of a pair does not know its test, so paired tests have none.
    pub async fn slices(&self, served: &Served, test: &Test, state: &State) -> Option<Slices> {
        if test.spec.mode == Mode::Paired {
            return None;
        }
        let kept = tokio::time::timeout(PATIENCE, Arc::clone(&self.kept).lock_owned()).await.ok()?;
        if let Some((_, slices)) = kept.get(&test.metadata.uid).filter(|(at, _)| at.elapsed() < FRESH) {
            return Some(slices.clone());
        }
        let work = walk(kept, served.clone(), test.clone(), Range::of(test, state));
        // It ends also if nobody waits any more: who goes away and asks again starts no second one.
        match tokio::spawn(work).await {
            Ok(Ok(slices)) => Some(slices),
            Ok(Err(error)) => unread(&error),
            Err(error) => unread(&error.into()),
        }
    }
}

fn unread(error: &anyhow::Error) -> Option<Slices> {
    tracing::warn!(%error, "records could not be read: a report goes without slices");
    None
}

async fn walk(mut kept: OwnedMutexGuard<Kept>, served: Served, test: Test, range: Range) -> anyhow::Result<Slices> {
    let mut reader = served.writer.reader().await?;
    let uid = test.metadata.uid.clone();
    // Databases block, and their connections may be closed where one may block only.
    let slices = tokio::task::spawn_blocking(move || read(&mut *reader, &test, &range, served.task, Limits::OF_A_PAGE)).await??;
    kept.retain(|_, (at, _)| at.elapsed() < FRESH);
    kept.insert(uid, (Instant::now(), slices.clone()));
    Ok(slices)
}
