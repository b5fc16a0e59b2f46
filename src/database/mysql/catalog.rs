//! What a schema holds, as far as the account may see: definitions, not rows.
//!
//! Reading it never judges. A schema that is half migrated is read as well as a sound one; what
//! cannot be carried is told by [`super::refuse`].

mod info;

use std::collections::BTreeMap;

pub(super) use self::info::{ColumnInfo, TRANSACTIONAL, TableInfo, TriggerInfo, ViewInfo};
use super::definition::without_counter;
use super::keys::{Index, choose_key};
use super::session::{Session, Texts, text};
use super::text::{literal, name};
use crate::database::{DatabaseError, ObjectKind};

/// Everything in one schema that belongs to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Catalog {
    pub(super) schema: String,
    pub(super) charset: String,
    pub(super) collation: String,
    /// Sorted by name, as the rest.
    pub(super) tables: Vec<TableInfo>,
    pub(super) views: Vec<ViewInfo>,
    pub(super) triggers: Vec<TriggerInfo>,
    /// Routines, events, sequences, packages: seen, not carried.
    pub(super) others: Vec<(ObjectKind, String)>,
    /// Tables and views that lack the prefix: not ours to read or to drop.
    pub(super) foreign: Vec<String>,
}

/// Which names of a schema are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Empty for all.
    pub(super) prefix: String,
}

impl Scope {
    fn covers(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }
}

/// Names of our own making, which are never part of a state: `snap_`, eight hex digits, `_`.
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("snap_") else { return false };
    let Some((token, rest)) = rest.split_at_checked(8) else { return false };
    token.bytes().all(|byte| byte.is_ascii_hexdigit()) && rest.starts_with('_')
}

const DOING: &str = "read what the schema holds";

impl Catalog {
    /// Reads all definitions.
    pub(super) fn read(
        session: &mut Session,
        schema: &str,
        scope: &Scope,
    ) -> Result<Self, DatabaseError> {
        let sql = format!(
            "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            literal(schema)
        );
        let rows = session.rows(DOING, &sql)?.into_iter().map(texts);
        let row = rows.into_iter().find(|row| row[0] == schema);
        let [_, charset, collation] = row
            .and_then(|row| row.try_into().ok())
            .ok_or_else(|| DatabaseError::NoSchema { schema: schema.to_owned() })?;
        let mut catalog = Self {
            schema: schema.to_owned(),
            charset,
            collation,
            tables: Vec::new(),
            views: Vec::new(),
            triggers: Vec::new(),
            others: Vec::new(),
            foreign: Vec::new(),
        };
        catalog.read_names(session, scope)?;
        catalog.read_columns(session)?;
        catalog.read_keys(session)?;
        catalog.read_tables(session)?;
        catalog.read_views(session)?;
        catalog.read_triggers(session)?;
        catalog.read_others(session, scope)?;
        Ok(catalog)
    }

    /// The same without what may move while nobody changes a definition: for telling whether
    /// somebody did.
    pub(super) fn definitions_only(mut self) -> Self {
        for table in &mut self.tables {
            (table.data_bytes, table.auto_increment) = (0, None);
        }
        self
    }

    fn read_names(&mut self, session: &mut Session, scope: &Scope) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS, TABLE_COMMENT, \
             CREATE_TIME, DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
            literal(&self.schema)
        );
        for row in session.rows(DOING, &sql)? {
            let [owner, name, kind, engine, options, comment, created, bytes] = fields(row)?;
            if owner != self.schema || is_ours(&name) {
                continue;
            }
            if !scope.covers(&name) {
                self.foreign.push(name);
            } else if kind.ends_with("VIEW") {
                self.views.push(ViewInfo {
                    name,
                    definition: None,
                    client_charset: String::new(),
                    collation: String::new(),
                    warnings: Vec::new(),
                });
            } else if kind == "SEQUENCE" {
                self.others.push((ObjectKind::Sequence, name));
            } else if kind != "TEMPORARY" {
                let trouble = if engine.is_empty() { comment } else { String::new() };
                self.tables.push(TableInfo {
                    name,
                    table_type: kind,
                    engine,
                    trouble,
                    options,
                    created,
                    definition: None,
                    auto_increment: None,
                    columns: Vec::new(),
                    key: Vec::new(),
                    data_bytes: bytes.parse().unwrap_or(0),
                });
            }
        }
        self.foreign.sort();
        self.tables.sort_by(|a, b| a.name.cmp(&b.name));
        self.views.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    fn table(&mut self, name: &str) -> Option<&mut TableInfo> {
        let at = self.tables.binary_search_by(|table| table.name.as_str().cmp(name)).ok()?;
        self.tables.get_mut(at)
    }

    fn read_columns(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, EXTRA, IS_NULLABLE \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} \
             ORDER BY TABLE_NAME, ORDINAL_POSITION",
            literal(&self.schema)
        );
        for row in session.rows(DOING, &sql)? {
            let [table, name, data_type, extra, nullable] = fields(row)?;
            let extra = extra.to_uppercase();
            let is_generated = ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT"]
                .iter()
                .any(|word| extra.contains(word));
            let column = ColumnInfo {
                name,
                data_type: data_type.to_lowercase(),
                is_generated,
                is_nullable: nullable != "NO",
            };
            if let Some(table) = self.table(&table) {
                table.columns.push(column);
            }
        }
        Ok(())
    }

    fn read_keys(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART, INDEX_TYPE \
             FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} AND NON_UNIQUE = 0",
            literal(&self.schema)
        );
        let mut found: BTreeMap<(String, String), Index> = BTreeMap::new();
        for row in session.rows(DOING, &sql)? {
            let [table, name, place, column, sub_part, kind] = fields(row)?;
            let index = found.entry((table, name.clone())).or_default();
            index.name = name;
            index.columns.push((place.parse().unwrap_or(0), column));
            index.is_partial |= !sub_part.is_empty();
            index.is_tree |= kind == "BTREE";
        }
        for ((table, _), index) in found {
            if let Some(table) = self.table(&table) {
                choose_key(table, index);
            }
        }
        Ok(())
    }

    fn read_tables(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        for table in &mut self.tables {
            let sql = format!("SHOW CREATE TABLE {}", name(&table.name));
            // What cannot be read is told by the judge of a dump; a restore replaces it.
            let Some(text) = definition(session, &sql, 1)? else { continue };
            let (text, mark) = without_counter(&text);
            (table.definition, table.auto_increment) = (Some(text), mark);
        }
        Ok(())
    }

    fn read_views(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        for view in &mut self.views {
            let sql = format!("SHOW CREATE VIEW {}", name(&view.name));
            let Some(row) = definition_row(session, &sql)? else { continue };
            let mut cells = row.into_iter().skip(1);
            view.definition = cells.next().flatten();
            view.client_charset = cells.next().map(text).unwrap_or_default();
            view.collation = cells.next().map(text).unwrap_or_default();
            view.warnings = session.warnings()?;
        }
        Ok(())
    }

    fn read_triggers(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, \
             ACTION_ORDER, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}",
            literal(&self.schema)
        );
        for row in session.rows(DOING, &sql)? {
            let [trigger, table, timing, event, place, definer] = fields(row)?;
            if is_ours(&trigger) || self.table(&table).is_none() {
                continue;
            }
            let sql = format!("SHOW CREATE TRIGGER {}", name(&trigger));
            let row = definition_row(session, &sql)?.unwrap_or_default();
            let mut cells = row.into_iter().skip(1);
            let sql_mode = cells.next().map(text).unwrap_or_default();
            let definition = cells.next().flatten();
            let mut next = || cells.next().map(text).unwrap_or_default();
            self.triggers.push(TriggerInfo {
                name: trigger,
                table,
                when: format!("{timing} {event}"),
                place: place.parse().unwrap_or(0),
                definition,
                sql_mode,
                definer,
                client_charset: next(),
                collation: next(),
                schema_collation: next(),
            });
        }
        self.triggers
            .sort_by(|a, b| (&a.table, &a.when, a.place).cmp(&(&b.table, &b.when, b.place)));
        // Servers leave gaps where a trigger was dropped.
        for at in 0..self.triggers.len() {
            let (before, rest) = self.triggers.split_at_mut(at);
            let trigger = &mut rest[0];
            let same = |one: &&TriggerInfo| one.table == trigger.table && one.when == trigger.when;
            trigger.place = before.last().filter(same).map_or(1, |one| one.place + 1);
        }
        self.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    fn read_others(&mut self, session: &mut Session, scope: &Scope) -> Result<(), DatabaseError> {
        let schema = literal(&self.schema);
        let routines = format!(
            "SELECT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA = {schema}"
        );
        for row in session.rows(DOING, &routines)? {
            let [name, kind] = fields(row)?;
            let kind = match kind.as_str() {
                "PROCEDURE" => ObjectKind::Procedure,
                "FUNCTION" => ObjectKind::Function,
                _ => ObjectKind::Package,
            };
            self.others.push((kind, name));
        }
        let events = format!(
            "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {schema}"
        );
        for row in session.rows(DOING, &events)? {
            let [name] = fields(row)?;
            self.others.push((ObjectKind::Event, name));
        }
        self.others.retain(|(_, name)| scope.covers(name) && !is_ours(name));
        self.others.sort();
        self.others.dedup();
        Ok(())
    }
}

/// One column of the answer to a `SHOW CREATE`; `None` if the account may not see it, or the
/// server cannot open it.
fn definition(
    session: &mut Session,
    sql: &str,
    column: usize,
) -> Result<Option<Vec<u8>>, DatabaseError> {
    let row = definition_row(session, sql)?;
    Ok(row.and_then(|row| row.into_iter().nth(column)).flatten())
}

fn definition_row(session: &mut Session, sql: &str) -> Result<Option<Texts>, DatabaseError> {
    match session.row(DOING, sql) {
        Err(DatabaseError::Unreachable { address, source }) => {
            Err(DatabaseError::Unreachable { address, source })
        }
        other => Ok(other.ok().flatten()),
    }
}

fn texts(row: Texts) -> Vec<String> {
    row.into_iter().map(text).collect()
}

/// The fields of a row of `information_schema`, which has as many as were asked for.
fn fields<const N: usize>(row: Texts) -> Result<[String; N], DatabaseError> {
    let what = "the server's own tables";
    texts(row).try_into().map_err(|_| DatabaseError::DamagedState { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_whole_token_are_ours() {
        assert!(is_ours("snap_0123abcd_shadow"));
        for name in ["snap_shadow", "snap_0123abcd", "snap_0123abcx_y", "xsnap_0123abcd_y", "snap_"]
        {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_prefix_is_bytes_and_its_underscore_no_wildcard() {
        let scope = Scope { prefix: "wp_".to_owned() };
        assert!(scope.covers("wp_posts"));
        assert!(!scope.covers("wpxposts"));
        assert!(Scope::default().covers("anything"));
    }
}
