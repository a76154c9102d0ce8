//! What an error of DuckDB means: a fault of the query or the data, which stays and has a place, or one of the machine, which may pass.
//!
//! DuckDB tells its errors apart by their first words only. This module must not know what is done about them.

use crate::Error;

/// Lines that stand before the author's query in every statement that contains it.
pub const LINES_BEFORE: usize = 1;
/// The first words of errors that say nothing about the query or the data.
const MACHINE: [&str; 10] = ["IO", "INTERNAL", "FATAL", "INTERRUPT", "Connection", "HTTP", "Serialization", "TransactionContext", "Scheduler", "Executor"];
/// What the operating system and DuckDB say when a file cannot grow.
const FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", "max_temp_directory_size"];

/// The error with its place. `what` is what was being done, and `query` the text that line numbers are about.
pub fn explained(what: &str, query: &str, error: duckdb::Error) -> Error {
    let said = match &error {
        duckdb::Error::DuckDBFailure(_, Some(said)) => said.clone(),
        _ => return Error::Sql { what: what.to_owned(), source: error },
    };
    let (kind, _) = said.split_once(" Error: ").unwrap_or_default();
    let what = place(&said, query).map_or_else(|| what.to_owned(), |place| format!("{what}, {place}"));
    if FULL.iter().any(|words| said.contains(words)) {
        return Error::ScratchFull { what, size: None };
    }
    match kind {
        "Out of Memory" => Error::Memory { what, said: sentence(&said) },
        // The author named a file; the sources are tables.
        "IO" if said.contains("No files found") => Error::Data(format!("{what}: {}", sentence(&said))),
        machine if MACHINE.contains(&machine) => Error::Sql { what, source: error },
        _ => Error::Data(format!("{what}: {}", sentence(&said))),
    }
}

/// The error without the excerpt, in one line.
fn sentence(said: &str) -> String {
    let told = said.rsplit_once("\nLINE ").map_or(said, |(told, _)| told);
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where in the query: DuckDB shows an excerpt of the line, cut at its ends, and a caret below it.
fn place(said: &str, query: &str) -> Option<String> {
    let (_, shown) = said.rsplit_once("\nLINE ")?;
    let (number, shown) = shown.split_once(": ")?;
    let line = number.parse::<usize>().ok()?.checked_sub(LINES_BEFORE).filter(|line| *line > 0)?;
    let text = query.lines().nth(line.saturating_sub(1))?;
    let mut shown = shown.lines();
    let excerpt = shown.next()?;
    let caret = shown.next().and_then(|below| below.find('^')).and_then(|caret| caret.checked_sub(format!("LINE {number}: ").len()));
    Some(match caret.and_then(|caret| column(text, excerpt, caret)) {
        Some(column) => format!("line {line}, column {column}"),
        None => format!("line {line}"),
    })
}

fn column(text: &str, excerpt: &str, caret: usize) -> Option<usize> {
    const CUT: &str = "...";
    let (start, piece) = excerpt.strip_prefix(CUT).map_or((0, excerpt), |piece| (CUT.len(), piece));
    let place = text.find(piece.strip_suffix(CUT).unwrap_or(piece))?.saturating_add(caret.checked_sub(start)?);
    text.get(..place).map(|before| before.chars().count().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use duckdb::Connection;

    use super::*;

    fn error(query: &str) -> Error {
        let connection = Connection::open_in_memory().unwrap();
        let described = connection.prepare(&format!("DESCRIBE (\n{query}\n)")).and_then(|mut statement| statement.query([]).map(drop));
        let failed = described.and_then(|()| connection.execute_batch(&format!("CREATE TABLE t AS (\n{query}\n)")));
        explained("data.query", query, failed.expect_err(query))
    }

    #[test]
    fn faults_of_the_author_stay_and_have_a_place() {
        let long = format!("SELECT {} nothing FROM range(3) r", "1, ".repeat(60));
        let table: [(&str, &str, &str); 7] = [
            ("SELEKT 1", "data.query, line 1, column 1: Parser Error", "SELEKT"),
            ("SELECT 1\nFORM range(3)", "data.query, line 2, column 6: Parser Error", "range"),
            ("SELECT\n  x.nothing\nFROM range(3) x", "data.query, line 2, column 3: Binder Error", "nothing"),
            (&long, "data.query, line 1, column 189: Binder Error", "nothing"),
            ("SELECT *\nFROM nowhere", "data.query, line 2, column 6: Catalog Error", "nowhere"),
            ("SELECT CAST('UA' AS DOUBLE) FROM range(3)", "data.query", "UA"),
            ("SELECT 1;\nSELECT 2", "data.query, line 1, column 9", ";"),
        ];
        for (query, begins, names) in table {
            let error = error(query);
            assert_eq!((error.reason(), error.exit_code()), ("BadData", 65), "{query}: {error}");
            let text = error.to_string();
            assert!(text.starts_with(begins) && text.contains(names), "{query}: {text}");
        }
    }

    #[test]
    fn faults_of_the_machine_may_pass_and_name_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let spill = folder.path().display();
        let sorted = "SELECT i, hash(i) h FROM range(4000000) t(i) ORDER BY h";
        let small = "SET threads=1; SET memory_limit='20MB';";
        let table = [
            (format!("{small} SET temp_directory=''"), "OutOfMemory", "workers.resources.limits.memory"),
            (format!("{small} SET temp_directory='{spill}'; SET max_temp_directory_size='1MB'"), "DiskFull", "workers.scratch.size"),
        ];
        for (settings, reason, names) in table {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&settings).unwrap();
            let failed = connection.execute_batch(&format!("CREATE TABLE t AS {sorted}")).expect_err(reason);
            let error = explained("data.query", sorted, failed);
            assert_eq!((error.reason(), error.exit_code()), (reason, 80), "{error}");
            assert!(error.to_string().contains(names), "{error}");
        }
    }
}
