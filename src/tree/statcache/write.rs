//! A cache that is being written, by many threads.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::block::{encode_block, hash_of, key_of};
use super::tail::{self, Origin, Place};
use super::{Mark, StatCache, wide};
use crate::repository::ChunkId;
use crate::tree::Entry;

/// A cache that is being written, by many threads.
#[derive(Debug)]
pub struct StatCacheWriter {
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) out: BufWriter<File>,
    offset: u64,
    places: Vec<Place>,
    /// Why it will be no cache. Whoever walks a tree is told at the end, and goes on.
    pub(super) failed: Option<io::Error>,
}

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

    pub(super) fn append_block(&mut self, key: &[u8], head: &[u8], leaf: &[u8]) -> io::Result<()> {
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
        let Inner { mut out, offset, places, failed } = inner;
        if let Some(error) = failed {
            return Err(error);
        }
        out.write_all(&tail::encode(places, origin, offset))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// Ends the writing, and asks what was written.
    pub fn into_cache(self, origin: &Origin) -> io::Result<StatCache> {
        StatCache::read(self.finish(origin)?)
    }
}
