//! How the bytes of a repository are used.

use std::collections::BTreeMap;

use super::error::RepositoryError;
use super::id::ChunkId;
use super::index::Cursor;
use super::object::ObjectKind;
use super::pack::PackClass;
use super::repository::Repository;

/// How the bytes of a repository are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packs.
    pub packs: u64,
    /// Of those, packs of metadata.
    pub metadata_packs: u64,
    /// Their bytes on disk.
    pub pack_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Chunks in the packs, one that is stored twice counted twice.
    pub chunks: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Chunks that nobody needs.
    pub dead_chunks: u64,
    /// What a prune could free at most: their share of the frames that they lie in.
    pub dead_pack_bytes: u64,
}

impl Repository {
    /// Adds up what the index says; `is_live` tells of a chunk whether somebody needs it.
    pub fn usage(&self, is_live: &dyn Fn(&ChunkId) -> bool) -> Result<Usage, RepositoryError> {
        let inner = &self.inner;
        let mut usage = Usage::default();
        for name in inner.backend.list(ObjectKind::Pack)? {
            usage.pack_bytes += inner.backend.stat(ObjectKind::Pack, &name)?.unwrap_or(0);
        }
        for name in inner.backend.list(ObjectKind::Index)? {
            usage.index_bytes += inner.backend.stat(ObjectKind::Index, &name)?.unwrap_or(0);
        }
        let index = inner.index()?;
        usage.packs = index.packs.len() as u64;
        let metadata = index.packs.iter().filter(|pack| pack.class == PackClass::Metadata);
        usage.metadata_packs = metadata.count() as u64;
        let failed = |error| inner.index_error(error);
        for segment in &index.segments {
            // Of each frame that holds something dead: plain bytes, and how many are dead.
            let mut frames: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
            let mut cursor = Cursor::new(&segment.table);
            while let Some((id, row)) = cursor.next().map_err(failed)? {
                usage.chunks += 1;
                usage.bytes += u64::from(row.bytes);
                let (plain, dead) = frames.entry((row.pack, row.frame)).or_default();
                *plain += u64::from(row.bytes);
                if !is_live(&id) {
                    usage.dead_chunks += 1;
                    *dead += u64::from(row.bytes);
                }
            }
            for ((pack, frame), (plain, dead)) in frames {
                if dead > 0 {
                    let (_, sealed) = segment.table.frame(pack, frame).map_err(failed)?;
                    usage.dead_pack_bytes += u64::from(sealed) * dead / plain.max(1);
                }
            }
        }
        Ok(usage)
    }
}
