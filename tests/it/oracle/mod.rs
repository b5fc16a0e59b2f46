//! What is there, by tools that share nothing with `snap`: find, sha256sum, getfattr, sqlite3,
//! mariadb-dump. Two fingerprints are equal exactly when nobody could tell the two states apart.

mod mariadb;
mod sqlite;
mod tree;

pub(crate) use mariadb::schema;
pub(crate) use sqlite::sqlite;
pub(crate) use tree::{Skip, Tree, tree};

/// The lines in which two texts differ, for a failure that can be read.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let count = |text: &str| {
        let mut lines = std::collections::BTreeMap::<String, i64>::new();
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        lines
    };
    let (old, new) = (count(before), count(after));
    let short = |line: &String| line.chars().take(300).collect::<String>();
    let gone = old
        .iter()
        .filter(|(line, n)| new.get(*line) != Some(n))
        .map(|(l, _)| format!("- {}", short(l)));
    let come = new
        .iter()
        .filter(|(line, n)| old.get(*line) != Some(n))
        .map(|(l, _)| format!("+ {}", short(l)));
    gone.chain(come).take(40).collect::<Vec<_>>().join("\n")
}

/// Fails, naming the lines that differ, unless the two are the same.
#[track_caller]
pub(crate) fn same(before: &str, after: &str, when: &str) {
    assert!(before == after, "{when}:\n{}", difference(before, after));
}
