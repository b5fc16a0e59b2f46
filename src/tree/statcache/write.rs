//! A cache that is being written, by many threads.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use super::block::{encode_block, hash_of, key_of};
use super::tail::{self, Origin, Place};
use super::{Block, StatCache, wide};

/// A cache that is being written, by many threads.
#[derive(Debug)]
pub struct StatCacheWriter {
    pub(super) inner: Mutex<Inner>,
    /// What it follows.
    old: Option<Arc<StatCache>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) out: BufWriter<File>,
    offset: u64,
    places: Vec<Place>,
    /// Blocks of the old cache that stay as they are. They are copied at the end, if at all.
    kept: Vec<Place>,
    /// Why it will be no cache. Whoever walks a tree is told at the end, and goes on.
    pub(super) failed: Option<io::Error>,
}

/// So much is copied at once.
const COPIED_BYTES: usize = 256 * 1024;

impl Inner {
    pub(super) fn append(&mut self, head: &[u8], leaf: &[u8]) -> io::Result<(u64, u32)> {
        let length = u32::try_from(head.len() + leaf.len());
        let length = length.map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.out.write_all(head)?;
        self.out.write_all(leaf)?;
        let offset = self.offset;
        self.offset += u64::from(length);
        Ok((offset, length))
    }

    pub(super) fn append_block(&mut self, hash: u64, head: &[u8], leaf: &[u8]) -> io::Result<()> {
        let (offset, length) = self.append(head, leaf)?;
        self.places.push(Place { hash, offset, length });
        Ok(())
    }

    /// Copies all blocks of `other` to where they were: runs are known by their place.
    fn adopt_all(&mut self, other: &StatCache) -> io::Result<()> {
        self.copy(&other.file, 0, other.blocks_bytes)?;
        self.places.extend(&other.places);
        Ok(())
    }

    /// Copies the blocks of `old` that stay, those that lie side by side at once.
    fn copy_kept(&mut self, old: &StatCache) -> io::Result<()> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_unstable_by_key(|place| place.offset);
        let ends_at = |place: &Place| place.offset + u64::from(place.length);
        for side_by_side in kept.chunk_by(|a, b| ends_at(a) == b.offset) {
            let (Some(first), Some(last)) = (side_by_side.first(), side_by_side.last()) else {
                continue;
            };
            let moved = |place: &Place| place.offset - first.offset + self.offset;
            let places = side_by_side.iter().map(|place| Place { offset: moved(place), ..*place });
            self.places.extend(places);
            self.copy(&old.file, first.offset, ends_at(last) - first.offset)?;
        }
        Ok(())
    }

    fn copy(&mut self, from: &File, at: u64, bytes: u64) -> io::Result<()> {
        let mut room =
            vec![0; usize::try_from(bytes).map_or(COPIED_BYTES, |b| b.min(COPIED_BYTES))];
        let mut done = 0;
        while done < bytes {
            let part =
                usize::try_from(bytes - done).map_or(room.len(), |left| left.min(room.len()));
            from.read_exact_at(&mut room[..part], at + done)?;
            self.out.write_all(&room[..part])?;
            done += part as u64;
        }
        self.offset += bytes;
        Ok(())
    }
}

impl StatCacheWriter {
    /// Writes into `file`, which is new and empty.
    pub fn new(file: File) -> Self {
        Self::after(None, file)
    }

    /// The same; what stays as it was is taken from `old`.
    pub fn after(old: Option<Arc<StatCache>>, file: File) -> Self {
        let inner = Inner {
            out: BufWriter::with_capacity(COPIED_BYTES, file),
            offset: 0,
            places: Vec::new(),
            kept: Vec::new(),
            failed: None,
        };
        Self { inner: Mutex::new(inner), old }
    }

    /// What it follows.
    pub fn old(&self) -> Option<&StatCache> {
        self.old.as_deref()
    }

    /// Adds the block of one directory. If that fails, [`Self::finish`] says so.
    pub fn add(&self, key: &[u8], block: &Block) {
        let Block { object, entries, marks, holds_all } = block;
        let (head, leaf) = encode_block(key, object, (entries, marks), *holds_all);
        let hash = hash_of(key);
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.failed.is_none() {
            inner.failed = inner.append_block(hash, &head, &leaf).err();
        }
    }

    /// Adds the block of one directory as the old cache has it.
    pub fn add_again(&self, place: Place) {
        self.inner.lock().expect("no holder of this lock panics").kept.push(place);
    }

    /// What it follows, if it would hold just the same.
    pub fn unchanged(&self) -> Option<&Arc<StatCache>> {
        let inner = self.inner.lock().expect("no holder of this lock panics");
        let is_same = |old: &&Arc<StatCache>| {
            inner.failed.is_none() && inner.offset == 0 && inner.kept.len() == old.places.len()
        };
        self.old.as_ref().filter(is_same)
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
                Some((_, None)) => inner.append_block(place.hash, &raw, &[])?,
                Some((key, Some(wide))) => inner.adopt_wide(key, &wide, &other.file)?,
            }
        }
        Ok(())
    }

    /// Writes the rest. The file is a cache once it has its name.
    pub fn finish(self, origin: &Origin) -> io::Result<File> {
        let mut inner = self.inner.into_inner().expect("no holder of this lock panics");
        if let Some(error) = inner.failed {
            return Err(error);
        }
        if let Some(old) = &self.old {
            inner.copy_kept(old)?;
        }
        let Inner { mut out, offset, places, .. } = inner;
        out.write_all(&tail::encode(places, origin, offset))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// Ends the writing, and asks what was written.
    pub fn into_cache(self, origin: &Origin) -> io::Result<StatCache> {
        StatCache::read(self.finish(origin)?)
    }
}
