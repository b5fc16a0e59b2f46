//! The demo's application: `notes`, in three releases, installed with 5,000 rows.
//!
//! Everything about it is fixed, times included: two installations are equal to the last bit,
//! and so the ends of two upgrades can be compared.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use rusqlite::Connection;

use crate::os::beneath::Dir;
use crate::os::file;
use crate::os::meta::{At, Stamp};

/// A file of a release or of the operator: its path below the root, and its bytes.
pub(super) type Planned = (String, Vec<u8>);

/// The releases there are. The last one's migration fails half way.
pub(super) const INSTALLED: &str = "1.1.0";
pub(super) const GOOD: &str = "1.3.2";
pub(super) const BROKEN: &str = "1.4.0";

pub(super) const DATABASE: &str = "data/notes.db";
const PAGES: usize = 389;
const PAGES_NEW: usize = 6;
const UPLOADS: usize = 12;
const NOTES: i64 = 5_000;

/// 2026-01-05 12:00:00 UTC, and a day more for each later release.
const INSTALLED_AT: i64 = 1_767_614_400;
const DAY_SECONDS: i64 = 86_400;

const MIGRATIONS: [(&str, &str); 6] = [
    ("0001_notes.sql", include_str!("notes/migrations/0001_notes.sql")),
    ("0002_tags.sql", include_str!("notes/migrations/0002_tags.sql")),
    ("0003_uri.sql", include_str!("notes/migrations/0003_uri.sql")),
    ("0004_statistics.sql", include_str!("notes/migrations/0004_statistics.sql")),
    ("0005_titles.sql", include_str!("notes/migrations/0005_titles.sql")),
    ("0006_uri.sql", include_str!("notes/migrations/0006_uri.sql")),
];

/// What a release ships, and when it was made.
pub(super) fn release(version: &str) -> (Vec<Planned>, i64) {
    let later = version != INSTALLED;
    let (migrations, age) = match version {
        INSTALLED => (2, 0),
        GOOD => (4, 1),
        _ => (6, 2),
    };
    let mut files: Vec<Planned> = Vec::new();
    let mut add = |path: &str, text: &str| {
        files.push((path.to_owned(), text.replace("{version}", version).into_bytes()));
    };
    add("index.php", include_str!("notes/index.php"));
    add("VERSION", "{version}\n");
    add("lib/notes.php", include_str!("notes/notes.php"));
    if later {
        add("config.php.default", include_str!("notes/config-1.3.2.php.default"));
        add("mail.php.default", include_str!("notes/mail-1.3.2.php.default"));
        add("lib/statistics.php", include_str!("notes/statistics.php"));
    } else {
        add("config.php.default", include_str!("notes/config-1.1.0.php.default"));
        add("mail.php.default", include_str!("notes/mail-1.1.0.php.default"));
        add("legacy/export.php", "<?php // dropped in 1.3\n");
        add("legacy/import.php", "<?php // dropped in 1.3\n");
    }
    for (name, sql) in &MIGRATIONS[..migrations] {
        add(&format!("migrations/{name}"), sql);
    }
    let pages = if later { PAGES + PAGES_NEW } else { PAGES };
    for number in 0..pages {
        // Every fifteenth page is edited by each release after the first.
        let edition = if later && number % 15 == 0 { version } else { INSTALLED };
        add(&format!("pages/topic-{number:03}.html"), &page(number, edition));
    }
    (files, INSTALLED_AT + age * DAY_SECONDS)
}

/// What the operator has in the installation, beside the release.
pub(super) fn operators() -> Vec<Planned> {
    let mut files = vec![("config.php".to_owned(), include_str!("notes/config.php").into())];
    for number in 0..UPLOADS {
        files.push((format!("uploads/picture-{number}.bin"), noise(number, 24 * 1024)));
    }
    files
}

/// About 16 KiB of text that compresses as text does.
fn page(number: usize, edition: &str) -> String {
    const WORDS: [&str; 16] = [
        "note", "server", "backup", "the", "of", "upgrade", "page", "and", "table", "with", "user",
        "a", "file", "is", "restored", "in",
    ];
    let mut text = format!("<h1>Topic {number}, edition {edition}</h1>\n");
    let mut dice = Dice(number as u64 + 1);
    while text.len() < 16 * 1024 {
        let _ = write!(text, "{} ", WORDS[dice.below(WORDS.len())]);
        if dice.below(14) == 0 {
            let _ = writeln!(text, "{}", dice.below(100_000));
        }
    }
    text
}

/// Bytes that do not compress, as pictures.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed as u64 + 7_919);
    (0..length).map(|_| u8::try_from(dice.below(256)).expect("below 256")).collect()
}

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }
}

/// The database of a fresh 1.1.0 with its rows, as the bytes of one file.
pub(super) fn database(scratch: &Path) -> Result<Vec<u8>, rusqlite::Error> {
    let db = Connection::open(scratch)?;
    db.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; BEGIN")?;
    db.execute_batch("CREATE TABLE schema_migrations (id TEXT PRIMARY KEY) WITHOUT ROWID")?;
    for (name, sql) in &MIGRATIONS[..2] {
        db.execute_batch(sql)?;
        db.execute(
            "INSERT INTO schema_migrations (id) VALUES (?1)",
            [name.trim_end_matches(".sql")],
        )?;
    }
    let mut note = db.prepare("INSERT INTO notes VALUES (?1, ?2, ?3, ?4)")?;
    let mut tag = db.prepare("INSERT INTO tags VALUES (?1, ?2)")?;
    for (id, word) in (1..=NOTES).zip(["todo", "idea", "archive"].into_iter().cycle()) {
        let text = page(usize::try_from(id).expect("a small number"), INSTALLED);
        note.execute((id, format!("Note {id}"), &text[..400], INSTALLED_AT - id * 60))?;
        tag.execute((id, word))?;
    }
    drop((note, tag));
    db.execute_batch("COMMIT")?;
    db.close().map_err(|(_, error)| error)?;
    // SQLite wrote it, so SQLite's library need not read it: the bytes are the database.
    std::fs::read(scratch).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// How many files an installation of `version` has, its database among them.
pub(super) fn file_count(version: &str) -> usize {
    release(version).0.len() + operators().len() + 1
}

/// Whose the files are, if not the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Puts a whole installation of 1.1.0 at `root`, which must not exist.
pub(super) fn install(root: &Path, database: &[u8], owner: Option<Owner>) -> io::Result<()> {
    let (mut files, made) = release(INSTALLED);
    files.extend(operators());
    files.push((DATABASE.to_owned(), database.to_vec()));
    lay(root, &files, made, owner)?;
    file::create_dir(&root.join("cache"), 0o755)?;
    dress(&root.join("cache"), 0o755, made, owner)?;
    dress(root, 0o755, made, owner)
}

/// Puts the files of a release at `root`, as its archive would.
pub(super) fn unpack(root: &Path, version: &str) -> io::Result<()> {
    let (files, made) = release(version);
    lay(root, &files, made, None)
}

/// Writes `files` below `root`, then gives everything its owner and its time.
fn lay(root: &Path, files: &[Planned], made: i64, owner: Option<Owner>) -> io::Result<()> {
    let mut dirs = std::collections::BTreeSet::from([root.to_owned()]);
    file::create_dirs(root, 0o755)?;
    for (path, bytes) in files {
        let place = root.join(path);
        let dir = place.parent().expect("below the root").to_owned();
        if dirs.insert(dir.clone()) {
            file::create_dirs(&dir, 0o755)?;
        }
        let mut opened = file::create_new(&place, 0o644)?;
        opened.write_all(bytes)?;
        drop(opened);
        dress(&place, 0o644, made, owner)?;
    }
    // Deepest first: to write into a directory is to change its time.
    dirs.iter().rev().try_for_each(|dir| dress(dir, 0o755, made, owner))
}

fn dress(path: &Path, mode: u32, made: i64, owner: Option<Owner>) -> io::Result<()> {
    let parent = Dir::open_root(path.parent().expect("never the root directory"))?;
    let name = path.file_name().expect("a path that was made from parts");
    let handle = parent.handle(std::os::unix::ffi::OsStrExt::as_bytes(name))?;
    let at = At::Handle(&handle);
    if let Some(owner) = owner {
        at.set_owner(owner.uid, owner.gid)?;
    }
    at.set_mode(mode)?;
    at.set_mtime(Stamp { secs: made, nanos: 123_456_789 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::oracle;
    use std::collections::BTreeMap;

    #[test]
    fn the_good_release_adds_changes_and_drops_what_the_demo_says() {
        let old: BTreeMap<_, _> = release(INSTALLED).0.into_iter().collect();
        let new: BTreeMap<_, _> = release(GOOD).0.into_iter().collect();
        let added = new.keys().filter(|path| !old.contains_key(*path)).count();
        let gone = old.keys().filter(|path| !new.contains_key(*path)).count();
        let changed = new.iter().filter(|(p, b)| old.get(*p).is_some_and(|old| old != *b)).count();
        assert_eq!((added, changed, gone), (9, 30, 2));
        assert_eq!(file_count(INSTALLED), 412);
    }

    #[test]
    fn two_installations_are_equal() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(&dir.path().join("seed.db")).unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        install(&a, &database, None).unwrap();
        install(&b, &database, None).unwrap();
        assert_eq!(oracle::look(&a).unwrap(), oracle::look(&b).unwrap());
        let touched = a.join("pages/topic-001.html");
        std::fs::OpenOptions::new().append(true).open(touched).unwrap().write_all(b"x").unwrap();
        assert_ne!(oracle::look(&a).unwrap().files, oracle::look(&b).unwrap().files);
    }
}
