//! The pages of an image as chunks, and the fingerprint over them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::image::io;
use crate::database::{DatabaseError, Fingerprint};
use crate::repository::{ChunkId, Repository};

/// How much of an image one chunk holds. A multiple of every page size that SQLite knows.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What SQLite itself counts up whenever a file is written or copied: the change counter, the
/// schema cookie, the counter for which the next field is valid, and the writing library's version.
/// Two files that differ in nothing else hold the same.
const COUNTED: [std::ops::Range<usize>; 3] = [24..28, 40..44, 92..100];

/// What was read of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
    pub(super) page_bytes: u32,
}

/// Reads the image at `path` and hands every chunk to `take`, which says its id.
pub(super) fn read(
    repository: &Repository,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<ChunkId, DatabaseError>,
) -> Result<Reading, DatabaseError> {
    let mut file = File::open(path).map_err(|why| io("open", path, why))?;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut digest = Digest::new(repository);
    let mut page_bytes = 0;
    loop {
        chunk.clear();
        let limit = CHUNK_BYTES as u64;
        let read = file.by_ref().take(limit).read_to_end(&mut chunk);
        if read.map_err(|why| io("read", path, why))? == 0 {
            break;
        }
        if digest.bytes == 0 {
            page_bytes = page_size(&chunk).unwrap_or(0);
        }
        let id = take(&chunk)?;
        digest.add(repository, &chunk, id);
    }
    Ok(Reading { bytes: digest.bytes, fingerprint: digest.finish(), page_bytes })
}

/// The fingerprint of an image, chunk by chunk.
#[derive(Debug)]
pub(super) struct Digest {
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Digest {
    pub(super) fn new(repository: &Repository) -> Self {
        Self { hasher: repository.hasher("sqlite image fingerprint v1"), bytes: 0 }
    }

    /// Adds the next chunk, whose id is `id`.
    pub(super) fn add(&mut self, repository: &Repository, chunk: &[u8], id: ChunkId) {
        let counts = if self.bytes == 0 { repository.hash(&without_counters(chunk)) } else { id };
        self.hasher.update(counts.as_bytes());
        self.bytes += chunk.len() as u64;
    }

    pub(super) fn finish(mut self) -> Fingerprint {
        self.hasher.update(&self.bytes.to_le_bytes());
        *self.hasher.finalize().as_bytes()
    }
}

fn without_counters(first_chunk: &[u8]) -> Vec<u8> {
    let mut plain = first_chunk.to_vec();
    if plain.starts_with(MAGIC) {
        for range in COUNTED {
            if let Some(field) = plain.get_mut(range) {
                field.fill(0);
            }
        }
    }
    plain
}

/// The page size that a header names; `None` if it is no header.
fn page_size(header: &[u8]) -> Option<u32> {
    if !header.starts_with(MAGIC) {
        return None;
    }
    match u16::from_be_bytes([*header.get(16)?, *header.get(17)?]) {
        1 => Some(65_536),
        size => Some(size.into()),
    }
}
