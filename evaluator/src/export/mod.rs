//! Days whose windows have all closed, written to the object store as Parquet: `<uri>/day=2026-11-25/part-0000.parquet`.
//!
//! A day that was written is remembered; until then none of its records is forgotten. A day that is written again, after a crash, gets
//! the same names.

mod table;

use std::time::Duration;

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use plimsoll_artifact::store::Store;

use crate::record::{Flags, Record};
use crate::store::{Page, Reader};
use crate::writer::Writer;
use table::{Inputs, batch, schema};

/// A day, in milliseconds.
pub const DAY: i64 = 86_400_000;
/// Rows of one file: so many are held in memory.
const PART: usize = 200_000;
/// Rows that are read at a time.
const READ: u32 = 10_000;
/// How often the exporter looks whether a day is over, and tries again.
const LOOK: Duration = Duration::from_secs(60);

/// Writes days for ever.
pub async fn run(writer: Writer, store: Store) {
    loop {
        match pending(&writer, &store).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(LOOK).await,
            Err(error) => {
                tracing::error!(%error, "a day was not exported; its records are kept, and it is tried again");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Writes the next day, if it is over.
async fn pending(writer: &Writer, store: &Store) -> anyhow::Result<bool> {
    let state = writer.look().await?;
    let day = state.exported;
    if state.closed < day + DAY {
        return Ok(false);
    }
    let mut reader = writer.reader().await?;
    // Databases block, and their connections may be closed where one may block only.
    let (here, store) = (tokio::runtime::Handle::current(), store.clone());
    let put = move |name: String, bytes| here.block_on(store.replace(&name, bytes)).map_err(anyhow::Error::from);
    let rows = tokio::task::spawn_blocking(move || export(&mut *reader, day, put)).await??;
    writer.exported(day + DAY).await?;
    tracing::info!(day = %name(day), rows, "exported");
    Ok(true)
}

/// The folder of a day.
fn name(day: i64) -> String {
    let date = jiff::Timestamp::from_millisecond(day).map(|time| time.strftime("%Y-%m-%d").to_string());
    format!("day={}", date.unwrap_or_else(|_| day.to_string()))
}

/// Makes the files of a day and gives each, with its name, to `put`; says how many predictions they have.
///
/// # Errors
/// The database cannot be used, or `put` fails.
pub fn export(reader: &mut dyn Reader, day: i64, mut put: impl FnMut(String, Vec<u8>) -> anyhow::Result<()>) -> anyhow::Result<usize> {
    let (mut inputs, mut page) = (Inputs::default(), Page::of((day, day + DAY)));
    while let Some(records) = page.next(reader, READ)? {
        records.iter().filter(|(_, record)| is_row(record)).for_each(|(_, record)| inputs.learn(record));
    }
    let (mut page, mut rows, mut part) = (Page::of((day, day + DAY)), 0, 0);
    while let Some((bytes, count)) = file(reader, &mut page, &inputs)? {
        put(format!("{}/part-{part:04}.parquet", name(day)), bytes)?;
        rows += count;
        part += 1;
    }
    Ok(rows)
}

/// What somebody got is exported. Outcomes are told of that alone.
fn is_row(record: &Record) -> bool {
    record.prediction.is_some() && !record.flags.has(Flags::SHADOW)
}

/// The next file's bytes and rows; `None` at the end.
fn file(reader: &mut dyn Reader, page: &mut Page, inputs: &Inputs) -> anyhow::Result<Option<(Vec<u8>, usize)>> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(inputs), Some(properties))?;
    let mut rows = 0;
    while rows < PART
        && let Some(records) = page.next(reader, READ)?
    {
        let records: Vec<(String, Record)> = records.into_iter().filter(|(_, record)| is_row(record)).collect();
        rows += records.len();
        writer.write(&batch(inputs, &records)?)?;
    }
    Ok(if rows == 0 { None } else { Some((writer.into_inner()?, rows)) })
}
