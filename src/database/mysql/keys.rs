//! Which columns put a table's rows into one order, the same on every reading.

use super::catalog::TableInfo;

/// A unique index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) name: String,
    /// Place and name of each column; a functional part has no name.
    pub(super) columns: Vec<(u32, String)>,
    /// Whether only the beginning of a column counts.
    pub(super) is_partial: bool,
    /// Whether it is kept as a tree; MariaDB makes hashes of long unique keys.
    pub(super) is_tree: bool,
}

/// Gives `table` the key `index` if it orders the rows and is better than what it has: the primary
/// key, else the first in the order of names that has no NULL.
pub(super) fn choose_key(table: &mut TableInfo, index: Index) {
    let is_primary = index.name == "PRIMARY";
    let has_primary = !table.key.is_empty();
    if !orders(table, &index) || has_primary && !is_primary {
        return;
    }
    let mut columns = index.columns;
    columns.sort();
    table.key = columns.into_iter().map(|(_, name)| name).collect();
}

fn orders(table: &TableInfo, index: &Index) -> bool {
    // The rows of a partial or hashed key are sorted by what may exceed `max_sort_length`; a
    // partial primary key still decides within it, since it is at most 3,072 bytes long.
    if index.name != "PRIMARY" && (index.is_partial || !index.is_tree) {
        return false;
    }
    index.columns.iter().all(|(_, name)| {
        table.columns.iter().any(|column| column.name == *name && !column.is_nullable)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::mysql::catalog::ColumnInfo;

    fn table() -> TableInfo {
        let column = |name: &str, is_nullable| ColumnInfo {
            name: name.to_owned(),
            data_type: "int".to_owned(),
            is_generated: false,
            is_nullable,
        };
        TableInfo {
            name: "t".into(),
            table_type: "BASE TABLE".into(),
            engine: "InnoDB".into(),
            trouble: String::new(),
            options: String::new(),
            created: String::new(),
            definition: None,
            auto_increment: None,
            columns: vec![column("a", false), column("b", false), column("n", true)],
            key: vec![],
            data_bytes: 0,
        }
    }

    fn index(name: &str, columns: &[&str]) -> Index {
        let columns = (1..).zip(columns.iter().map(|name| (*name).to_owned())).collect();
        Index { name: name.into(), columns, is_partial: false, is_tree: true }
    }

    #[test]
    fn the_primary_key_is_taken_whenever_it_comes() {
        for reversed in [false, true] {
            let mut indexes = vec![index("PRIMARY", &["b", "a"]), index("u", &["a"])];
            if reversed {
                indexes.reverse();
            }
            let mut table = table();
            for index in indexes {
                choose_key(&mut table, index);
            }
            assert_eq!(table.key, ["b", "a"]);
        }
    }

    #[test]
    fn a_key_with_nulls_or_of_a_part_or_a_function_orders_nothing() {
        let mut table = table();
        choose_key(&mut table, index("u", &["a", "n"]));
        choose_key(&mut table, Index { is_partial: true, ..index("v", &["a"]) });
        choose_key(&mut table, Index { is_tree: false, ..index("w", &["a"]) });
        choose_key(&mut table, index("x", &[""]));
        assert_eq!(table.key, [""; 0]);
        choose_key(&mut table, index("y", &["a", "b"]));
        assert_eq!(table.key, ["a", "b"]);
    }
}
