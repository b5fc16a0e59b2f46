//! What is known of a table, a view, a trigger.

use crate::database::mysql::column::Spelling;

/// A base table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::database::mysql) struct TableInfo {
    pub(in crate::database::mysql) name: String,
    /// `BASE TABLE`, `SYSTEM VERSIONED` …
    pub(in crate::database::mysql) table_type: String,
    /// As the server spells it; empty if it cannot open the table.
    pub(in crate::database::mysql) engine: String,
    /// Why the server cannot open it.
    pub(in crate::database::mysql) trouble: String,
    pub(in crate::database::mysql) options: String,
    pub(in crate::database::mysql) created: String,
    /// The CREATE statement without its AUTO_INCREMENT mark; `None` if it may not be read.
    pub(in crate::database::mysql) definition: Option<Vec<u8>>,
    pub(in crate::database::mysql) auto_increment: Option<u64>,
    pub(in crate::database::mysql) columns: Vec<ColumnInfo>,
    /// The columns that order its rows; empty if nothing does.
    pub(in crate::database::mysql) key: Vec<String>,
    /// An estimate, for beginning with the largest.
    pub(in crate::database::mysql) data_bytes: u64,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::database::mysql) struct ColumnInfo {
    pub(in crate::database::mysql) name: String,
    pub(in crate::database::mysql) data_type: String,
    pub(in crate::database::mysql) is_generated: bool,
    pub(in crate::database::mysql) is_nullable: bool,
}

impl TableInfo {
    /// The columns whose values are stored, and how; `None` if one is of a type not known to us.
    pub(in crate::database::mysql) fn stored_columns(&self) -> Option<Vec<(String, Spelling)>> {
        let stored = self.columns.iter().filter(|column| !column.is_generated);
        stored.map(|column| Some((column.name.clone(), Spelling::of(&column.data_type)?))).collect()
    }

    /// Whether a snapshot of a transaction holds its rows still.
    pub(in crate::database::mysql) fn is_transactional(&self) -> bool {
        TRANSACTIONAL.iter().any(|one| one.eq_ignore_ascii_case(&self.engine))
    }
}

/// Engines whose rows a snapshot holds still.
pub(in crate::database::mysql) const TRANSACTIONAL: [&str; 2] = ["InnoDB", "ROCKSDB"];

/// A view.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::database::mysql) struct ViewInfo {
    pub(in crate::database::mysql) name: String,
    pub(in crate::database::mysql) definition: Option<Vec<u8>>,
    pub(in crate::database::mysql) client_charset: String,
    pub(in crate::database::mysql) collation: String,
    /// What the server warned of while it told the definition: 1356 is a broken view, 1449 an
    /// account that does not exist.
    pub(in crate::database::mysql) warnings: Vec<(u16, String)>,
}

/// A trigger.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::database::mysql) struct TriggerInfo {
    pub(in crate::database::mysql) name: String,
    pub(in crate::database::mysql) table: String,
    /// `BEFORE INSERT` and so on.
    pub(in crate::database::mysql) when: String,
    /// Its place among the triggers of the same table and moment, from 1.
    pub(in crate::database::mysql) place: u32,
    pub(in crate::database::mysql) definition: Option<Vec<u8>>,
    pub(in crate::database::mysql) sql_mode: String,
    pub(in crate::database::mysql) definer: String,
    pub(in crate::database::mysql) client_charset: String,
    pub(in crate::database::mysql) collation: String,
    pub(in crate::database::mysql) schema_collation: String,
}
