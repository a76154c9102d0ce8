//! When checks were looked at last, and who asks for a look: the only things that live in memory.
//!
//! Losing them is safe: a restarted operator looks once more. This module must not know what a look sees.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Memory of an object that was not looked at for so long is dropped.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Asks for looks, and remembers them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pokes {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    memory: Mutex<Memory>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Memory {
    looked: HashMap<String, Timestamp>,
    poked: HashSet<(String, String)>,
}

impl Pokes {
    /// Asks for a look at this deployment at once. Names that do not exist are forgotten after a day's worth of looks.
    pub fn poke(&self, namespace: &str, deployment: &str) {
        self.memory().poked.insert((namespace.to_owned(), deployment.to_owned()));
        self.shared.bell.notify_one();
    }

    /// Whether somebody asked for a look since this was called last.
    pub fn take(&self, namespace: &str, deployment: &str) -> bool {
        self.memory().poked.remove(&(namespace.to_owned(), deployment.to_owned()))
    }

    /// When the object with this UID was looked at last.
    pub fn looked_at(&self, uid: &str) -> Option<Timestamp> {
        self.memory().looked.get(uid).copied()
    }

    /// Remembers a look.
    pub fn remember(&self, uid: &str, now: Timestamp) {
        let mut memory = self.memory();
        memory.looked.retain(|_, at| now.duration_since(*at) < FORGET_AFTER);
        memory.looked.insert(uid.to_owned(), now);
    }

    /// An item for each time that looks are asked for.
    pub fn stream(&self) -> impl Stream<Item = ()> + Send + 'static {
        stream::unfold(self.shared.clone(), |shared| async move {
            shared.bell.notified().await;
            Some(((), shared))
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poke_is_taken_once_and_by_the_one_it_is_for() {
        let pokes = Pokes::default();
        pokes.poke("flights", "flight-delay");
        assert!(!pokes.take("other", "flight-delay"));
        assert!(pokes.take("flights", "flight-delay"));
        assert!(!pokes.take("flights", "flight-delay"));
    }

    #[test]
    fn looks_are_remembered_for_a_day() {
        let pokes = Pokes::default();
        let at = |hour: i64| Timestamp::from_second(hour * 3_600).unwrap();
        pokes.remember("a", at(0));
        assert_eq!(pokes.looked_at("a"), Some(at(0)));
        pokes.remember("b", at(25));
        assert_eq!(pokes.looked_at("a"), None);
    }
}
