//! Temporary files: what is on its way to its name.
//!
//! Each is locked while its writer lives, so that the next run can tell litter from work in
//! progress, whatever host, container or pid wrote it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::local::{DIR_MODE, FILE_MODE, is_absence};
use crate::os::crash::{CrashPoint, reach};
use crate::os::file;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::object::ObjectKind;

/// The directory of temporary files.
pub(super) struct Temps {
    dir: PathBuf,
    swept: Once,
}

impl Temps {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, swept: Once::new() }
    }

    /// A new file, locked by us.
    pub(super) fn create(&self) -> Result<Temp, RepositoryError> {
        // Before the first write, so that opening a repository to read changes nothing in it.
        // Litter that cannot be removed harms nobody.
        self.swept.call_once(|| drop(self.sweep()));
        let dir = &self.dir;
        loop {
            let path = dir.join(ObjectId::random().to_string());
            let created = match file::create_new(&path, FILE_MODE) {
                Err(error) if is_absence(&error) => {
                    // A copy made by a tool that skips empty directories lacks it.
                    file::create_dirs(dir, DIR_MODE).map_err(RepositoryError::io("create", dir))?;
                    file::create_new(&path, FILE_MODE)
                }
                created => created,
            };
            let opened = created.map_err(RepositoryError::io("create", &path))?;
            if is_ours(&opened).map_err(RepositoryError::io("lock", &path))? {
                return Ok(Temp {
                    opened,
                    path,
                    published: AtomicBool::new(false),
                    written: AtomicU64::new(0),
                });
            }
            // Another run swept it before we could lock it: its name is spent, take another.
        }
    }

    /// Removes files whose writers are gone.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            sweep_one(&entry?.path())?;
        }
        Ok(())
    }
}

/// Locks a temporary file just created; `false` if a sweep was quicker.
fn is_ours(created: &File) -> io::Result<bool> {
    match created.try_lock() {
        Ok(()) => Ok(created.metadata()?.nlink() > 0),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        // No locks on this file system: then nothing is ever swept here either.
        Err(fs::TryLockError::Error(_)) => Ok(true),
    }
}

/// Removes one temporary file unless its writer lives.
fn sweep_one(path: &Path) -> io::Result<()> {
    let opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if opened.try_lock().is_ok() { file::remove(path).map(drop) } else { Ok(()) }
}

/// Written bytes are sent to the disk in pieces of so many.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// A file on its way to its name.
pub(super) struct Temp {
    opened: File,
    path: PathBuf,
    published: AtomicBool,
    /// Bytes so far.
    written: AtomicU64,
}

impl Temp {
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        let written = self.opened.write_all_at(bytes, offset);
        written.map_err(RepositoryError::io("write", &self.path))?;
        self.write_back(bytes.len() as u64);
        Ok(())
    }

    /// Sends the disk to work as soon as there is something worth it. Left to the kernel, nothing
    /// of a pack is written before its sync, and the disk stands idle while the next is filled.
    fn write_back(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        let (step, now) = (before / WRITE_BACK_BYTES, (before + bytes) / WRITE_BACK_BYTES);
        if now > step {
            // Frames are written nearly in order, so this is nearly all there is up to here.
            let (from, to) = (step * WRITE_BACK_BYTES, now * WRITE_BACK_BYTES);
            file::begin_writeback(&self.opened, from, to - from);
        }
    }

    /// Syncs, then renames. An error of either is final: the temporary file goes.
    pub(super) fn publish(&self, kind: ObjectKind, to: &Path) -> Result<(), RepositoryError> {
        let points = CrashesOf::kind(kind);
        reach(points.written);
        if kind != ObjectKind::Lease {
            // A lease speaks of a living process, and none outlives a power cut.
            file::sync_data(&self.opened).map_err(RepositoryError::io("sync", &self.path))?;
        }
        reach(points.synced);
        file::rename_new(&self.path, to).map_err(RepositoryError::io("create", to))?;
        self.published.store(true, Ordering::Relaxed);
        reach(points.renamed);
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !*self.published.get_mut() {
            // What stays behind is swept by the next run.
            let _ = file::remove(&self.path);
        }
    }
}

/// The crash points that an object of one kind passes.
struct CrashesOf {
    written: CrashPoint,
    synced: CrashPoint,
    renamed: CrashPoint,
}

impl CrashesOf {
    fn kind(kind: ObjectKind) -> Self {
        use CrashPoint as P;
        let [written, synced, renamed] = match kind {
            ObjectKind::Pack => [P::PackWritten, P::PackSynced, P::PackRenamed],
            ObjectKind::Index => [P::IndexWritten, P::IndexSynced, P::IndexRenamed],
            ObjectKind::Snapshot => [P::SnapshotWritten, P::SnapshotSynced, P::SnapshotRenamed],
            ObjectKind::Pin => [P::PinWritten, P::PinSynced, P::PinRenamed],
            _ => [P::ObjectWritten, P::ObjectSynced, P::ObjectRenamed],
        };
        Self { written, synced, renamed }
    }
}
