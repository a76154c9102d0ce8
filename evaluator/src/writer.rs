//! The one thread that owns the ledger, and the queue before it. What waits is taken together and asks the disk once (group commit).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use plimsoll_serving::Readiness;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Error;
use crate::ledger::Ledger;
use crate::record::{Entry, Record};
use crate::state::{Fates, State};
use crate::store::{Handed, Listed, Query, Reader};

/// Records of one call.
pub const CALL: usize = 10_000;
/// Records that may wait, over all calls.
const WAITING: usize = 40_000;
/// Records that one step takes, unless a single call has more.
const STEP: usize = 20_000;
/// How long a call waits for its place in the queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a call waits for the disk.
const ANSWER: Duration = Duration::from_secs(30);
/// Calls that one step takes.
const CALLS: usize = 256;
/// Windows close while nobody says anything, too.
const TICK: Duration = Duration::from_secs(1);
/// The pause after a step that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Too many records wait.
    #[error("{WAITING} records are waiting for the disk; nothing of this call was stored, send it again later")]
    Busy,
    /// The step failed.
    #[error("{0}; send it again, what was stored already is recognised")]
    Failed(String),
    /// The thread is gone.
    #[error("the evaluator is ending; send it again")]
    Ending,
}

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

enum Command {
    Record(Vec<Entry>, Reply<Fates>, OwnedSemaphorePermit),
    Query(Query, Reply<Vec<(String, Record)>>),
    Look(Reply<State>),
    Read(Reply<Box<dyn Reader>>),
    Exported(i64, Reply<()>),
    Keep(Handed, Reply<()>),
    Handed(String, Reply<Option<Handed>>),
    Reports(Reply<Vec<Listed>>),
}

/// The queue.
#[derive(Clone)]
pub struct Writer {
    queue: Sender<Command>,
    room: Arc<Semaphore>,
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Writer {
    /// Starts the thread. It ends when the last handle is dropped, and then has answered everybody.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(ledger: Ledger, readiness: Readiness) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, commands) = channel();
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || work(ledger, &commands, &readiness))?;
        Ok((Self { queue, room: Arc::new(Semaphore::new(WAITING)) }, thread))
    }

    /// Takes records. Answers when they are on disk.
    ///
    /// # Errors
    /// Says why nothing was stored.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<Fates, Refusal> {
        let room = u32::try_from(entries.len().max(1)).map_err(|_| Refusal::Busy)?;
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(room)).await.map_err(|_| Refusal::Busy)?;
        self.ask(|reply| permit.map(|permit| Command::Record(entries, reply, permit)).ok()).await
    }

    /// Answers a query.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn query(&self, query: Query) -> Result<Vec<(String, Record)>, Refusal> {
        self.ask(|reply| Some(Command::Query(query, reply))).await
    }

    /// What has been counted.
    ///
    /// # Errors
    /// The thread is gone.
    pub async fn look(&self) -> Result<State, Refusal> {
        self.ask(|reply| Some(Command::Look(reply))).await
    }

    /// Another connection, for reading.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn reader(&self) -> Result<Box<dyn Reader>, Refusal> {
        self.ask(|reply| Some(Command::Read(reply))).await
    }

    /// Days before `until` have been exported.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn exported(&self, until: i64) -> Result<(), Refusal> {
        self.ask(|reply| Some(Command::Exported(until, reply))).await
    }

    /// Keeps what was handed over for a report. Answers when it is on disk.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn keep(&self, handed: Handed) -> Result<(), Refusal> {
        self.ask(|reply| Some(Command::Keep(handed, reply))).await
    }

    /// What was handed over under this name.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn handed(&self, name: String) -> Result<Option<Handed>, Refusal> {
        self.ask(|reply| Some(Command::Handed(name, reply))).await
    }

    /// Every report, by name.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn reports(&self) -> Result<Vec<Listed>, Refusal> {
        self.ask(|reply| Some(Command::Reports(reply))).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Option<Command>) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        command(reply).and_then(|command| self.queue.send(command).ok()).ok_or(Refusal::Ending)?;
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|_| Refusal::Ending)?,
            Err(_) => Err(Refusal::Failed(format!("the database has not answered for {} s", ANSWER.as_secs()))),
        }
    }
}

/// Answers whoever asks, until nobody can ask any more.
fn work(mut ledger: Ledger, commands: &Receiver<Command>, readiness: &Readiness) {
    let (mut wait, mut well) = (Duration::ZERO, None);
    // Said when it changes only: who ends has taken it back, and it stays so.
    let mut say = move |now: bool| {
        if well.replace(now) != Some(now) {
            readiness.set(now);
        }
    };
    loop {
        let first = match commands.recv_timeout(wait) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (mut calls, mut replies, mut records) = (Vec::new(), Vec::new(), 0);
        for command in first.into_iter().chain(std::iter::from_fn(|| commands.try_recv().ok())).take(CALLS) {
            match command {
                Command::Record(entries, reply, permit) => {
                    records += entries.len();
                    calls.push(entries);
                    replies.push((reply, permit));
                }
                Command::Query(query, reply) => drop(reply.send(ledger.query(&query).map_err(failed))),
                Command::Read(reply) => drop(reply.send(ledger.reader().map_err(failed))),
                Command::Exported(until, reply) => drop(reply.send(ledger.exported(until).map_err(failed))),
                Command::Keep(handed, reply) => drop(reply.send(ledger.keep(&handed).map_err(failed))),
                Command::Handed(name, reply) => drop(reply.send(ledger.handed(&name).map_err(failed))),
                Command::Reports(reply) => drop(reply.send(ledger.reports().map_err(failed))),
                Command::Look(reply) => drop(reply.send(ledger.committed().cloned().map_err(failed))),
            }
            if records >= STEP {
                break;
            }
        }
        match ledger.step(now(), &calls) {
            Ok(step) => {
                say(true);
                wait = if step.behind { Duration::ZERO } else { TICK };
                for ((reply, _), receipt) in replies.into_iter().zip(step.receipts) {
                    drop(reply.send(Ok(receipt)));
                }
            }
            Err(error) => {
                say(false);
                tracing::error!(%error, calls = calls.len(), "step failed");
                let words = error.to_string();
                for (reply, _) in replies {
                    drop(reply.send(Err(Refusal::Failed(words.clone()))));
                }
                std::thread::sleep(PAUSE);
                wait = Duration::ZERO;
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: Error) -> Refusal {
    Refusal::Failed(error.to_string())
}
