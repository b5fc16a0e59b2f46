//! Opening the journal: never by accident a new one, never on a disk that forgets.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::os::crash::{CrashPoint, reach};
use crate::os::file;

use super::{FORMAT, Journal, JournalError, Number};

const NAME: &str = "journal.db";
/// Written beside the journal once it exists, so that a missing journal is noticed.
const WITNESS: &str = "journal.created";
const BUSY: Duration = Duration::from_mins(1);

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tx (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token BLOB NOT NULL,
    app TEXT NOT NULL,
    plan BLOB NOT NULL,
    plan_digest BLOB NOT NULL,
    format INTEGER NOT NULL,
    features TEXT NOT NULL,
    binary_version TEXT NOT NULL,
    machine_id TEXT NOT NULL
) STRICT;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tx INTEGER NOT NULL REFERENCES tx (id),
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (tx, seq)
) STRICT;
";

pub(super) fn open_or_create(state_dir: &Path) -> Result<Journal, JournalError> {
    if let Some(journal) = open(state_dir)? {
        return Ok(journal);
    }
    create(state_dir)
        .map_err(|source| JournalError::Open { path: state_dir.join(NAME), source })?;
    open(state_dir)?.ok_or_else(|| JournalError::Open {
        path: state_dir.join(NAME),
        source: "it vanished while it was being made".into(),
    })
}

pub(super) fn open(state_dir: &Path) -> Result<Option<Journal>, JournalError> {
    let path = state_dir.join(NAME);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| JournalError::Open {
        path: path.clone(),
        source,
    };
    match path.try_exists() {
        Err(error) => return Err(failed(error.into())),
        Ok(true) => {}
        Ok(false) => {
            return match witness(state_dir).map_err(|error| failed(error.into()))? {
                Some(found) => Err(JournalError::Lost { path, found }),
                None => Ok(None),
            };
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(&path, flags).map_err(|error| failed(error.into()))?;
    prepare(&db).map_err(|error| failed(error.into()))?;
    check_format(&db)?;
    let journal = Journal { db, path };
    journal.check_not_cut()?;
    Ok(Some(journal))
}

/// What in the state directory shows that a journal existed.
fn witness(state_dir: &Path) -> io::Result<Option<PathBuf>> {
    let listing = match state_dir.read_dir() {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| {
            name == WITNESS || name == "journal.db-journal" || Number::parse(name).is_some()
        });
        if ours {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn create(state_dir: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let temp = state_dir.join(format!(".snap-journal-{}", std::process::id()));
    // Made empty first: SQLite would create it readable for all.
    drop(file::create_new(&temp, 0o600)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(&temp, flags)?;
    prepare(&db)?;
    db.execute_batch(SCHEMA)?;
    db.execute("INSERT INTO meta VALUES ('format', ?1), ('features', '')", [FORMAT.to_string()])?;
    db.close().map_err(|(_, error)| error)?;
    File::open(&temp)?.sync_all()?;
    reach(CrashPoint::JournalBuilt);
    match file::rename_new(&temp, &state_dir.join(NAME)) {
        // Another process was first: its journal is as empty as ours.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            file::remove(&temp)?;
        }
        renamed => renamed?,
    }
    file::sync_dir(state_dir)?;
    reach(CrashPoint::JournalPublished);
    file::replace(state_dir, WITNESS, b"the journal beside this file was made here\n", 0o600)?;
    Ok(())
}

/// EXTRA also syncs the directory once the rollback journal is unlinked: without it a power cut
/// could bring that file back, and it would undo a committed event.
fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.execute_batch(
        "PRAGMA trusted_schema = OFF;
         PRAGMA synchronous = EXTRA;
         PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;",
    )?;
    db.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
}

fn check_format(db: &Connection) -> Result<(), JournalError> {
    let meta = |key: &str| {
        db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(JournalError::Read)
            .map(Option::<String>::unwrap_or_default)
    };
    let (format, features) = (meta("format")?.parse().unwrap_or(u32::MAX), meta("features")?);
    if format > FORMAT || !features.is_empty() {
        return Err(JournalError::TooNew { format, features });
    }
    Ok(())
}
