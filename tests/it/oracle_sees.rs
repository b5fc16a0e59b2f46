//! The oracle is tried first: an oracle that sees nothing would let everything pass.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::oracle::{Skip, sqlite, tree};
use crate::run::tool;
use crate::stage::{copy, set_time, write};
use crate::{is_root, nasty};

/// One way of changing a tree.
type Change<'a> = &'a dyn Fn(&Path);

#[test]
fn a_copy_by_cp_is_equal_and_every_single_change_is_seen() {
    let dir = TempDir::new().expect("a temporary directory");
    let (original, twin) = (dir.path().join("a"), dir.path().join("b"));
    nasty::plant(&original);
    copy(&original, &twin);
    let before = tree(&original, Skip::default());
    assert_eq!(before, tree(&twin, Skip::default()), "cp -a makes an equal tree");

    let changes: &[(&str, Change)] = &[
        ("a byte", &|t| keeping_time(&t.join("one byte"), |f| fs::write(f, "y").expect("ours"))),
        ("a length", &|t| keeping_time(&t.join("one byte"), |f| fs::write(f, "").expect("ours"))),
        ("a nanosecond", &|t| set_time(&t.join("empty"), 1_500_000_000, 987_654_320)),
        ("a directory's time", &|t| set_time(&t.join("many"), 1_500_000_000, 1)),
        ("a link's time", &|t| set_time(&t.join("links/relative"), 1, 1)),
        ("a mode", &|t| {
            fs::set_permissions(t.join("empty"), fs::Permissions::from_mode(0o640)).expect("ours");
        }),
        ("an attribute", &|t| {
            tool("setfattr", &[&"-x", &"user.empty", &t.join("attributes/file")]);
        }),
        ("an ACL", &|t| {
            tool("setfacl", &[&"-x", &"u:daemon", &t.join("attributes/file")]);
        }),
        ("a link group", &|t| {
            keeping_time(&t.join("links/hard"), |_| {
                let (first, second) = (t.join("links/hard/first"), t.join("links/hard/second"));
                fs::remove_file(&second).expect("ours");
                tool("cp", &[&"-a", &first, &second]);
            });
        }),
        ("a new file", &|t| keeping_time(t, |t| write(t.join("new"), ""))),
        ("a file gone", &|t| keeping_time(t, |t| fs::remove_file(t.join("empty")).expect("ours"))),
    ];
    for (what, change) in changes {
        fs::remove_dir_all(&twin).expect("ours");
        copy(&original, &twin);
        change(&twin);
        assert_ne!(before, tree(&twin, Skip::default()), "{what} was not seen");
    }
    if is_root() {
        fs::remove_dir_all(&twin).expect("ours");
        copy(&original, &twin);
        tool("chown", &[&"-h", &"1:1", &twin.join("links/relative")]);
        assert_ne!(before, tree(&twin, Skip::default()), "an owner was not seen");
    }
}

fn keeping_time(path: &Path, change: impl Fn(&Path)) {
    use std::os::unix::fs::MetadataExt as _;
    let old = fs::symlink_metadata(path).expect("ours");
    change(path);
    set_time(path, old.mtime(), old.mtime_nsec());
}

#[test]
fn what_is_skipped_is_the_inside_of_a_directory_and_nothing_else() {
    let dir = TempDir::new().expect("a temporary directory");
    write(dir.path().join("tmp/cache/x"), "1");
    write(dir.path().join("tmpfile"), "1");
    write(dir.path().join("data/notes.db"), "1");
    let skip = Skip { inside: &["tmp"], database: &["data/notes.db"] };
    let before = tree(dir.path(), skip);
    write(dir.path().join("tmp/cache/y"), "2");
    write(dir.path().join("data/notes.db-wal"), "2");
    assert_eq!(before, tree(dir.path(), skip));
    write(dir.path().join("tmpfile"), "2");
    assert_ne!(before, tree(dir.path(), skip));
}

#[test]
fn a_changed_row_of_a_sqlite_database_is_seen() {
    let dir = TempDir::new().expect("a temporary directory");
    let file = dir.path().join("x.db");
    let run = |sql: &str| tool("sqlite3", &[&file, &sql]);
    run(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES (1, x'00ff'), (2, 'text')",
    );
    let before = sqlite(&file);
    assert_eq!(before, sqlite(&file));
    run("UPDATE t SET b = x'00fe' WHERE a = 1");
    assert_ne!(before, sqlite(&file));
}
