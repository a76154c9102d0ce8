//! What was handed over for reports, in either database: a table of its own beside what is counted. It must not know what a report says.

use postgres::Client;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Error;

/// Reports that are kept; of more, the one that was handed over longest ago is forgotten.
pub const MOST: u32 = 100;

/// The body of a report, as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// What it is kept under; another one of the same name replaces it.
    pub name: String,
    /// When, in milliseconds. Never before what was handed over earlier, whatever a clock says.
    pub at: i64,
    /// How the test ended; empty if it has not.
    pub verdict: String,
    /// Everything.
    pub body: String,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The report's name.
    pub name: String,
    /// How the test ended; empty if it has not.
    pub verdict: String,
    /// When it was handed over last, in milliseconds.
    pub handed_unix_ms: i64,
}

pub(super) const IN_SQLITE: &str =
    "CREATE TABLE IF NOT EXISTS reports (name TEXT PRIMARY KEY, at INTEGER NOT NULL, verdict TEXT NOT NULL, body TEXT NOT NULL);";
pub(super) const IN_POSTGRESQL: &str =
    "CREATE TABLE IF NOT EXISTS reports (name text PRIMARY KEY, at bigint NOT NULL, verdict text NOT NULL, body text NOT NULL);";
const LIST: &str = "SELECT name, verdict, at FROM reports ORDER BY name";

pub(super) fn keep_in_sqlite(connection: &Connection, handed: &Handed) -> Result<(), Error> {
    let insert = "INSERT INTO reports (name, at, verdict, body) VALUES (?, max(?, (SELECT coalesce(max(at), 0) + 1 FROM reports)), ?, ?)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at, verdict = excluded.verdict, body = excluded.body";
    connection.execute(insert, params![handed.name, handed.at, handed.verdict, handed.body])?;
    connection.execute("DELETE FROM reports WHERE name NOT IN (SELECT name FROM reports ORDER BY at DESC LIMIT ?)", [MOST])?;
    Ok(())
}

pub(super) fn of_sqlite(connection: &Connection, name: &str) -> Result<Option<Handed>, Error> {
    let read = |row: &rusqlite::Row<'_>| Ok(Handed { name: name.to_owned(), at: row.get(0)?, verdict: row.get(1)?, body: row.get(2)? });
    Ok(connection.query_row("SELECT at, verdict, body FROM reports WHERE name = ?", [name], read).optional()?)
}

pub(super) fn all_of_sqlite(connection: &Connection) -> Result<Vec<Listed>, Error> {
    let mut statement = connection.prepare(LIST)?;
    let rows = statement.query_map([], |row| Ok(Listed { name: row.get(0)?, verdict: row.get(1)?, handed_unix_ms: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn keep_in_postgresql(client: &mut Client, handed: &Handed) -> Result<(), Error> {
    let insert = "INSERT INTO reports (name, at, verdict, body) VALUES ($1, greatest($2, (SELECT coalesce(max(at), 0) + 1 FROM reports)), $3, $4)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at, verdict = excluded.verdict, body = excluded.body";
    client.execute(insert, &[&handed.name, &handed.at, &handed.verdict, &handed.body])?;
    client.execute("DELETE FROM reports WHERE name NOT IN (SELECT name FROM reports ORDER BY at DESC LIMIT $1)", &[&i64::from(MOST)])?;
    Ok(())
}

pub(super) fn of_postgresql(client: &mut Client, name: &str) -> Result<Option<Handed>, Error> {
    let Some(row) = client.query_opt("SELECT at, verdict, body FROM reports WHERE name = $1", &[&name])? else { return Ok(None) };
    Ok(Some(Handed { name: name.to_owned(), at: row.try_get(0)?, verdict: row.try_get(1)?, body: row.try_get(2)? }))
}

pub(super) fn all_of_postgresql(client: &mut Client) -> Result<Vec<Listed>, Error> {
    let rows = client.query(LIST, &[])?;
    rows.iter().map(|row| Ok(Listed { name: row.try_get(0)?, verdict: row.try_get(1)?, handed_unix_ms: row.try_get(2)? })).collect()
}
