//! How a CSV file is read. It has no types: DuckDB guesses them, and a guess must not change what a text feature says.
//!
//! **Invariant:** a column that is read as integers spells each of them in the one way in which an integer is written back. `007` stays
//! a text: as the number 7 it would be trained as `7`, while callers send `007`.

use duckdb::Connection;

/// Rows of a CSV file that DuckDB looks at to find out the types.
const SAMPLE: u32 = 200_000;
/// Types of columns that may be written back as they were read.
const INTEGERS: [&str; 10] = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"];

/// Whether a type of DuckDB has one way to write each of its values as text.
pub fn has_one_spelling(kind: &str) -> bool {
    kind == "VARCHAR" || kind.starts_with("ENUM") || INTEGERS.contains(&kind)
}

/// The table function that reads this file.
///
/// # Errors
/// The file is no CSV file.
pub fn reader(connection: &Connection, path: &str) -> Result<String, duckdb::Error> {
    let file = quoted(path);
    let read = |more: &str| format!("read_csv({file}, header=true, nullstr=['', 'NA'], sample_size={SAMPLE}{more})");
    let mut described = connection.prepare(&format!("DESCRIBE SELECT * FROM {}", read("")))?;
    let columns = described.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?.collect::<Result<Vec<_>, _>>()?;
    let integers: Vec<String> = columns.into_iter().filter(|(_, kind)| INTEGERS.contains(&kind.as_str())).map(|(name, _)| name).collect();
    if integers.is_empty() {
        return Ok(read(""));
    }
    let other = |name: &String| {
        let name = identifier(name);
        format!("coalesce(bool_or({name} IS DISTINCT FROM CAST(TRY_CAST({name} AS HUGEINT) AS VARCHAR)), false)")
    };
    let spelt: Vec<String> = integers.iter().map(other).collect();
    let mut looked = connection.prepare(&format!("SELECT {} FROM {}", spelt.join(", "), read(", all_varchar=true")))?;
    let mut found = looked.query([])?;
    let mut texts = Vec::new();
    if let Some(row) = found.next()? {
        for (place, name) in integers.iter().enumerate() {
            if row.get(place)? {
                texts.push(format!("{}: 'VARCHAR'", quoted(name)));
            }
        }
    }
    Ok(if texts.is_empty() { read("") } else { read(&format!(", types={{{}}}", texts.join(", "))) })
}

/// A name in SQL.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
