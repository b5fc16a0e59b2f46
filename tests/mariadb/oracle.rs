//! What others say a schema holds: nothing here is shared with the product.

use std::process::Command;

use crate::world::{socket, sql};

/// Everything that the server's own tools tell of a schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) dump: String,
    pub(crate) checksums: String,
    pub(crate) information: String,
}

/// Looks at `schema`; its name is taken out, so that two schemas can be compared.
pub(crate) fn look(schema: &str) -> Seen {
    let plain = |text: String| text.replace(schema, "SCHEMA");
    Seen {
        dump: plain(dump(schema)),
        checksums: plain(checksums(schema)),
        information: plain(information(schema)),
    }
}

/// Fails with the first lines that differ.
pub(crate) fn assert_same(what: &str, before: &Seen, after: &Seen) {
    for (tool, before, after) in [
        ("mariadb-dump", &before.dump, &after.dump),
        ("CHECKSUM TABLE", &before.checksums, &after.checksums),
        ("information_schema", &before.information, &after.information),
    ] {
        let mut lines = before.lines().zip(after.lines());
        if let Some((old, new)) = lines.find(|(old, new)| old != new) {
            panic!("{what}: {tool} differs:\n- {old}\n+ {new}");
        }
        assert_eq!(before.len(), after.len(), "{what}: {tool} is longer or shorter");
    }
}

fn dump(schema: &str) -> String {
    let done = Command::new("mariadb-dump")
        .args(["--no-defaults", "--user=root", "--skip-dump-date", "--skip-comments"])
        .args(["--hex-blob", "--order-by-primary", "--routines", "--events", "--triggers"])
        .args(["--skip-extended-insert", "--complete-insert", "--skip-lock-tables"])
        .arg("--default-character-set=utf8mb4")
        .arg("--socket")
        .arg(socket())
        .arg(schema)
        .output()
        .expect("mariadb-dump is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn checksums(schema: &str) -> String {
    let tables = sql(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = '{schema}' AND TABLE_TYPE = 'BASE TABLE' ORDER BY 1"
    ));
    let names: Vec<_> =
        tables.lines().map(|name| format!("`{schema}`.`{}`", name.replace('`', "``"))).collect();
    if names.is_empty() {
        return String::new();
    }
    sql(&format!("CHECKSUM TABLE {} EXTENDED", names.join(", ")))
}

fn information(schema: &str) -> String {
    let of = |columns: &str, table: &str, owner: &str| {
        sql(&format!(
            "SELECT '{table}', {columns} FROM information_schema.{table} \
             WHERE {owner} = '{schema}' ORDER BY 1, 2, 3, 4"
        ))
    };
    [
        of("DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, 1", "SCHEMATA", "SCHEMA_NAME"),
        of(
            "TABLE_NAME, TABLE_TYPE, ENGINE, ROW_FORMAT, AUTO_INCREMENT, TABLE_COLLATION, \
             CREATE_OPTIONS, TABLE_COMMENT",
            "TABLES",
            "TABLE_SCHEMA",
        ),
        of(
            "TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, HEX(COLUMN_DEFAULT), IS_NULLABLE, \
             COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_KEY, EXTRA, COLUMN_COMMENT, \
             GENERATION_EXPRESSION",
            "COLUMNS",
            "TABLE_SCHEMA",
        ),
        of(
            "TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE, SUB_PART, INDEX_TYPE, \
             INDEX_COMMENT",
            "STATISTICS",
            "TABLE_SCHEMA",
        ),
        of(
            "TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE",
            "REFERENTIAL_CONSTRAINTS",
            "CONSTRAINT_SCHEMA",
        ),
        of(
            "TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME",
            "KEY_COLUMN_USAGE",
            "TABLE_SCHEMA",
        ),
        of("TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE", "CHECK_CONSTRAINTS", "CONSTRAINT_SCHEMA"),
        of(
            "TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, DEFINER, SECURITY_TYPE, \
             CHARACTER_SET_CLIENT, COLLATION_CONNECTION, ALGORITHM",
            "VIEWS",
            "TABLE_SCHEMA",
        ),
        of(
            "TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_TIMING, \
             ACTION_STATEMENT, SQL_MODE, DEFINER, CHARACTER_SET_CLIENT, \
             COLLATION_CONNECTION, DATABASE_COLLATION",
            "TRIGGERS",
            "TRIGGER_SCHEMA",
        ),
        of("ROUTINE_NAME, ROUTINE_TYPE, 1", "ROUTINES", "ROUTINE_SCHEMA"),
    ]
    .join("\n")
}
