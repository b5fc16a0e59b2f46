//! Single rows: an application's settings, and its list of migrations.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, params_from_iter};

use super::image::{open, sqlite};
use crate::database::{DatabaseError, ROWS_READ_MAX, Value, Where};

pub(super) fn read(
    path: &Path,
    table: &str,
    columns: &[&str],
    matching: &[Where<'_>],
) -> Result<Option<Vec<Vec<Value>>>, DatabaseError> {
    let failed = |why| sqlite("read a table of", path, why);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if !exists(&connection, table).map_err(failed)? {
        return Ok(None);
    }
    let wanted: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
    let (condition, values) = condition(matching, 1);
    let sql = format!("SELECT {} FROM {} WHERE {condition}", wanted.join(","), quoted(table));
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        if found.len() == ROWS_READ_MAX {
            return Err(DatabaseError::TooManyRows { table: table.to_owned() });
        }
        let cells = (0..columns.len()).map(|index| row.get_ref(index).map(spelled));
        found.push(cells.collect::<rusqlite::Result<_>>().map_err(failed)?);
    }
    Ok(Some(found))
}

pub(super) fn count(path: &Path, table: &str) -> Result<Option<u64>, DatabaseError> {
    let failed = |why| sqlite("count the rows of a table of", path, why);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if !exists(&connection, table).map_err(failed)? {
        return Ok(None);
    }
    let sql = format!("SELECT COUNT(*) FROM {}", quoted(table));
    let counted: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(failed)?;
    Ok(Some(u64::try_from(counted).unwrap_or_default()))
}

pub(super) fn write(
    path: &Path,
    table: &str,
    column: &str,
    value: Option<&[u8]>,
    matching: &[Where<'_>],
) -> Result<u64, DatabaseError> {
    let failed = |why| sqlite("write a table of", path, why);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let (condition, mut values) = condition(matching, 2);
    // A column without a declared type keeps the type of what it is given: a number that was a
    // number stays one.
    let sql = format!(
        "UPDATE {} SET {column} = CASE typeof({column}) WHEN 'integer' THEN CAST(?1 AS INTEGER) \
         WHEN 'real' THEN CAST(?1 AS REAL) WHEN 'blob' THEN CAST(?1 AS BLOB) ELSE ?1 END \
         WHERE {condition}",
        quoted(table),
        column = quoted(column),
    );
    values.insert(0, bound(value));
    let changed = connection.execute(&sql, params_from_iter(values)).map_err(failed)?;
    Ok(changed as u64)
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1";
    let found = connection.query_row(sql, [table], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// The condition, whose parameters are numbered from `first`.
fn condition<'a>(matching: &[Where<'a>], first: usize) -> (String, Vec<Box<dyn ToSql + 'a>>) {
    let mut parts = vec!["1 = 1".to_owned()];
    let mut values = Vec::new();
    for (column, value) in matching {
        match value {
            Some(value) => {
                let number = first + values.len();
                parts.push(format!("CAST({} AS TEXT) = CAST(?{number} AS TEXT)", quoted(column)));
                values.push(bound(Some(value)));
            }
            None => parts.push(format!("{} IS NULL", quoted(column))),
        }
    }
    (parts.join(" AND "), values)
}

fn bound<'a>(value: Option<&'a [u8]>) -> Box<dyn ToSql + 'a> {
    match value.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        Some(Ok(text)) => Box::new(text),
        Some(Err(bytes)) => Box::new(bytes),
        None => Box::new(rusqlite::types::Null),
    }
}

fn spelled(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
        ValueRef::Real(number) => Some(number.to_string().into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
