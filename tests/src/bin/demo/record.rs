//! What the ModelDeployment said, moment by moment: printed as it changes, and kept for the tables. This module must not know chapters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_tests::cluster::text;
use plimsoll_tests::team::Team;
use serde_json::Value;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// What was said at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Basis points of the traffic by ModelVersion and revision.
    pub weights: BTreeMap<(String, String), i64>,
    /// Verdicts by check, while there is a candidate.
    pub verdicts: BTreeMap<String, String>,
}

type Moments = Arc<Mutex<Vec<(Duration, Moment)>>>;

/// Looks until it is stopped.
pub struct Recorder {
    moments: Moments,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins to look.
    pub fn start(team: &Team) -> Self {
        let (moments, stop) = (Moments::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stopped, team) = (Arc::clone(&moments), Arc::clone(&stop), team.clone());
        let thread = std::thread::spawn(move || {
            let (start, mut models) = (Instant::now(), BTreeMap::new());
            while !stopped.load(Ordering::Relaxed) {
                if let Some(moment) = team.get("modeldeployment/flight-delay").ok().and_then(|deployment| Moment::of(&deployment, &mut models)) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.last().map(|(_, last)| last) != Some(&moment) {
                        println!("   {:>4} s  {}", start.elapsed().as_secs(), moment.words());
                        kept.push((start.elapsed(), moment));
                    }
                }
                std::thread::sleep(EVERY);
            }
        });
        Self { moments, stop, thread: Some(thread) }
    }

    /// Everything so far: seconds since the start, and what was said then. What is repeated is left out.
    pub fn moments(&self) -> Vec<(Duration, Moment)> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Moment {
    /// Reads a ModelDeployment; nothing while it has no routes. `models` remembers which model a revision was about.
    fn of(deployment: &Value, models: &mut BTreeMap<String, String>) -> Option<Self> {
        for place in ["stable", "candidate", "previous"] {
            let reference = |field| text(deployment, &format!("/status/{place}/{field}")).to_owned();
            models.insert(reference("revision"), reference("modelVersion"));
        }
        let weights = deployment.pointer("/status/routes/weights")?.as_object()?;
        let named = |revision: &String| (models.get(revision).cloned().unwrap_or_default(), revision.clone());
        let weights = weights.iter().map(|(revision, weight)| (named(revision), weight.as_i64().unwrap_or(0))).collect();
        let is_judged = deployment.pointer("/status/candidate").is_some_and(|candidate| !candidate.is_null());
        let checks = deployment.pointer("/status/checks").and_then(Value::as_array).filter(|_| is_judged);
        let verdicts = checks.into_iter().flatten().map(|check| (text(check, "/name").to_owned(), text(check, "/verdict").to_owned())).collect();
        Some(Self { weights, verdicts })
    }

    /// A line about it.
    pub fn words(&self) -> String {
        [self.traffic(), self.checks()].join("  ").trim_end().to_owned()
    }

    /// Who gets how much.
    pub fn traffic(&self) -> String {
        let share = |((model, revision), weight): (&(String, String), &i64)| format!("{model} (revision {revision}) {} %", weight / 100);
        self.weights.iter().map(share).collect::<Vec<_>>().join(", ")
    }

    /// What the checks say.
    pub fn checks(&self) -> String {
        self.verdicts.iter().map(|(check, verdict)| format!("{check} {verdict}")).collect::<Vec<_>>().join(", ")
    }
}
