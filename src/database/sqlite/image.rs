//! An exact copy of a live SQLite file, taken under SQLite's own locks.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::holders;
use crate::database::{DatabaseError, Fact};
use crate::os::file;

/// How long we wait for a writer that holds the file.
pub(super) const BUSY: Duration = Duration::from_secs(30);

/// How much is copied before other processes may write again.
const PAGES_A_STEP: i32 = 4096;

/// How often a copy is begun anew because somebody wrote; after that writers wait.
const RESTARTS_MAX: u32 = 3;

/// A private copy, removed when it is dropped.
#[derive(Debug)]
pub(super) struct ImageFile(PathBuf);

impl ImageFile {
    /// Creates an empty private file in `dir`.
    pub(super) fn create(dir: &Path) -> Result<Self, DatabaseError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("image-{}-{serial}.sqlite", std::process::id()));
        // A process that had our number may have been killed here.
        file::remove(&path).map_err(|why| io("remove", &path, why))?;
        file::create_new(&path, 0o600).map_err(|why| io("create", &path, why))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        // Scratch: what stays after a failure here is swept with the directory.
        let _ = file::remove(&self.0);
    }
}

/// Copies the live database at `live` into a new private file in `scratch_dir`.
pub(super) fn take(live: &Path, scratch_dir: &Path) -> Result<ImageFile, DatabaseError> {
    let image = ImageFile::create(scratch_dir)?;
    match copy(live, image.path(), OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // A process died while it wrote: whoever opens the file next must first undo what it left
        // half done, and that needs writing.
        Err(DatabaseError::Sqlite { source, .. }) if needs_recovery(&source) => {
            copy(live, image.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        }
        done => done?,
    }
    Ok(image)
}

fn needs_recovery(why: &rusqlite::Error) -> bool {
    let Some(code) = why.sqlite_error() else { return false };
    // SQLITE_READONLY_ROLLBACK, SQLITE_READONLY_RECOVERY, SQLITE_READONLY_CANTINIT
    matches!(code.extended_code, 776 | 264 | 1288)
}

/// Opens without ever creating: an empty database must not take the place of a missing one.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, DatabaseError> {
    if !path.exists() {
        return Err(DatabaseError::NoFile { path: path.to_owned() });
    }
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.map_err(|why| sqlite("open", path, why))?;
    connection.busy_timeout(BUSY).map_err(|why| sqlite("open", path, why))?;
    // Closing must not move the write-ahead log into a file that we were only asked to read.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|why| sqlite("open", path, why))?;
    Ok(connection)
}

fn copy(live: &Path, image: &Path, flags: OpenFlags) -> Result<(), DatabaseError> {
    let failed = |why| sqlite("copy", live, why);
    let source = open(live, flags)?;
    let mut target = Connection::open_with_flags(image, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|why| sqlite("open", image, why))?;
    // Nobody else sees the copy, and a broken one is thrown away.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(|why| sqlite("set up", image, why))?;
    let mode: String =
        source.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(failed)?;
    let holds_still = mode == "wal";
    if holds_still {
        hold(&source).map_err(failed)?;
    }
    let backup = Backup::new(&source, &mut target).map_err(failed)?;
    let (mut left, mut restarts) = (i32::MAX, 0);
    loop {
        // In a rollback journal a reader keeps writers out, so it lets go between the steps, and
        // SQLite begins anew if somebody used that. Not for ever: then one step copies all.
        let all_at_once = !holds_still && restarts >= RESTARTS_MAX;
        match backup.step(if all_at_once { -1 } else { PAGES_A_STEP }).map_err(failed)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(busy(live)),
        }
        let now = backup.progress().remaining;
        restarts += u32::from(now > left);
        left = now;
    }
}

/// Begins a read that lasts: with a write-ahead log it sees one instant and stops nobody.
fn hold(source: &Connection) -> rusqlite::Result<()> {
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Lets SQLite look at every page of a copy. What breaks no page but a promise between tables is a
/// fact: applications that never switched foreign keys on live with it.
pub(super) fn check(image: &Path, shown: &Path) -> Result<Vec<Fact>, DatabaseError> {
    let connection = open_immutable(image)?;
    let first = first_finding(&connection, "PRAGMA integrity_check(1)");
    let first = match first {
        // A collation or function that only the application has: its indexes cannot be judged.
        Err(why) if why.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            first_finding(&connection, "PRAGMA quick_check(1)")
        }
        other => other,
    };
    match first {
        Ok(ok) if ok == "ok" => {}
        Ok(says) => return Err(DatabaseError::Corrupt { path: shown.to_owned(), says }),
        Err(why) if is_damage(&why) => {
            return Err(DatabaseError::Corrupt { path: shown.to_owned(), says: why.to_string() });
        }
        Err(why) => return Err(sqlite("check", shown, why)),
    }
    let broken = broken_references(&connection).unwrap_or_default();
    Ok(broken.into_iter().map(|table| Fact::BrokenReference { table }).collect())
}

fn first_finding(connection: &Connection, pragma: &str) -> rusqlite::Result<String> {
    connection.query_row(pragma, [], |row| row.get(0))
}

fn broken_references(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    let mut tables: Vec<String> =
        check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    tables.sort();
    tables.dedup();
    Ok(tables)
}

/// Opens a copy that nobody writes, without making the files that a write-ahead log needs.
fn open_immutable(image: &Path) -> Result<Connection, DatabaseError> {
    let uri = format!("file:{}?immutable=1", uri_path(image));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags).map_err(|why| sqlite("open", image, why))
}

fn uri_path(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                out.push(char::from(*byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

pub(super) fn is_damage(why: &rusqlite::Error) -> bool {
    let code = why.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// The error for a file that stayed locked.
pub(super) fn busy(live: &Path) -> DatabaseError {
    let holders = holders::named(&holders::of(&[live]));
    DatabaseError::LockTimeout {
        wanted: format!("the lock on {}", live.display()),
        waited_s: BUSY.as_secs(),
        blocker: (!holders.is_empty()).then(|| holders.join(", ")),
    }
}

pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> DatabaseError {
    DatabaseError::Io { doing, path: path.to_owned(), source }
}

pub(super) fn sqlite(doing: &'static str, path: &Path, source: rusqlite::Error) -> DatabaseError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(path),
        _ if is_damage(&source) => {
            DatabaseError::Corrupt { path: path.to_owned(), says: source.to_string() }
        }
        _ => DatabaseError::Sqlite { doing, path: path.to_owned(), source },
    }
}
