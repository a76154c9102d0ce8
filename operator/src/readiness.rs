//! Whether the operator has seen every object once: what the readiness probe tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts down to ready. Cheap to clone; never falls back, because a lost connection is no reason to restart.
#[derive(Clone, Debug)]
pub struct Readiness {
    missing: Arc<AtomicUsize>,
}

impl Readiness {
    /// Ready after this many arrivals.
    pub fn after(arrivals: usize) -> Self {
        Self { missing: Arc::new(AtomicUsize::new(arrivals)) }
    }

    /// One of those that are waited for has arrived.
    pub fn arrive(&self) {
        // Fails only at zero: more arrivals than were waited for change nothing.
        let counted = self.missing.fetch_update(Ordering::AcqRel, Ordering::Acquire, |missing| missing.checked_sub(1));
        tracing::debug!(missing = counted.unwrap_or_default().saturating_sub(1), "arrived");
    }

    /// Whether all have.
    pub fn is_ready(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_have_arrived() {
        let readiness = Readiness::after(2);
        let seen: Vec<bool> = (0..3).map(|_| (readiness.arrive(), readiness.is_ready()).1).collect();
        assert_eq!(seen, [false, true, true]);
    }
}
