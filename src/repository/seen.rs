//! Which chunks were met, one bit each.

use std::sync::Arc;

use super::error::RepositoryError;
use super::id::ChunkId;
use super::index::{Bits, Index};
use super::repository::{Inner, Repository};

/// Which chunks of a repository were met: a bit for each row of its index, where a set of ids would
/// take three hundred times as much.
pub struct Seen {
    inner: Arc<Inner>,
    pub(super) index: Arc<Index>,
    /// For each segment.
    pub(super) rows: Vec<Bits>,
}

impl Repository {
    /// Nothing is met yet. Chunks that others store from now on do not count.
    pub fn nothing_seen(&self) -> Result<Seen, RepositoryError> {
        let index = self.inner.index()?;
        let rows = index.segments.iter().map(|one| Bits::new(one.table.chunks)).collect();
        Ok(Seen { inner: Arc::clone(&self.inner), index, rows })
    }
}

impl Seen {
    /// Meets a chunk: its length, if it was not met before.
    pub fn meet(&mut self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        let failed = |error| self.inner.index_error(error);
        let mut bytes = None;
        for (number, segment) in self.index.segments.iter().enumerate() {
            for row in segment.table.numbers(id).map_err(failed)? {
                if self.rows[number].get(row) {
                    return Ok(None);
                }
                // Each of its copies: whoever needs the chunk needs none of them in particular.
                self.rows[number].set(row);
                bytes = Some(segment.table.row(row).map_err(failed)?.bytes);
            }
        }
        bytes.map(Some).ok_or(RepositoryError::MissingChunk { id: *id })
    }
}
