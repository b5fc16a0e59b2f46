//! A repository in a local directory.
//!
//! Every object is written to `tmp/`, synced, and renamed to where it belongs, never over another.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::opened::{self, Opened};
use super::temp::{Temp, Temps};
use super::{Backend, Freshness, ObjectWriter, Range, Traits};
use crate::os::crash::{CrashPoint, reach};
use crate::os::{file, limits};
use crate::repository::error::RepositoryError;
use crate::repository::object::ObjectKind;

const TEMP: &str = "tmp";
pub(super) const DIR_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;

/// A directory that holds a repository.
pub struct Local {
    root: PathBuf,
    names: Arc<Mutex<Names>>,
    temps: Temps,
    opened: Opened,
}

/// Directories with names in them that may not survive a power cut.
#[derive(Default)]
struct Names {
    unsynced: BTreeSet<PathBuf>,
    /// Their sync failed once. A later one may claim success for what the kernel has dropped, so
    /// nothing in them is ever durable for this process again.
    lost: BTreeSet<PathBuf>,
    /// The file system cannot sync a directory.
    are_unsyncable: bool,
}

impl Names {
    fn sync(&mut self, below: &Path) -> Result<(), RepositoryError> {
        if let Some(lost) = self.lost.iter().find(|dir| dir.starts_with(below)) {
            let failed = io::Error::other("an earlier sync of it failed");
            return Err(RepositoryError::io("sync", lost)(failed));
        }
        let dirs: Vec<_> =
            self.unsynced.iter().filter(|dir| dir.starts_with(below)).cloned().collect();
        for dir in dirs {
            reach(CrashPoint::DirectoryUnsynced);
            self.unsynced.remove(&dir);
            match file::sync_names(&dir) {
                Ok(synced) => self.are_unsyncable |= !synced,
                Err(error) => {
                    self.lost.insert(dir.clone());
                    return Err(RepositoryError::io("sync", dir)(error));
                }
            }
        }
        Ok(())
    }
}

impl Local {
    /// Makes the directories of a new repository in `root`, which must be absent or empty, or what
    /// an earlier attempt left that was cut short.
    pub fn create(root: &Path) -> Result<Self, RepositoryError> {
        file::create_dirs(root, DIR_MODE).map_err(RepositoryError::io("create", root))?;
        let mut entries = fs::read_dir(root).map_err(RepositoryError::io("list", root))?;
        if entries.next().is_some() {
            if !is_unfinished(root).map_err(RepositoryError::io("list", root))? {
                return Err(RepositoryError::AlreadyExists { location: root.to_owned() });
            }
            Self::unmake(root);
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
        Ok(Self::at(root))
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
        Ok(Self::at(found))
    }

    fn at(root: PathBuf) -> Self {
        let temps = Temps::new(root.join(TEMP));
        Self { root, names: Arc::default(), temps, opened: opened::none() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, kind: ObjectKind, name: &str) -> PathBuf {
        self.directory(kind, name).join(name)
    }

    fn open_object(&self, kind: ObjectKind, name: &str, stays_open: bool) -> io::Result<Arc<File>> {
        if stays_open && let Some(opened) = self.opened.get(name) {
            return Ok(opened);
        }
        let path = self.path(kind, name);
        let opened = match File::open(&path) {
            // What is open for later can wait.
            Err(error) if limits::are_reached(&error) && self.opened.clear() => File::open(path),
            other => other,
        };
        let opened = Arc::new(opened?);
        if stays_open {
            self.opened.keep(name.to_owned(), &opened, 1);
        }
        Ok(opened)
    }

    fn directory(&self, kind: ObjectKind, name: &str) -> PathBuf {
        let dir = self.root.join(kind.directory());
        match (kind, name.get(..2)) {
            (ObjectKind::Pack, Some(first)) => dir.join(first),
            _ => dir,
        }
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

struct LocalWriter {
    temp: Temp,
    kind: ObjectKind,
    to: PathBuf,
    names: Arc<Mutex<Names>>,
}

impl ObjectWriter for LocalWriter {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.temp.write(offset, bytes)
    }

    fn finish(&self) -> Result<(), RepositoryError> {
        self.temp.publish(self.kind, &self.to)?;
        remember(&self.names, &self.to);
        Ok(())
    }
}

fn remember(names: &Mutex<Names>, published: &Path) {
    if let Some(dir) = published.parent() {
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        names.unsynced.insert(dir.to_owned());
    }
}

/// Whether a directory holds nothing but what an attempt to make a repository in it left: all that is
/// ours, keys at most, and nothing that anybody could miss.
fn is_unfinished(root: &Path) -> io::Result<bool> {
    let ours = |name: &OsStr| {
        let mut names = ObjectKind::ALL.iter().map(|kind| kind.directory()).chain([TEMP]);
        names.any(|own| own == name)
    };
    let may_hold_files =
        |name: &OsStr| [TEMP, ObjectKind::Key.directory()].iter().any(|one| *one == name);
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        if !entry.file_type()?.is_dir() || !ours(&name) {
            return Ok(false);
        }
        for inside in fs::read_dir(entry.path())? {
            let inside = inside?;
            let is_dir = inside.file_type()?.is_dir();
            let is_empty = || Ok::<_, io::Error>(fs::read_dir(inside.path())?.next().is_none());
            if if is_dir { !is_empty()? } else { !may_hold_files(&name) } {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl Backend for Local {
    fn put(&self, kind: ObjectKind, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        let to = self.path(kind, name);
        let temp = self.temps.create()?;
        temp.write(0, bytes)?;
        temp.publish(kind, &to)?;
        remember(&self.names, &to);
        Ok(())
    }

    fn writer(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Box<dyn ObjectWriter>, RepositoryError> {
        let (temp, to) = (self.temps.create()?, self.path(kind, name));
        Ok(Box::new(LocalWriter { temp, kind, to, names: Arc::clone(&self.names) }))
    }

    fn read(
        &self,
        kind: ObjectKind,
        name: &str,
        range: Range,
        freshness: Freshness,
        into: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        let failed = |error| RepositoryError::io("read", self.path(kind, name))(error);
        let damaged = |what: &str| RepositoryError::Damaged {
            object: kind.named(name),
            what: what.to_owned(),
        };
        let is_part_of_pack = kind == ObjectKind::Pack && matches!(range, Range::Part { .. });
        let stays_open = is_part_of_pack && freshness == Freshness::Cached;
        let opened = match self.open_object(kind, name, stays_open) {
            Ok(opened) => opened,
            Err(error) if is_absence(&error) => return Err(damaged("it is not there")),
            Err(error) => return Err(failed(error)),
        };
        let length =
            || -> Result<u64, RepositoryError> { Ok(opened.metadata().map_err(failed)?.len()) };
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
            file::drop_cached_pages(&opened, offset, bytes as u64).map_err(failed)?;
        }
        into.resize(bytes, 0);
        match opened.read_exact_at(into, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(damaged("it is too short"))
            }
            done => done.map_err(failed),
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
        // Its room is free once nobody has it open, and nobody can open it from here on.
        self.opened.forget(name);
        remember(&self.names, &path);
        Ok(removed)
    }

    fn sync(&self, kind: ObjectKind) -> Result<(), RepositoryError> {
        let below = self.root.join(kind.directory());
        // Held to the end: whoever syncs at the same time must not return before names that it
        // relies on are durable too.
        self.names.lock().unwrap_or_else(PoisonError::into_inner).sync(&below)
    }

    fn traits(&self) -> Traits {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        Traits { is_local: true, syncs: !names.are_unsyncable, creates_only: true }
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
