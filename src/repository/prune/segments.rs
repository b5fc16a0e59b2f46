//! Index segments that name condemned packs, and what is said instead of them.

use std::collections::HashSet;

use super::groups::OldSegment;
use crate::os::volume;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::index::{Bytes, Cursor, SEGMENT_CHUNKS, Table, merge_kept};
use crate::repository::object::ObjectKind;
use crate::repository::repository::Inner;

/// About what a chunk takes in a segment: its id, its place, its part of a frame.
const CHUNK_BYTES: u64 = 48;

/// The index beside what is condemned.
pub(super) struct Segments<'a> {
    inner: &'a Inner,
    condemned: &'a HashSet<ObjectId>,
    /// The packs that segments name which stay, or which came instead of others.
    named: HashSet<ObjectId>,
}

impl<'a> Segments<'a> {
    /// Looks at all segments: those that name condemned packs.
    pub(super) fn survey(
        inner: &'a Inner,
        condemned: &'a HashSet<ObjectId>,
    ) -> Result<(Self, Vec<OldSegment>), RepositoryError> {
        let mut segments = Self { inner, condemned, named: HashSet::new() };
        let mut ids = Vec::new();
        for name in inner.backend.list(ObjectKind::Index)? {
            let Some(id) = ObjectId::parse(&name) else { continue };
            let table = segments.read(&id)?;
            if table.packs.iter().any(|pack| condemned.contains(&pack.id)) {
                ids.push(id);
            } else {
                segments.named.extend(table.packs.iter().map(|pack| pack.id));
            }
        }
        let old = ids.iter().map(|id| segments.weigh(id)).collect::<Result<_, _>>()?;
        Ok((segments, old))
    }

    /// How much must be said instead of a segment.
    fn weigh(&self, id: &ObjectId) -> Result<OldSegment, RepositoryError> {
        let table = self.read(id)?;
        let is_live: Vec<bool> = table.packs.iter().map(|pack| self.is_live(&pack.id)).collect();
        let mut live_chunks = 0;
        if is_live.contains(&true) {
            let failed = |error| self.inner.index_error(error);
            let mut cursor = Cursor::new(&table);
            while let Some((_, row)) = cursor.next().map_err(failed)? {
                live_chunks += usize::from(is_live.get(row.pack as usize) == Some(&true));
            }
        }
        let packs = table.packs.iter().map(|pack| pack.id);
        let dead = packs.filter(|pack| self.condemned.contains(pack)).collect();
        Ok(OldSegment { id: *id, dead, live_chunks })
    }

    fn is_live(&self, pack: &ObjectId) -> bool {
        !self.condemned.contains(pack) && !self.named.contains(pack)
    }

    /// As many chunks may be named by one segment now: fewer where the disk is nearly full.
    pub(super) fn chunks_max(&self) -> usize {
        let room = volume::at(&self.inner.location).map_or(u64::MAX, |at| at.free_bytes);
        let fit = usize::try_from(room / 2 / CHUNK_BYTES).unwrap_or(usize::MAX);
        if self.inner.backend.traits().is_local { fit.min(SEGMENT_CHUNKS) } else { SEGMENT_CHUNKS }
    }

    /// Publishes one segment instead of several, without what is condemned or said by others.
    /// Durable on return.
    pub(super) fn replace(&mut self, group: &[OldSegment]) -> Result<(), RepositoryError> {
        let tables = group.iter().map(|one| self.read(&one.id)).collect::<Result<Vec<_>, _>>()?;
        let mut first = Vec::with_capacity(tables.len());
        for table in &tables {
            let new = table.packs.iter().map(|pack| pack.id).filter(|id| self.is_live(id));
            let new: HashSet<ObjectId> = new.collect();
            self.named.extend(&new);
            first.push(new);
        }
        if first.iter().all(HashSet::is_empty) {
            return Ok(());
        }
        let tables: Vec<&Table> = tables.iter().collect();
        let mut body = Vec::new();
        merge_kept(&tables, &|table, id| first[table].contains(id), &mut body)
            .map_err(|error| self.inner.index_error(error))?;
        self.inner.put_sealed(ObjectKind::Index, &ObjectId::random(), &body)?;
        self.inner.backend.sync(ObjectKind::Index)
    }

    fn read(&self, id: &ObjectId) -> Result<Table, RepositoryError> {
        let body = self.inner.get_sealed(ObjectKind::Index, id)?;
        let length = body.len() as u64;
        let table = Table::open(Bytes::Memory(body), length)
            .map_err(|error| self.inner.index_error(error))?;
        table.ok_or_else(|| RepositoryError::Damaged {
            object: ObjectKind::Index.named(&id.to_string()),
            what: "its parts do not add up".to_owned(),
        })
    }
}
