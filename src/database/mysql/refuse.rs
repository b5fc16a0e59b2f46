//! What cannot be carried, by name and with the reason, before anything starts.

use super::catalog::{Catalog, TableInfo, TriggerInfo, ViewInfo};
use super::definition::option_words;
use super::server::Server;
use crate::database::{DatabaseError, ObjectKind, Refusal};

/// Engines whose tables hold their own rows.
const ENGINES: [&str; 8] =
    ["InnoDB", "MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "BLACKHOLE", "ROCKSDB"];

/// A definition this long could not be sent back in one statement by every server.
const DEFINITION_BYTES_MAX: usize = 900 * 1024;

/// A broken view, in the server's words.
const VIEW_INVALID: u16 = 1356;

/// Client character sets in which a byte of a character may look like a quote or a backslash.
const AMBIGUOUS: [&str; 5] = ["big5", "cp932", "gbk", "sjis", "gb18030"];

/// Judges a catalog before a dump.
pub(super) fn judge(catalog: &Catalog, server: &Server, prefix: &str) -> Result<(), DatabaseError> {
    if !catalog.foreign.is_empty() {
        return Err(DatabaseError::SharedSchema {
            schema: catalog.schema.clone(),
            prefix: prefix.to_owned(),
            names: catalog.foreign.clone(),
        });
    }
    unreadable(catalog)?;
    let mut objects: Vec<Refusal> = catalog.tables.iter().filter_map(table).collect();
    objects.extend(catalog.views.iter().filter_map(|one| view(one, server)));
    objects.extend(catalog.triggers.iter().filter_map(|one| trigger(one, server)));
    let others = catalog.others.iter();
    objects.extend(others.map(|(kind, name)| refusal(*kind, name, "not carried yet")));
    if objects.is_empty() { Ok(()) } else { Err(DatabaseError::Refused { objects }) }
}

/// The first definition that the account may not read.
fn unreadable(catalog: &Catalog) -> Result<(), DatabaseError> {
    let tables = catalog.tables.iter().filter(|one| !one.engine.is_empty());
    let all = tables
        .map(|one| (ObjectKind::Table, &one.name, &one.definition))
        .chain(catalog.views.iter().map(|one| (ObjectKind::View, &one.name, &one.definition)))
        .chain(
            catalog.triggers.iter().map(|one| (ObjectKind::Trigger, &one.name, &one.definition)),
        );
    for (kind, name, definition) in all {
        if definition.is_none() {
            return Err(DatabaseError::UnreadableDefinition { kind, name: name.clone() });
        }
    }
    Ok(())
}

fn refusal(kind: ObjectKind, name: &str, why: impl Into<String>) -> Refusal {
    Refusal { kind, name: name.to_owned(), why: why.into() }
}

fn table(table: &TableInfo) -> Option<Refusal> {
    why_not_table(table).map(|why| refusal(ObjectKind::Table, &table.name, why))
}

fn why_not_table(table: &TableInfo) -> Option<String> {
    if table.engine.is_empty() {
        return Some(format!("the server cannot open it: {}", table.trouble));
    }
    if table.table_type == "SYSTEM VERSIONED" {
        return Some("system-versioned".to_owned());
    }
    if table.table_type != "BASE TABLE" {
        return Some(format!("of the kind {}", table.table_type));
    }
    if !ENGINES.iter().any(|one| one.eq_ignore_ascii_case(&table.engine)) {
        return Some(format!("engine {}", table.engine));
    }
    if table.options.to_lowercase().contains("partitioned") {
        return Some("partitioned".to_owned());
    }
    let text = table.definition.as_deref().unwrap_or_default();
    if text.len() > DEFINITION_BYTES_MAX {
        return Some("its definition is too long".to_owned());
    }
    let words = option_words(text);
    let has =
        |first: &str, second: &str| words.windows(2).any(|two| two[0] == first && two[1] == second);
    if has("DATA", "DIRECTORY") || has("INDEX", "DIRECTORY") {
        return Some("kept in a directory of its own".to_owned());
    }
    if has("SYSTEM", "VERSIONING") {
        return Some("system-versioned".to_owned());
    }
    let stored: Vec<_> = table.columns.iter().filter(|column| !column.is_generated).collect();
    if stored.is_empty() {
        return Some("all its columns are generated".to_owned());
    }
    let unknown = table.stored_columns().is_none();
    let unknown = stored
        .iter()
        .filter(|_| unknown)
        .find(|column| super::column::Spelling::of(&column.data_type).is_none());
    unknown.map(|column| format!("column {} has type {}", column.name, column.data_type))
}

fn view(view: &ViewInfo, server: &Server) -> Option<Refusal> {
    let text = view.definition.as_deref().unwrap_or_default();
    let broken = view.warnings.iter().any(|(code, _)| *code == VIEW_INVALID);
    let why = if broken {
        Some("it refers to something that is not there".to_owned())
    } else {
        why_not_text(text, &view.client_charset, server)
    };
    why.map(|why| refusal(ObjectKind::View, &view.name, why))
}

fn trigger(trigger: &TriggerInfo, server: &Server) -> Option<Refusal> {
    let text = trigger.definition.as_deref().unwrap_or_default();
    let why = why_not_text(text, &trigger.client_charset, server);
    why.map(|why| refusal(ObjectKind::Trigger, &trigger.name, why))
}

/// Whether a text in its creator's character set can be sent again.
fn why_not_text(text: &[u8], charset: &str, server: &Server) -> Option<String> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Some("its definition is too long".to_owned());
    }
    if text.is_ascii() {
        return None;
    }
    let is_utf8 = std::str::from_utf8(text).is_ok();
    let is_safe = !AMBIGUOUS.contains(&charset);
    if is_safe && (is_utf8 || server.runs_foreign_text()) {
        return None;
    }
    Some(format!("its text is in the character set {charset}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::mysql::catalog::ColumnInfo;
    use crate::database::mysql::server::Flavor;

    fn server(flavor: Flavor) -> Server {
        let version = [10, 11, 6];
        Server { flavor, version, shown: String::new(), packet_bytes_max: 1 << 24 }
    }

    fn empty() -> Catalog {
        Catalog {
            schema: "app".into(),
            charset: String::new(),
            collation: String::new(),
            tables: vec![],
            views: vec![],
            triggers: vec![],
            others: vec![],
            foreign: vec![],
        }
    }

    type Change = fn(&mut TableInfo);

    fn sound() -> TableInfo {
        TableInfo {
            name: "t".into(),
            table_type: "BASE TABLE".into(),
            engine: "InnoDB".into(),
            trouble: String::new(),
            options: String::new(),
            created: String::new(),
            definition: Some(b"CREATE TABLE `t` (`a` int) ENGINE=InnoDB".to_vec()),
            auto_increment: None,
            columns: vec![ColumnInfo {
                name: "a".into(),
                data_type: "int".into(),
                is_generated: false,
                is_nullable: true,
            }],
            key: vec![],
            data_bytes: 0,
        }
    }

    #[test]
    fn each_table_that_cannot_be_carried_is_named_with_its_reason() {
        assert_eq!(why_not_table(&sound()), None);
        let cases: [(&str, Change); 7] = [
            ("partitioned", |t| t.options = "partitioned".into()),
            ("system-versioned", |t| t.table_type = "SYSTEM VERSIONED".into()),
            ("engine FEDERATED", |t| t.engine = "FEDERATED".into()),
            ("engine MRG_MyISAM", |t| t.engine = "MRG_MyISAM".into()),
            ("kept in a directory of its own", |t| {
                t.definition = Some(b"CREATE TABLE `t` (`a` int) DATA DIRECTORY='/x'".to_vec());
            }),
            ("column a has type xmltype", |t| t.columns[0].data_type = "xmltype".into()),
            ("the server cannot open it: gone", |t| {
                (t.engine, t.trouble) = (String::new(), "gone".into());
            }),
        ];
        for (why, change) in cases {
            let mut table = sound();
            change(&mut table);
            assert_eq!(why_not_table(&table).as_deref(), Some(why));
        }
    }

    #[test]
    fn all_refusals_are_told_at_once() {
        let mut catalog = empty();
        catalog.tables = vec![TableInfo { engine: "CONNECT".into(), ..sound() }];
        catalog.others = vec![(ObjectKind::Event, "e".into()), (ObjectKind::Sequence, "s".into())];
        let refused = judge(&catalog, &server(Flavor::MariaDb), "");
        let Err(DatabaseError::Refused { objects }) = refused else { panic!("{refused:?}") };
        assert_eq!(objects.len(), 3);
        let said = DatabaseError::Refused { objects }.to_string();
        assert!(said.contains("table t (engine CONNECT)") && said.contains("event e"), "{said}");
    }

    #[test]
    fn a_table_without_the_prefix_makes_the_schema_shared() {
        let catalog = Catalog { foreign: vec!["other".into()], ..empty() };
        let refused = judge(&catalog, &server(Flavor::MariaDb), "oc_");
        assert!(matches!(refused, Err(DatabaseError::SharedSchema { .. })), "{refused:?}");
    }

    #[test]
    fn a_definition_that_may_not_be_read_is_an_error_of_its_own() {
        let catalog =
            Catalog { tables: vec![TableInfo { definition: None, ..sound() }], ..empty() };
        let refused = judge(&catalog, &server(Flavor::MariaDb), "");
        assert!(matches!(refused, Err(DatabaseError::UnreadableDefinition { .. })), "{refused:?}");
    }

    #[test]
    fn text_that_cannot_be_sent_again_is_refused() {
        let (maria, mysql) = (server(Flavor::MariaDb), server(Flavor::MySql));
        assert_eq!(why_not_text("é".as_bytes(), "utf8mb4", &mysql), None);
        assert_eq!(why_not_text(b"\xe9", "latin1", &maria), None);
        assert!(why_not_text(b"\xe9", "latin1", &mysql).is_some());
        assert!(why_not_text(b"\x81\x5c", "sjis", &maria).is_some());
        assert_eq!(why_not_text(b"plain", "sjis", &mysql), None);
    }
}
