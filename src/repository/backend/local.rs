//! A repository in a local directory.
//!
//! Every object is written to `tmp/`, synced, and renamed to where it belongs, never over another.
//! A temporary file is locked while its writer lives, so that the next run can tell litter from
//! work in progress, whatever host, container or pid wrote it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};

use super::{Backend, Freshness, ObjectWriter, Range, Traits};
use crate::os::crash::{CrashPoint, reach};
use crate::os::file;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::object::ObjectKind;

const TEMP: &str = "tmp";
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory that holds a repository.
pub struct Local {
    root: PathBuf,
    /// Directories with names that may not survive a power cut yet.
    unsynced: Arc<Mutex<BTreeSet<PathBuf>>>,
    swept: Once,
}

impl Local {
    /// Makes the directories of a new repository in `root`, which must be absent or empty.
    pub fn create(root: &Path) -> Result<Self, RepositoryError> {
        file::create_dirs(root, DIR_MODE).map_err(RepositoryError::io("create", root))?;
        let mut entries = fs::read_dir(root).map_err(RepositoryError::io("list", root))?;
        if entries.next().is_some() {
            return Err(RepositoryError::AlreadyExists { location: root.to_owned() });
        }
        let make = |dir: PathBuf| {
            file::create_dir(&dir, DIR_MODE).map_err(RepositoryError::io("create", dir))
        };
        make(root.join(TEMP))?;
        for kind in ObjectKind::ALL {
            make(root.join(kind.directory()))?;
        }
        // Made now, so that no backup has to sync the parent of a pack's directory.
        let packs = root.join(ObjectKind::Pack.directory());
        for first in 0..=255_u8 {
            make(packs.join(format!("{first:02x}")))?;
        }
        let root = root.canonicalize().map_err(RepositoryError::io("find", root))?;
        let parent = root.parent().unwrap_or(&root);
        for dir in [&packs, &root, parent] {
            file::sync_dir(dir).map_err(RepositoryError::io("sync", dir))?;
        }
        Ok(Self { root, unsynced: Arc::default(), swept: Once::new() })
    }

    /// Removes what [`Self::create`] made in `root`, as far as possible.
    pub(in crate::repository) fn unmake(root: &Path) {
        let made = ObjectKind::ALL.iter().map(|kind| kind.directory()).chain([TEMP]);
        for dir in made {
            let _ = file::remove_dir_all(&root.join(dir));
        }
    }

    /// Opens the directory of a repository.
    pub fn open(root: &Path) -> Result<Self, RepositoryError> {
        let not_found = || RepositoryError::NotFound { location: root.to_owned() };
        let found = match root.canonicalize() {
            Ok(found) => found,
            Err(error) if is_absence(&error) => return Err(not_found()),
            Err(error) => return Err(RepositoryError::io("open", root)(error)),
        };
        if !found.join(ObjectKind::Config.directory()).is_dir() {
            return Err(not_found());
        }
        Ok(Self { root: found, unsynced: Arc::default(), swept: Once::new() })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes temporary files whose writers are gone; how many there were.
    fn sweep(&self) -> Result<u64, RepositoryError> {
        let temp = self.root.join(TEMP);
        let mut swept = 0;
        let entries = match fs::read_dir(&temp) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(0),
            Err(error) => return Err(RepositoryError::io("list", temp)(error)),
        };
        for entry in entries {
            let path = entry.map_err(RepositoryError::io("list", &temp))?.path();
            swept += u64::from(sweep_one(&path).map_err(RepositoryError::io("remove", &path))?);
        }
        Ok(swept)
    }

    fn path(&self, kind: ObjectKind, name: &str) -> PathBuf {
        self.directory(kind, name).join(name)
    }

    fn directory(&self, kind: ObjectKind, name: &str) -> PathBuf {
        let dir = self.root.join(kind.directory());
        match (kind, name.get(..2)) {
            (ObjectKind::Pack, Some(first)) => dir.join(first),
            _ => dir,
        }
    }

    fn temp(&self) -> Result<Temp, RepositoryError> {
        // Before the first write, so that opening a repository to read changes nothing in it.
        // Litter that cannot be removed harms nobody.
        self.swept.call_once(|| drop(self.sweep()));
        let dir = self.root.join(TEMP);
        loop {
            let path = dir.join(ObjectId::random().to_string());
            let created = match file::create_new(&path, FILE_MODE) {
                Err(error) if is_absence(&error) => {
                    // A copy made by a tool that skips empty directories lacks it.
                    file::create_dirs(&dir, DIR_MODE)
                        .map_err(RepositoryError::io("create", &dir))?;
                    file::create_new(&path, FILE_MODE)
                }
                created => created,
            };
            let opened = created.map_err(RepositoryError::io("create", &path))?;
            if is_ours(&opened).map_err(RepositoryError::io("lock", &path))? {
                return Ok(Temp { opened, path, published: AtomicBool::new(false) });
            }
            // Another run swept it before we could lock it: its name is spent, take another.
        }
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

/// Removes one temporary file unless its writer lives; whether it did.
fn sweep_one(path: &Path) -> io::Result<bool> {
    let opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) if is_absence(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    if opened.try_lock().is_ok() { file::remove(path) } else { Ok(false) }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A file on its way to its name.
struct Temp {
    opened: File,
    path: PathBuf,
    published: AtomicBool,
}

impl Temp {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.opened.write_all_at(bytes, offset).map_err(RepositoryError::io("write", &self.path))
    }

    /// Syncs, then renames. An error of either is final: the temporary file goes.
    fn publish(&self, kind: ObjectKind, to: &Path) -> Result<(), RepositoryError> {
        let points = CrashesOf::kind(kind);
        reach(points.written);
        if kind != ObjectKind::Lease {
            // A lease speaks of a living process, and none outlives a power cut.
            self.opened.sync_data().map_err(RepositoryError::io("sync", &self.path))?;
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

struct LocalWriter {
    temp: Temp,
    kind: ObjectKind,
    to: PathBuf,
    unsynced: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl ObjectWriter for LocalWriter {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.temp.write(offset, bytes)
    }

    fn finish(&self) -> Result<(), RepositoryError> {
        self.temp.publish(self.kind, &self.to)?;
        remember(&self.unsynced, &self.to);
        Ok(())
    }
}

fn remember(unsynced: &Mutex<BTreeSet<PathBuf>>, published: &Path) {
    if let Some(dir) = published.parent() {
        unsynced.lock().expect("no holder of this lock panics").insert(dir.to_owned());
    }
}

impl Backend for Local {
    fn put(&self, kind: ObjectKind, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        let to = self.path(kind, name);
        let temp = self.temp()?;
        temp.write(0, bytes)?;
        temp.publish(kind, &to)?;
        remember(&self.unsynced, &to);
        Ok(())
    }

    fn writer(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Box<dyn ObjectWriter>, RepositoryError> {
        let (temp, to) = (self.temp()?, self.path(kind, name));
        Ok(Box::new(LocalWriter { temp, kind, to, unsynced: Arc::clone(&self.unsynced) }))
    }

    fn read(
        &self,
        kind: ObjectKind,
        name: &str,
        range: Range,
        freshness: Freshness,
        into: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        let path = self.path(kind, name);
        let damaged = |what: &str| RepositoryError::Damaged {
            object: kind.named(name),
            what: what.to_owned(),
        };
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if is_absence(&error) => return Err(damaged("it is not there")),
            Err(error) => return Err(RepositoryError::io("read", path)(error)),
        };
        let length = || -> Result<u64, RepositoryError> {
            Ok(opened.metadata().map_err(RepositoryError::io("read", &path))?.len())
        };
        let (offset, bytes) = match range {
            Range::Part { offset, bytes } => (offset, bytes as u64),
            Range::All => (0, length()?),
            Range::Tail { bytes } => {
                let length = length()?;
                let bytes = length.min(bytes as u64);
                (length - bytes, bytes)
            }
        };
        let bytes = usize::try_from(bytes).map_err(|_| damaged("it is too long"))?;
        if freshness == Freshness::Medium {
            file::drop_cached_pages(&opened, offset, bytes as u64)
                .map_err(RepositoryError::io("read", &path))?;
        }
        into.resize(bytes, 0);
        match opened.read_exact_at(into, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(damaged("it is too short"))
            }
            done => done.map_err(RepositoryError::io("read", path)),
        }
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<String>, RepositoryError> {
        let dir = self.root.join(kind.directory());
        let mut names = Vec::new();
        if kind == ObjectKind::Pack {
            for first in list_names(&dir)? {
                names.extend(list_names(&dir.join(first))?);
            }
        } else {
            names = list_names(&dir)?;
        }
        names.sort_unstable();
        Ok(names)
    }

    fn stat(&self, kind: ObjectKind, name: &str) -> Result<Option<u64>, RepositoryError> {
        let path = self.path(kind, name);
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(RepositoryError::io("read", path)(error)),
        }
    }

    fn remove(&self, kind: ObjectKind, name: &str) -> Result<bool, RepositoryError> {
        let path = self.path(kind, name);
        let removed = file::remove(&path).map_err(RepositoryError::io("remove", &path))?;
        remember(&self.unsynced, &path);
        Ok(removed)
    }

    fn sync(&self, kind: ObjectKind) -> Result<(), RepositoryError> {
        let below = self.root.join(kind.directory());
        let dirs: Vec<PathBuf> = {
            let mut unsynced = self.unsynced.lock().expect("no holder of this lock panics");
            let (ours, rest) =
                std::mem::take(&mut *unsynced).into_iter().partition(|dir| dir.starts_with(&below));
            *unsynced = rest;
            let ours: BTreeSet<PathBuf> = ours;
            ours.into_iter().collect()
        };
        for dir in dirs {
            reach(CrashPoint::DirectoryUnsynced);
            file::sync_dir(&dir).map_err(RepositoryError::io("sync", dir))?;
        }
        Ok(())
    }

    fn traits(&self) -> Traits {
        Traits { is_local: true, syncs: true, creates_only: true }
    }
}

/// The names in `dir`; none if it is absent, as in a copy made without empty directories.
fn list_names(dir: &Path) -> Result<Vec<String>, RepositoryError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(RepositoryError::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RepositoryError::io("list", dir))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
