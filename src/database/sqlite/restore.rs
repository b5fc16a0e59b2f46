//! Puts a stored image in the place of a live SQLite file.
//!
//! ```text
//! image written aside, synced, read back, checked by SQLite, digest compared
//! nobody else has the live file open; it is locked; asked again
//! its log is moved into it and every file beside it removed, so none can be replayed on the image
//! image renamed into place, directory synced
//! ```
//! Killed anywhere it is begun anew, and the image aside is written again.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::image::{busy, check, io, is_damage, sqlite};
use super::{holders, pages};
use crate::database::state::{self, Image, decode_refs};
use crate::database::{DatabaseError, Fingerprint, ObjectKind};
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};
use crate::os::file;
use crate::os::meta::{At, is_root};
use crate::repository::{ChunkId, Repository};

/// Makes `live` what `image` holds; the fingerprint of what is there then.
pub(super) fn restore(
    repository: &Repository,
    image: &Image,
    wanted: &Fingerprint,
    live: &Path,
    monitor: &dyn Monitor,
) -> Result<Fingerprint, DatabaseError> {
    let aside = aside_of(live);
    file::remove(&aside).map_err(|why| io("remove", &aside, why))?;
    let written = file::create_new(&aside, 0o600).map_err(|why| io("create", &aside, why))?;
    write_image(repository, image, written, &aside, monitor)?;
    let same = pages::read(repository, &aside, |chunk| Ok(repository.hash(chunk)))?.fingerprint;
    if same != *wanted {
        return Err(mismatch(live));
    }
    check(&aside, live)?;
    clear_the_way(live)?;
    file::rename_over(&aside, live).map_err(|why| io("replace", live, why))?;
    reach(CrashPoint::ImageRenamed);
    let dir = parent_of(live);
    file::sync_dir(dir).map_err(|why| io("sync", dir, why))?;
    // Read where it lies now, past SQLite: nobody has it open and no log lies beside it.
    let live_now = pages::read(repository, live, |chunk| Ok(repository.hash(chunk)))?.fingerprint;
    if live_now == *wanted { Ok(live_now) } else { Err(mismatch(live)) }
}

/// Writes the chunks of `image` to `path` and tells how many bytes there were.
pub(super) fn write_chunks(
    repository: &Repository,
    image: &Image,
    file: &mut File,
    path: &Path,
    mut told: impl FnMut(u64),
) -> Result<(), DatabaseError> {
    for list in &image.lists {
        let list = repository.get(&ChunkId::from_bytes(list.0))?;
        for one in decode_refs(&list)? {
            let chunk = repository.get(&one.id)?;
            file.write_all(&chunk).map_err(|why| io("write", path, why))?;
            told(chunk.len() as u64);
        }
    }
    Ok(())
}

fn write_image(
    repository: &Repository,
    image: &Image,
    mut written: File,
    aside: &Path,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let count = |bytes| monitor.count(Counter::BytesWritten, bytes);
    write_chunks(repository, image, &mut written, aside, count)?;
    put_metadata(image, At::Open(written.as_fd()))
        .map_err(|why| io("set the owner of", aside, why))?;
    reach(CrashPoint::ImageWritten);
    written.sync_all().map_err(|why| io("sync", aside, why))?;
    // What is read back must come from the disk.
    let forgotten =
        written.metadata().and_then(|meta| file::drop_cached_pages(&written, 0, meta.len()));
    forgotten.map_err(|why| io("sync", aside, why))?;
    reach(CrashPoint::ImageSynced);
    Ok(())
}

fn put_metadata(image: &Image, at: At<'_>) -> std::io::Result<()> {
    let stat = at.stat()?;
    if (stat.uid, stat.gid) != (image.uid, image.gid) {
        at.set_owner(image.uid, image.gid)?;
    }
    at.set_mode(image.mode)?;
    for state::Xattr { name, value } in &image.xattrs {
        let privileged = name.starts_with(b"security.") || name.starts_with(b"trusted.");
        match at.set_xattr(name, value) {
            // Labels that only root may set: a restore by somebody else gets the default ones.
            Err(_) if privileged && !is_root() => {}
            done => done?,
        }
    }
    Ok(())
}

/// Sees to it that no other process, log or journal can touch what is about to be put there.
fn clear_the_way(live: &Path) -> Result<(), DatabaseError> {
    let mut family = vec![live.to_owned()];
    family.extend(beside(live));
    refuse_if_held(live, &family)?;
    let lock = if live.exists() { lock(live)? } else { None };
    // Somebody may have come between the question and the lock; from the lock on nobody gets far.
    refuse_if_held(live, &family)?;
    // As the last connection it moves the log into the file: the two never lie apart, whatever
    // a crash leaves. The locks go with it, for SQLite will not hold them over a rename.
    drop(lock);
    for path in beside(live) {
        file::remove(&path).map_err(|why| io("remove", &path, why))?;
    }
    let dir = parent_of(live);
    file::sync_dir(dir).map_err(|why| io("sync", dir, why))?;
    reach(CrashPoint::ImageWayCleared);
    Ok(())
}

fn refuse_if_held(live: &Path, family: &[PathBuf]) -> Result<(), DatabaseError> {
    let paths: Vec<&Path> = family.iter().map(PathBuf::as_path).collect();
    let holders = holders::named(&holders::of(&paths));
    if holders.is_empty() {
        return Ok(());
    }
    Err(DatabaseError::Held { path: live.to_owned(), holders })
}

/// An exclusive lock on the live file; `None` if it is no database any more, so that nobody could
/// be using it as one.
fn lock(live: &Path) -> Result<Option<Connection>, DatabaseError> {
    let opened = Connection::open_with_flags(live, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = opened.map_err(|why| sqlite("open", live, why))?;
    let locked = connection
        .busy_timeout(super::image::BUSY)
        .and_then(|()| connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"))
        .and_then(|()| connection.execute_batch("COMMIT"));
    match locked {
        Ok(()) => Ok(Some(connection)),
        Err(why) if is_damage(&why) => Ok(None),
        Err(why) if is_busy(&why) => Err(busy(live)),
        Err(why) => Err(sqlite("lock", live, why)),
    }
}

fn is_busy(why: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(why.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// The files that SQLite keeps beside a database.
pub(super) fn beside(live: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = live.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Where the image waits for its rename: a name with a token, which no digest counts; always the
/// same, so that one that a kill left is found again.
pub(super) fn aside_of(live: &Path) -> PathBuf {
    let name = live.file_name().unwrap_or_default();
    let token: String = blake3::hash(name.as_bytes()).to_hex().chars().take(8).collect();
    parent_of(live).join(format!(".snap-{token}-image"))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn mismatch(live: &Path) -> DatabaseError {
    let name = live.display().to_string();
    DatabaseError::Mismatch { kind: ObjectKind::Image, name, what: "its pages" }
}
