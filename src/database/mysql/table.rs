//! Single rows: an application's settings, and its list of migrations.

use mysql::prelude::Queryable;
use mysql::{Params, Row};

use super::session::{Door, Purpose, code_in};
use super::text::name;
use crate::database::{DatabaseError, ROWS_READ_MAX, Value, Where};

const NO_SUCH_TABLE: u16 = 1146;

pub(super) fn read(
    door: &Door,
    table: &str,
    columns: &[&str],
    matching: &[Where<'_>],
) -> Result<Option<Vec<Vec<Value>>>, DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let wanted: Vec<_> =
        columns.iter().map(|column| format!("CAST({} AS BINARY)", name(column))).collect();
    let (condition, values) = condition(matching);
    let limit = ROWS_READ_MAX + 1;
    let sql = format!(
        "SELECT {} FROM {} WHERE {condition} LIMIT {limit}",
        wanted.join(", "),
        name(table)
    );
    let doing = format!("read table {table}");
    let read: Result<Vec<Row>, _> = session.conn().exec(sql, parameters(values));
    let rows = match read.map_err(|why| session.failed(&doing, why)) {
        Err(why) if code_in(&why) == Some(NO_SUCH_TABLE) => return Ok(None),
        rows => rows?,
    };
    if rows.len() > ROWS_READ_MAX {
        return Err(DatabaseError::TooManyRows { table: table.to_owned() });
    }
    let cell = |value| match value {
        mysql::Value::Bytes(bytes) => Some(bytes),
        _ => None,
    };
    Ok(Some(rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect()))
}

pub(super) fn count(door: &Door, table: &str) -> Result<Option<u64>, DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let counted: Result<Option<u64>, _> =
        session.conn().query_first(format!("SELECT COUNT(*) FROM {}", name(table)));
    match counted.map_err(|why| session.failed(&format!("count table {table}"), why)) {
        Err(why) if code_in(&why) == Some(NO_SUCH_TABLE) => Ok(None),
        counted => counted,
    }
}

pub(super) fn write(
    door: &Door,
    table: &str,
    column: &str,
    value: Option<&[u8]>,
    matching: &[Where<'_>],
) -> Result<u64, DatabaseError> {
    let mut session = door.open(Purpose::Define)?;
    let (condition, values) = condition(matching);
    let doing = format!("write table {table}");
    // Counted apart: the server's own count leaves out rows that had the value already.
    let count = format!("SELECT COUNT(*) FROM {} WHERE {condition} FOR UPDATE", name(table));
    let update = format!("UPDATE {} SET {} = ? WHERE {condition}", name(table), name(column));
    session.run(&doing, "SET SESSION sql_mode = 'STRICT_ALL_TABLES', autocommit = 0")?;
    let matched: Result<Option<u64>, _> =
        session.conn().exec_first(count, parameters(values.clone()));
    let matched = matched.map_err(|why| session.failed(&doing, why))?.unwrap_or(0);
    let mut all = vec![bound(value)];
    all.extend(values);
    let updated = session.conn().exec_drop(update, parameters(all));
    updated.map_err(|why| session.failed(&doing, why))?;
    session.run(&doing, "COMMIT")?;
    Ok(matched)
}

fn condition(matching: &[Where<'_>]) -> (String, Vec<mysql::Value>) {
    let mut parts = vec!["1 = 1".to_owned()];
    let mut values = Vec::new();
    for (column, value) in matching {
        if value.is_some() {
            // Bytes by bytes: a collation would let `Key` be `key`.
            parts.push(format!("CAST({} AS BINARY) = CAST(? AS BINARY)", name(column)));
            values.push(bound(*value));
        } else {
            parts.push(format!("{} IS NULL", name(column)));
        }
    }
    (parts.join(" AND "), values)
}

fn bound(value: Option<&[u8]>) -> mysql::Value {
    value.map_or(mysql::Value::NULL, |bytes| mysql::Value::Bytes(bytes.to_vec()))
}

fn parameters(values: Vec<mysql::Value>) -> Params {
    if values.is_empty() { Params::Empty } else { Params::Positional(values) }
}
