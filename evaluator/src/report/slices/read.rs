//! The walk over a test's records, newest first, in pages: on a connection of its own, so that the writer goes on. It must not know what is found.

use std::time::{Duration, Instant};

use super::differ::slices;
use super::found::Slices;
use super::rows::Rows;
use crate::Error;
use crate::report::arms;
use crate::report::input::Test;
use crate::settings::Task;
use crate::state::State;
use crate::store::Reader;

/// Records that are read at a time.
const PAGE: u32 = 5_000;

/// Where a walk ends, though there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After so many predictions that count, or a page more.
    pub predictions: usize,
    /// After so long, or a page more.
    pub time: Duration,
}

impl Limits {
    /// For a page that somebody waits for: about 100 MiB with the most columns.
    pub const OF_A_PAGE: Self = Self { predictions: 500_000, time: Duration::from_secs(10) };
}

/// Which records are a test's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The places of its arms.
    pub arms: Vec<usize>,
    /// Made from then on, in milliseconds.
    pub from: i64,
    /// And before then.
    pub end: i64,
    /// Predictions of it that count and have an outcome, kept or not.
    pub counted: u64,
}

impl Range {
    /// Those whose window has closed, within the history that is kept, which is as long as records are.
    pub fn of(test: &Test, state: &State) -> Self {
        let names: Vec<String> = test.spec.variants.iter().map(|variant| arms::name(test, &variant.name)).collect();
        let (mut arms, mut counted) = (Vec::new(), 0);
        for (place, (_, known)) in state.arms.iter().enumerate().filter(|(_, (arm, _))| names.contains(&arm.variant)) {
            arms.push(place);
            counted += known.total.losses.count;
        }
        let starts = || state.cells.keys().filter(|(arm, _)| arms.contains(arm)).map(|(_, start)| *start);
        let Some((from, last)) = starts().min().zip(starts().max()) else { return Self { counted, ..Self::default() } };
        // Spans have one length: where the next one of any arm begins, the last one of these has ended.
        let next = state.cells.keys().map(|(_, start)| *start).filter(|start| *start > last).min();
        let end = state.closed.saturating_add(1);
        Self { counted, from, end: next.map_or(end, |next| next.min(end)), arms }
    }
}

/// The slices of a test's records.
///
/// # Errors
/// The database cannot be used.
pub fn read(reader: &mut dyn Reader, test: &Test, range: &Range, task: Task, limits: Limits) -> Result<Slices, Error> {
    let (begun, mut rows, mut before, mut newest_only) = (Instant::now(), Rows::of(test, task), (range.end, i64::MIN), false);
    while !range.arms.is_empty() {
        let page = reader.newest(&range.arms, before, range.from, PAGE)?;
        page.iter().for_each(|(_, _, record)| rows.take(record));
        match page.last() {
            Some((key, _, last)) if page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX) => before = (last.time, *key),
            _ => break,
        }
        newest_only = rows.rows.len() >= limits.predictions || begun.elapsed() >= limits.time;
        if newest_only {
            break;
        }
    }
    Ok(Slices { newest_only, ..slices(test, &rows.complete(), range.counted) })
}
