//! Where each chunk is: all index segments of the repository, opened.

mod bits;
mod build;
mod cache;
mod filter;
mod load;
mod merge;
mod search;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

pub(super) use bits::{Bits, SharedBits};
pub(super) use build::{Named, build};
pub(super) use load::Shelf;
pub(super) use merge::{Cursor, merge_kept};
pub(super) use table::{Bytes, Row, Table};

use super::id::{ChunkId, ObjectId};
use super::pack::PackClass;

/// A segment is published when so many chunks wait for it, so that a long run neither holds all
/// its ids in memory nor loses all its work to a kill. Twice as many cost 20 MB more. Nor does a
/// prune, or a repair, make longer ones: to replace one takes room for another beside it.
pub(super) const SEGMENT_CHUNKS: usize = 64 * 1024;

/// Where a chunk is. Ordered as packs are read best: by pack, then frame, then chunk.
///
/// Pack numbers hold for one opened repository, and say nothing in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The pack's number in this opened repository.
    pub pack: u32,
    /// The frame's number in the pack.
    pub frame: u32,
    /// The chunk's number in the frame.
    pub chunk: u16,
    /// The chunk's length.
    pub bytes: u32,
    pub(super) offset: u32,
    pub(super) sealed_bytes: u32,
}

/// A pack that an index segment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackRef {
    pub(super) id: ObjectId,
    pub(super) class: PackClass,
}

/// One opened segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) table: Arc<Table>,
    /// The number in [`Index::packs`] of each of the table's packs.
    pub(super) packs: Arc<[u32]>,
}

/// All opened segments. Never changed: a publication makes another one.
#[derive(Clone, Default)]
pub(super) struct Index {
    pub(super) segments: Vec<Segment>,
    pub(super) packs: Vec<PackRef>,
    numbers: HashMap<ObjectId, u32>,
}

impl Index {
    /// An index of other segments, in which packs keep the numbers that they have in this one:
    /// places that somebody holds stay true.
    pub(super) fn over(&self, tables: impl Iterator<Item = Arc<Table>>) -> Self {
        let (packs, numbers) = (self.packs.clone(), self.numbers.clone());
        let mut index = Self { segments: Vec::new(), packs, numbers };
        tables.for_each(|table| index.add(table));
        index
    }

    /// The number of the pack `id`.
    pub(super) fn number_of(&self, id: &ObjectId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    fn add(&mut self, table: Arc<Table>) {
        let mut packs = Vec::with_capacity(table.packs.len());
        for row in &table.packs {
            let next = u32::try_from(self.packs.len()).expect("a place has 28 bits for packs");
            let number = *self.numbers.entry(row.id).or_insert(next);
            if number == next {
                self.packs.push(PackRef { id: row.id, class: row.class });
            }
            packs.push(number);
        }
        self.segments.push(Segment { table, packs: packs.into() });
    }

    /// The number of a pack that holds `id`.
    pub(super) fn pack_of(&self, id: &ChunkId) -> io::Result<Option<u32>> {
        for segment in self.segments.iter().rev() {
            if let Some(row) = segment.table.first_row(id)? {
                return Ok(Some(segment.packs[row.pack as usize]));
            }
        }
        Ok(None)
    }

    /// The first place of `id` that is found.
    pub(super) fn locate(&self, id: &ChunkId) -> io::Result<Option<Place>> {
        for segment in self.segments.iter().rev() {
            if let Some(row) = segment.table.first_row(id)? {
                return segment.place(row).map(Some);
            }
        }
        Ok(None)
    }

    /// Every place of `id`: a chunk stored twice can be read though one copy is damaged.
    pub(super) fn places(&self, id: &ChunkId) -> io::Result<Vec<Place>> {
        self.each_place(id).collect()
    }

    /// The same, looked up one after the other, for whom one is mostly enough.
    pub(super) fn each_place(&self, id: &ChunkId) -> impl Iterator<Item = io::Result<Place>> {
        self.segments.iter().rev().flat_map(|segment| segment.places(id))
    }
}

impl Segment {
    fn places(&self, id: &ChunkId) -> impl Iterator<Item = io::Result<Place>> {
        let (numbers, error) = match self.table.numbers(id) {
            Ok(numbers) => (numbers, None),
            Err(error) => (0..0, Some(Err(error))),
        };
        let place = |number| self.place(self.table.row(number)?);
        numbers.map(place).chain(error)
    }

    fn place(&self, row: table::Row) -> io::Result<Place> {
        let (offset, sealed_bytes) = self.table.frame(row.pack, row.frame)?;
        Ok(Place {
            pack: self.packs[row.pack as usize],
            frame: row.frame,
            chunk: row.chunk,
            bytes: row.bytes,
            offset,
            sealed_bytes,
        })
    }
}
