//! The timing around every reconcile: how long one may take, when a failed one is tried again, when an idle object is looked at.
//!
//! **Invariant:** what is kept here may be lost at any time; a restarted operator only retries sooner. This module must not
//! know kinds.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::controller::{self, Action};
use kube::runtime::watcher;

use crate::Error;
use crate::telemetry::Metrics;

/// The longest reconcile: longer than its calls should take, shorter than the client's own retries in an outage.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The wait after the first failure of an object; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// An object is looked at again after at least this many seconds although nothing happened: a watch may have missed something.
const BACKSTOP_SECONDS: u64 = 600;
/// Backstops are spread over this many more seconds, so that objects do not wake together.
const BACKSTOP_SPREAD_SECONDS: u64 = 1_200;

/// The timing of one controller. Cheap to clone.
#[derive(Clone)]
pub struct Pace {
    controller: &'static str,
    metrics: Metrics,
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Pace {
    /// For the controller with this name in metrics.
    pub fn new(controller: &'static str, metrics: Metrics) -> Self {
        Self { controller, metrics, failures: Arc::default() }
    }

    /// Runs a reconcile of the object with this UID: bounded, counted, and reported when it fails.
    ///
    /// # Errors
    /// The reconcile's, or that it took too long.
    pub async fn timed(&self, uid: Option<&str>, reconcile: impl Future<Output = Result<Action, Error>>) -> Result<Action, Error> {
        let start = Instant::now();
        let result = bounded(TIMEOUT, reconcile).await;
        self.metrics.reconciled(self.controller, start.elapsed().as_secs_f64(), result.as_ref().err());
        let uid = uid.unwrap_or_default();
        match &result {
            Ok(_) => {
                self.failures().remove(uid);
            }
            Err(error) => {
                let mut failures = self.failures();
                let count = failures.entry(uid.to_owned()).or_default();
                *count = count.saturating_add(1);
                tracing::warn!(%error, failures = *count, "reconcile failed");
            }
        }
        result
    }

    /// When the object with this UID is tried again after its last failure.
    pub fn retry(&self, uid: Option<&str>) -> Action {
        Action::requeue(self.wait(uid))
    }

    /// The same, but not later than this: where waiting costs more than asking in vain.
    pub fn retry_within(&self, longest: Duration, uid: Option<&str>) -> Action {
        Action::requeue(self.wait(uid).min(longest))
    }

    /// When an object is looked at again: after `wake`, or by and by.
    pub fn wake(&self, uid: Option<&str>, wake: Option<Duration>) -> Action {
        Action::requeue(wake.unwrap_or_else(|| backstop(uid.unwrap_or_default())))
    }

    /// Takes note of what the queue reports beside failed reconciles, which `timed` has seen: a watch that broke is counted, an
    /// object that went away before its turn is normal.
    pub fn queue(&self, error: &controller::Error<Error, watcher::Error>) {
        if let controller::Error::QueueError(error) = error {
            self.metrics.watch_error(self.controller);
            tracing::warn!(%error, "watch broke");
        }
    }

    fn wait(&self, uid: Option<&str>) -> Duration {
        retry_after(self.failures().get(uid.unwrap_or_default()).copied().unwrap_or(1))
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bounded<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Timeout { seconds: limit.as_secs() }))
}

fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY)
}

fn backstop(uid: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    Duration::from_secs(BACKSTOP_SECONDS.saturating_add(hasher.finish() % BACKSTOP_SPREAD_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_object_waits_longer_each_time() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 8, 9, 1_000, u32::MAX].map(|failures| retry_after(failures).as_secs()).to_vec();
        assert_eq!(seconds, [2, 2, 4, 8, 256, 300, 300, 300]);
    }

    #[test]
    fn idle_objects_do_not_wake_together() {
        let waits: std::collections::HashSet<Duration> = (0..100).map(|number| backstop(&format!("uid-{number}"))).collect();
        assert!(waits.len() > 80);
        assert!(waits.iter().all(|wait| (600..1_800).contains(&wait.as_secs())));
    }

    #[tokio::test]
    async fn success_ends_the_backoff_of_that_object_alone() {
        let metrics = Metrics::new().unwrap();
        let pace = Pace::new("test", metrics.clone());
        let fails = || async { Err(Error::Incomplete { what: "name" }) };
        for uid in ["a", "a", "b"] {
            assert!(pace.timed(Some(uid), fails()).await.is_err());
        }
        assert_eq!(pace.retry(Some("a")), Action::requeue(Duration::from_secs(4)));
        assert_eq!(pace.retry_within(Duration::from_secs(3), Some("a")), Action::requeue(Duration::from_secs(3)));
        assert!(pace.timed(Some("a"), async { Ok(Action::await_change()) }).await.is_ok());
        assert_eq!(pace.retry(Some("a")), Action::requeue(FIRST_RETRY));
        assert_eq!(pace.failures().len(), 1);
        assert!(metrics.render().contains(r#"plimsoll_operator_errors_total{controller="test",reason="Incomplete"} 3"#));
    }

    #[tokio::test]
    async fn a_reconcile_that_hangs_is_given_up() {
        let result: Result<(), Error> = bounded(Duration::ZERO, std::future::pending()).await;
        assert!(matches!(result, Err(Error::Timeout { seconds: 0 })));
    }
}
