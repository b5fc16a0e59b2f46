//! What a tree's inodes looked like when their content was last read, so that it need not be read
//! again. Local, 0600, replaced by rename; if anything about it is odd, it is as if it were absent.
//!
//! The file: blocks in no order, one for each directory (its entries as a directory object, and
//! for each a [`Mark`]; of a wide one where the [`Run`]s of its entries are) · the places of the blocks, sorted by the hash of the directory's path ·
//! what it is a cache of · where those two begin, and a checksum over them.

mod block;
mod wide;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::wire::{Reader, Writer};
use super::{BadObject, Entry, Mtime};
use crate::os::file;
use crate::os::meta::{Inode, Stamp, Stat};
use crate::repository::{ChunkId, ObjectId};

use self::block::{decode_block, encode_block, hash_of, key_of};
pub use self::wide::{Recalled, Run, Wide};

const MAGIC: [u8; 8] = *b"snapst2\n";
const TRAILER_BYTES: usize = 8 + 8 + 8 + 32 + 8;
const PLACE_BYTES: usize = 8 + 8 + 4;

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
}

/// What the cache is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The snapshot that was taken. Its chunks exist while it is listed.
    pub snapshot: Option<ObjectId>,
    /// The boot of the machine: after a crash, stat data and bytes may disagree.
    pub boot_id: String,
    /// Tells this root and repository from others.
    pub source: [u8; 32],
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hash: u64,
    offset: u64,
    length: u32,
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

    /// Whether the inode that `entry` describes is, by all that stat tells, still as it was.
    pub fn fits(&self, entry: &Entry, stat: &Stat) -> bool {
        self.mtime == stat.mtime
            && self.ctime == stat.ctime
            && self.inode == stat.inode
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
        let cache = Self::read(File::open(path).ok()?).ok()?;
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
            decode_block(raw, key).ok().flatten()
        })
    }

    /// The block of one directory, however wide.
    pub fn block(&self, key: &[u8]) -> Option<Block> {
        match self.recall(key)? {
            Recalled::Whole { block, .. } => Some(block),
            Recalled::Wide(wide) => wide.whole(self),
        }
    }

    /// Some entries of a wide directory.
    pub fn run(&self, run: &Run) -> Option<Block> {
        run.read(&self.file).ok()
    }

    fn read(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let trailer_at = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(bad)?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let mut from = Reader(&trailer);
        let mut number = || from.array().map(u64::from_le_bytes).map_err(|_| bad());
        let (places_at, count, origin_at) = (number()?, number()?, number()?);
        let checksum: [u8; 32] = from.array().map_err(|_| bad())?;
        let magic: [u8; 8] = from.array().map_err(|_| bad())?;
        let places_bytes = count.checked_mul(PLACE_BYTES as u64).ok_or_else(bad)?;
        let fits =
            places_at.checked_add(places_bytes) == Some(origin_at) && origin_at <= trailer_at;
        if magic != MAGIC || !fits {
            return Err(bad());
        }
        let mut tail = vec![0; usize::try_from(trailer_at - places_at).map_err(|_| bad())?];
        file.read_exact_at(&mut tail, places_at)?;
        if blake3::hash(&tail) != checksum {
            return Err(bad());
        }
        let mut from = Reader(&tail);
        let places = (0..count).map(|_| Place::decode(&mut from));
        let places = places.collect::<Result<_, _>>().map_err(|_| bad())?;
        let origin = Origin::decode(&mut from).map_err(|_| bad())?;
        Ok(Self { file, origin, places, blocks_bytes: places_at })
    }
}

/// A cache that is being written, by many threads.
#[derive(Debug)]
pub struct StatCacheWriter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    out: BufWriter<File>,
    offset: u64,
    places: Vec<Place>,
    /// Why it will be no cache. Whoever walks a tree is told at the end, and goes on.
    failed: Option<io::Error>,
}

impl Inner {
    fn append(&mut self, head: &[u8], leaf: &[u8]) -> io::Result<(u64, u32)> {
        let length = u32::try_from(head.len() + leaf.len());
        let length = length.map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.out.write_all(head)?;
        self.out.write_all(leaf)?;
        let offset = self.offset;
        self.offset += u64::from(length);
        Ok((offset, length))
    }

    fn append_block(&mut self, key: &[u8], head: &[u8], leaf: &[u8]) -> io::Result<()> {
        let (offset, length) = self.append(head, leaf)?;
        self.places.push(Place { hash: hash_of(key), offset, length });
        Ok(())
    }

    /// Copies all blocks of `other` to where they were: runs are known by their place.
    fn adopt_all(&mut self, other: &StatCache) -> io::Result<()> {
        let mut room = vec![0; 256 * 1024];
        while self.offset < other.blocks_bytes {
            let left = usize::try_from(other.blocks_bytes - self.offset).unwrap_or(room.len());
            let part = left.min(room.len());
            other.file.read_exact_at(&mut room[..part], self.offset)?;
            self.out.write_all(&room[..part])?;
            self.offset += part as u64;
        }
        self.places.extend(&other.places);
        Ok(())
    }
}

impl StatCacheWriter {
    /// Writes into `file`, which is new and empty.
    pub fn new(file: File) -> Self {
        let out = BufWriter::with_capacity(256 * 1024, file);
        Self { inner: Mutex::new(Inner { out, offset: 0, places: Vec::new(), failed: None }) }
    }

    /// Adds the block of one directory. If that fails, [`Self::finish`] says so.
    pub fn add(&self, key: &[u8], object: &ChunkId, entries: &[Entry], marks: &[Mark]) {
        let (head, leaf) = encode_block(key, object, entries, marks);
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.failed.is_none() {
            inner.failed = inner.append_block(key, &head, &leaf).err();
        }
    }

    /// Adds the block of one directory as another cache had it.
    pub fn add_again(&self, key: &[u8], raw: &[u8]) {
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.failed.is_none() {
            inner.failed = inner.append_block(key, raw, &[]).err();
        }
    }

    /// Takes over the blocks of `other`, as they are, but for directories that have one already.
    pub fn adopt(&self, other: &StatCache) -> io::Result<()> {
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.offset == 0 {
            return inner.adopt_all(other);
        }
        let have: HashSet<u64> = inner.places.iter().map(|place| place.hash).collect();
        for place in other.places.iter().filter(|place| !have.contains(&place.hash)) {
            let raw = wide::read_at(&other.file, place.offset, place.length)?;
            match key_of(&raw) {
                None => {}
                Some((key, None)) => inner.append_block(key, &raw, &[])?,
                Some((key, Some(wide))) => inner.adopt_wide(key, &wide, &other.file)?,
            }
        }
        Ok(())
    }

    /// Writes the rest. The file is a cache once it has its name.
    pub fn finish(self, origin: &Origin) -> io::Result<File> {
        let inner = self.inner.into_inner().expect("no holder of this lock panics");
        let Inner { mut out, offset, mut places, failed } = inner;
        if let Some(error) = failed {
            return Err(error);
        }
        places.sort_unstable();
        let mut tail = Writer::default();
        for place in &places {
            tail.raw(&place.hash.to_le_bytes());
            tail.raw(&place.offset.to_le_bytes());
            tail.raw(&place.length.to_le_bytes());
        }
        let origin_at = offset + tail.0.len() as u64;
        origin.encode(&mut tail);
        let checksum = blake3::hash(&tail.0);
        tail.raw(&offset.to_le_bytes());
        tail.raw(&(places.len() as u64).to_le_bytes());
        tail.raw(&origin_at.to_le_bytes());
        tail.raw(checksum.as_bytes());
        tail.raw(&MAGIC);
        out.write_all(&tail.0)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// Ends the writing, and asks what was written.
    pub fn into_cache(self, origin: &Origin) -> io::Result<StatCache> {
        StatCache::read(self.finish(origin)?)
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

impl Place {
    fn decode(from: &mut Reader<'_>) -> Result<Self, BadObject> {
        Ok(Self {
            hash: u64::from_le_bytes(from.array()?),
            offset: u64::from_le_bytes(from.array()?),
            length: u32::from_le_bytes(from.array()?),
        })
    }
}

impl Origin {
    fn encode(&self, out: &mut Writer) {
        out.bytes(self.snapshot.as_ref().map_or(&[][..], |id| id.as_bytes()));
        out.bytes(self.boot_id.as_bytes());
        out.raw(&self.source);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, BadObject> {
        let snapshot = <[u8; 32]>::try_from(from.bytes("origin")?).ok().map(ObjectId::from_bytes);
        let boot_id = String::from_utf8_lossy(from.bytes("origin")?).into_owned();
        Ok(Self { snapshot, boot_id, source: from.array()? })
    }
}

#[cfg(test)]
mod tests;
