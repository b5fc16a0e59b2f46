//! How the bytes of a repository are used.

use super::error::RepositoryError;
use super::index::Cursor;
use super::object::ObjectKind;
use super::pack::PackClass;
use super::repository::Repository;
use super::seen::Seen;

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
    /// Adds up what the index says; nobody needs what was not `seen`.
    pub fn usage(&self, seen: &Seen) -> Result<Usage, RepositoryError> {
        let inner = &self.inner;
        let mut usage = Usage::default();
        for name in inner.backend.list(ObjectKind::Pack)? {
            usage.pack_bytes += inner.backend.stat(ObjectKind::Pack, &name)?.unwrap_or(0);
        }
        for name in inner.backend.list(ObjectKind::Index)? {
            usage.index_bytes += inner.backend.stat(ObjectKind::Index, &name)?.unwrap_or(0);
        }
        let index = &seen.index;
        usage.packs = index.packs.len() as u64;
        let metadata = index.packs.iter().filter(|pack| pack.class == PackClass::Metadata);
        usage.metadata_packs = metadata.count() as u64;
        let failed = |error| inner.index_error(error);
        for (segment, seen) in index.segments.iter().zip(&seen.rows) {
            let table = &segment.table;
            // Of each frame: plain bytes, and how many of them are dead.
            let mut frames = vec![(0_u32, 0_u32); table.frames()];
            let mut cursor = Cursor::new(table);
            let mut number = 0;
            while let Some((_, row)) = cursor.next().map_err(failed)? {
                usage.chunks += 1;
                usage.bytes += u64::from(row.bytes);
                let frame = table.frame_number(row.pack, row.frame);
                let frame = frame.and_then(|frame| frames.get_mut(frame));
                let (plain, dead) =
                    frame.ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
                *plain = plain.saturating_add(row.bytes);
                if !seen.get(number) {
                    usage.dead_chunks += 1;
                    *dead = dead.saturating_add(row.bytes);
                }
                number += 1;
            }
            for (pack, _) in table.packs.iter().enumerate() {
                for (frame, number) in (0_u32..).zip(table.frames_of(pack)) {
                    let (plain, dead) = frames[number];
                    if dead > 0 {
                        let pack = u32::try_from(pack).expect("a place has 28 bits for packs");
                        let (_, sealed) = table.frame(pack, frame).map_err(failed)?;
                        let share = u64::from(sealed) * u64::from(dead);
                        usage.dead_pack_bytes += share / u64::from(plain.max(1));
                    }
                }
            }
        }
        Ok(usage)
    }
}
