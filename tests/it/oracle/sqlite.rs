//! A SQLite database's fingerprint, by the sqlite3 shell.

use std::path::Path;

use crate::run::tool;

/// Definitions and rows as text. The file must be sound.
pub(crate) fn sqlite(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    let ask = |what: &str| {
        let out = tool("sqlite3", &[&"-readonly", &"-batch", &file, &what]);
        String::from_utf8_lossy(&out).into_owned()
    };
    assert_eq!(ask("PRAGMA integrity_check").trim(), "ok", "{}", file.display());
    assert_eq!(ask("PRAGMA foreign_key_check").trim(), "", "{}", file.display());
    let pragmas =
        ask("PRAGMA user_version; PRAGMA application_id; PRAGMA encoding; PRAGMA page_size");
    pragmas + &ask(".dump")
}
