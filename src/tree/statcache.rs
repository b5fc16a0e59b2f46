//! What a tree's inodes looked like when their content was last read, so that it need not be read
//! again. Local, 0600, replaced by rename unless it would hold just the same; if anything about it
//! is odd, it is as if it were absent.
//!
//! The file: blocks in no order, one for each directory (its entries as a directory object, and
//! for each a [`Mark`]; of a wide one where the [`Run`]s of its entries are) · the places of the blocks, sorted by the hash of the directory's path ·
//! what it is a cache of · where those two begin, and a checksum over them.

mod block;
mod held;
mod tail;
mod wide;
mod write;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Entry, Kind, Mtime};
use crate::os::meta::{At, Inode, Stamp, Stat};
use crate::os::{clock, file};
use crate::repository::ChunkId;

use self::block::{decode_block, hash_of};
pub use self::held::Held;
use self::tail::Tail;
pub use self::tail::{Origin, Place, root_of};
pub use self::wide::{Listed, Recalled, Run, Wide};
pub use self::write::StatCacheWriter;

/// The key of the block that holds the root itself, as one entry; a directory's key is its path.
pub const ROOT_KEY: &[u8] = b"/";

/// The part of a `stat` that tells whether a file may have changed, as far as its entry does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The true time of modification: the entry's may be left out.
    pub mtime: Stamp,
    /// The time of the last change of any sort.
    pub ctime: Stamp,
    /// Which inode.
    pub inode: Inode,
    /// How many names it has.
    pub links: u32,
    /// It may have changed right after it was read, within the same tick of the clock: read again.
    pub is_racy: bool,
}

/// The entries of a directory, with a mark for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The id of its directory object.
    pub object: ChunkId,
    /// Sorted by name.
    pub entries: Vec<Entry>,
    /// One for each entry.
    pub marks: Vec<Mark>,
    /// Each name that the directory had when it was listed has an entry here.
    pub holds_all: bool,
}

/// A cache that can be asked.
#[derive(Debug)]
pub struct StatCache {
    file: File,
    origin: Origin,
    /// Sorted by hash.
    places: Vec<Place>,
    /// Where the blocks end.
    blocks_bytes: u64,
}

impl Mark {
    /// The mark of an inode that was read after `stat`; `began` is when the walk began.
    pub fn new(stat: &Stat, began: Stamp) -> Self {
        let (mtime, ctime, inode, links) = (stat.mtime, stat.ctime, stat.inode, stat.links);
        let is_racy = is_young(mtime, began) || is_young(ctime, began);
        Self { mtime, ctime, inode, links, is_racy }
    }

    /// The mark of an entry that is not looked at.
    pub const fn nothing() -> Self {
        let never = Stamp { secs: 0, nanos: 0 };
        let inode = Inode { dev: 0, ino: 0 };
        Self { mtime: never, ctime: never, inode, links: 0, is_racy: true }
    }

    fn is_of(&self, stat: &Stat) -> bool {
        self.mtime == stat.mtime && self.ctime == stat.ctime && self.inode == stat.inode
    }

    /// Whether the inode that `entry` describes is, by all that stat tells, still as it was.
    pub fn fits(&self, entry: &Entry, stat: &Stat) -> bool {
        self.is_of(stat)
            && entry.meta.mode == stat.mode
            && entry.meta.uid == stat.uid
            && entry.meta.gid == stat.gid
            && entry.kind.size().is_none_or(|size| size == stat.size)
            && entry.kind.file_kind() == Some(stat.kind)
    }
}

/// Whether a change right after the walk began could carry the same stamp. File systems that count
/// in whole seconds, or in pairs of them, show no nanoseconds.
fn is_young(stamp: Stamp, began: Stamp) -> bool {
    if stamp.nanos == 0 { stamp.secs.saturating_add(2) >= began.secs } else { stamp >= began }
}

impl From<Stamp> for Mtime {
    fn from(stamp: Stamp) -> Self {
        Self { secs: stamp.secs, nanos: stamp.nanos }
    }
}

impl From<Mtime> for Stamp {
    fn from(mtime: Mtime) -> Self {
        Self { secs: mtime.secs, nanos: mtime.nanos }
    }
}

impl StatCache {
    /// Opens the cache at `path`; `None` if there is none for `source` that can be believed.
    pub fn open(path: &Path, source: &[u8; 32]) -> Option<Self> {
        let file = File::open(path).ok()?;
        // Whoever tidies up leaves alone what is in use; what is gone already can be read still.
        let _ = file.try_lock_shared();
        let cache = Self::read(file).ok()?;
        (cache.origin.source == *source).then_some(cache)
    }

    /// What it is of.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is remembered of one directory.
    pub fn recall(&self, key: &[u8]) -> Option<Recalled> {
        let hash = hash_of(key);
        let first = self.places.partition_point(|place| place.hash < hash);
        let mut fitting = self.places[first..].iter().take_while(|place| place.hash == hash);
        fitting.find_map(|place| {
            let raw = wide::read_at(&self.file, place.offset, place.length).ok()?;
            decode_block(&raw, key, *place).ok().flatten()
        })
    }

    /// The object of the root, if that is a directory: whoever has it has all that is named here.
    pub fn root_object(&self) -> Option<ChunkId> {
        match self.recall(ROOT_KEY)? {
            Recalled::Whole(held) if !held.is_empty() => match held.entry(0).kind {
                Kind::Directory { object } => Some(object),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is what lies at `path` now.
    pub fn is_at(&self, path: &Path) -> bool {
        let inode = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let both = (self.file.metadata().map(inode), path.symlink_metadata().map(inode));
        matches!(both, (Ok(own), Ok(there)) if own == there)
    }

    /// Notes that it was of use: what nobody uses is removed one day.
    pub fn touch(&self) -> io::Result<()> {
        At::Open(self.file.as_fd()).set_mtime(Stamp::from_nanos(clock::now().0))
    }

    /// The entries of one directory, however wide.
    pub fn list(&self, key: &[u8]) -> Option<Listed<'_>> {
        Some(Listed::new(self, self.recall(key)?))
    }

    /// Some entries of a wide directory.
    pub fn run(&self, run: &Run) -> Option<Block> {
        run.read(&self.file).ok()
    }

    fn read(file: File) -> io::Result<Self> {
        let Tail { origin, places, blocks_bytes } = Tail::of(&file)?;
        Ok(Self { file, origin, places, blocks_bytes })
    }
}

/// Creates a file for a cache beside its place, under a name that nobody else uses. What killed
/// processes left there goes.
pub fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    if serial == 0 {
        remove_orphans(path);
    }
    let temp = path.with_extension(format!("new-{pid}-{serial}"));
    file::remove(&temp)?; // of a process with our number, killed at this
    Ok((file::create_new(&temp, 0o600)?, temp))
}

/// Removes unfinished caches of processes that are gone. If it cannot be done, they lie there.
fn remove_orphans(path: &Path) {
    let listing = path.parent().and_then(|dir| dir.read_dir().ok());
    for entry in listing.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.split_once(".new-"));
        let maker = maker.and_then(|(_, rest)| rest.split('-').next()?.parse::<u32>().ok());
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = file::remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
