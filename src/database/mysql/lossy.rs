//! Definitions that the server itself cannot spell.
//!
//! `SHOW CREATE TABLE` and `information_schema` know three bytes a character at most: in a literal
//! default, and in the labels of an ENUM or SET, an emoji becomes `?` (expressions and comments are
//! not affected). A table created from that text would be another one. Where a `?` stands, the
//! server is made to use the default or label, and the bytes that come out are looked at.

use super::catalog::Catalog;
use super::server::{Flavor, Server};
use super::session::{Session, text};
use super::text::{literal, name, qualified};
use super::token::{Dialect, Kind, tokens};
use crate::database::{DatabaseError, ObjectKind, Refusal};

const DOING: &str = "look for definitions that the server cannot spell";

/// A table that only this connection sees.
const PROBE: &str = "snap_probe_of_a_column";

/// Refuses tables whose definition comes out of the server other than it went in.
pub(super) fn judge(
    session: &mut Session,
    server: &Server,
    catalog: &Catalog,
) -> Result<(), DatabaseError> {
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {} \
         AND CHARACTER_SET_NAME IN ('utf8mb4', 'utf16', 'utf16le', 'utf32') \
         AND (COLUMN_DEFAULT LIKE '{}' AND EXTRA NOT LIKE '%DEFAULT_GENERATED%' \
         OR DATA_TYPE IN ('enum', 'set') AND COLUMN_TYPE LIKE '%?%')",
        literal(&catalog.schema),
        // MariaDB shows a literal default in quotes, and an expression without.
        if server.flavor == Flavor::MariaDb { "\\'%?%" } else { "%?%" },
    );
    let mut objects = Vec::new();
    for row in session.rows(DOING, &sql)? {
        let cells: Vec<String> = row.into_iter().map(text).collect();
        let [table, column, data_type, column_type] = cells.as_slice() else { continue };
        if !catalog.tables.iter().any(|one| one.name == *table) {
            continue;
        }
        // Without the right to make a temporary table nothing can be shown, so it is not believed.
        let source = qualified(&catalog.schema, table);
        let labels =
            if data_type == "enum" || data_type == "set" { labels(column_type) } else { 0 };
        if is_lossy(session, &source, column, data_type, labels).unwrap_or(true) {
            objects.push(Refusal {
                kind: ObjectKind::Table,
                name: table.clone(),
                why: format!("the server cannot spell the default or a label of column {column}"),
            });
        }
    }
    if objects.is_empty() { Ok(()) } else { Err(DatabaseError::Refused { objects }) }
}

fn labels(column_type: &str) -> usize {
    let found = tokens(column_type.as_bytes(), Dialect::default());
    found.iter().filter(|token| token.kind == Kind::Literal).count()
}

/// Whether a default or label holds a character of four bytes.
fn is_lossy(
    session: &mut Session,
    source: &str,
    column: &str,
    data_type: &str,
    labels: usize,
) -> Result<bool, DatabaseError> {
    session.run(DOING, &format!("DROP TEMPORARY TABLE IF EXISTS {PROBE}"))?;
    session.run(
        DOING,
        &format!(
            "CREATE TEMPORARY TABLE {PROBE} SELECT {} AS c FROM {source} LIMIT 0",
            name(column)
        ),
    )?;
    let mut values = vec!["DEFAULT".to_owned()];
    values.extend((0..labels).map(|label| match data_type {
        "set" => format!("{}", 1_u64 << label.min(63)),
        _ => format!("{}", label + 1),
    }));
    for value in values {
        // A column without a default has none to be spelled.
        let _ = session.run(DOING, &format!("INSERT INTO {PROBE} (c) VALUES ({value})"));
    }
    let sql = format!("SELECT CONVERT(c USING utf8mb4) FROM {PROBE}");
    let rows = session.rows(DOING, &sql)?;
    session.run(DOING, &format!("DROP TEMPORARY TABLE {PROBE}"))?;
    let four_bytes = |byte: &u8| *byte >= 0xf0;
    Ok(rows.into_iter().flatten().flatten().any(|value| value.iter().any(four_bytes)))
}
