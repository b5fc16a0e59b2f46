//! A switch that is a column of some rows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::app::pending::named;
use crate::database::{Database, Value};

/// Which rows are meant, and what they are set to.
pub(super) struct Wanted<'a> {
    pub(super) database: &'a str,
    pub(super) table: String,
    pub(super) filter: &'a [(String, String)],
    pub(super) column: &'a str,
    pub(super) on: &'a str,
    pub(super) key_columns: &'a [String],
}

/// Rows, as they were before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFound {
    database: String,
    table: String,
    filter: Vec<(String, String)>,
    column: String,
    on: String,
    /// The key of each row and its value; one without a key stands for all rows.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    /// Column and value.
    key: Vec<(String, Value)>,
    before: Value,
}

pub(super) fn look(
    wanted: Wanted<'_>,
    databases: &mut [Box<dyn Database>],
) -> Result<RowFound, AppError> {
    let mut found = RowFound {
        database: wanted.database.to_owned(),
        table: wanted.table,
        filter: wanted.filter.to_vec(),
        column: wanted.column.to_owned(),
        on: wanted.on.to_owned(),
        rows: Vec::new(),
    };
    let mut columns: Vec<&str> = wanted.key_columns.iter().map(String::as_str).collect();
    columns.push(wanted.column);
    let database = named(databases, wanted.database)?;
    let rows = database.read(&found.table, &columns, &matching(&found.filter))?;
    for mut cells in rows.unwrap_or_default() {
        let before = cells.pop().flatten();
        let key = wanted.key_columns.iter().cloned().zip(cells).collect();
        found.rows.push(Row { key, before });
    }
    let what = |why: &str| AppError::SwitchFailed {
        what: format!("the rows of {}: {why}", found.table),
        source: None,
    };
    if found.rows.is_empty() {
        return Err(what("none matches"));
    }
    if wanted.key_columns.is_empty() {
        let values: BTreeSet<_> = found.rows.iter().map(|row| &row.before).collect();
        if values.len() > 1 {
            return Err(what("they differ, and no key_columns tell them apart"));
        }
        found.rows.truncate(1);
    }
    Ok(found)
}

fn matching(filter: &[(String, String)]) -> Vec<(&str, Option<&[u8]>)> {
    filter.iter().map(|(column, value)| (column.as_str(), Some(value.as_bytes()))).collect()
}

impl RowFound {
    pub(super) fn shut(&self, databases: &mut [Box<dyn Database>]) -> Result<(), AppError> {
        let database = named(databases, &self.database)?;
        let on = Some(self.on.as_bytes());
        database.write(&self.table, &self.column, on, &matching(&self.filter))?;
        Ok(())
    }

    /// A row that the migration removed needs no switching back.
    pub(super) fn put_back(&self, databases: &mut [Box<dyn Database>]) -> Result<(), AppError> {
        let database = named(databases, &self.database)?;
        for row in &self.rows {
            let mut matching = matching(&self.filter);
            let key = row.key.iter().map(|(column, value)| (column.as_str(), value.as_deref()));
            matching.extend(key);
            database.write(&self.table, &self.column, row.before.as_deref(), &matching)?;
        }
        Ok(())
    }
}
