//! Several tables made into one, streamed: memory does not grow with what is merged.
//!
//! ```text
//! head and frames: one table after the other, pack and frame numbers moved up
//! each table by itself: count the buckets, fill the filter
//! two passes over all ids in order: write the ids; write the places
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, Write};
use std::ops::Range;

use super::build::{Fanout, Shape};
use super::filter::Filter;
use super::table::{Column, Row, Table};
use crate::repository::id::{ChunkId, ObjectId};

/// Writes a table that names everything `tables` name; the filter of its ids.
pub(super) fn merge(tables: &[&Table], out: &mut dyn Write) -> io::Result<Filter> {
    let mut filter = Filter::new(tables.iter().map(|table| table.chunks).sum());
    write(tables, &|_, _| true, &mut |id| filter.add(id), out)?;
    Ok(filter)
}

/// Whether a pack stays: the number of the table, and the pack's name.
pub(in crate::repository) type Stays<'a> = dyn Fn(usize, &ObjectId) -> bool + 'a;

/// Writes a table that names everything `tables` name of the packs that stay; how many packs.
pub(in crate::repository) fn merge_kept(
    tables: &[&Table],
    stays: &Stays<'_>,
    out: &mut dyn Write,
) -> io::Result<usize> {
    write(tables, stays, &mut |_| {}, out)
}

/// Writes one table of several; `note` is told each id, in no order. How many packs it names.
fn write(
    tables: &[&Table],
    stays: &Stays<'_>,
    note: &mut dyn FnMut(&ChunkId),
    out: &mut dyn Write,
) -> io::Result<usize> {
    let mut shape = Shape::default();
    // For each pack of each table its new number, if it stays.
    let mut renumbered: Vec<Vec<Option<u32>>> = Vec::with_capacity(tables.len());
    let mut packs = 0_u32;
    for (number, table) in tables.iter().enumerate() {
        let mut of_table = Vec::with_capacity(table.packs.len());
        for (index, pack) in table.packs.iter().enumerate() {
            let new = stays(number, &pack.id).then_some(packs);
            if new.is_some() {
                shape.pack(pack.id, pack.class);
                shape.frames += table.frames_of(index).len();
                packs = packs.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
            }
            of_table.push(new);
        }
        renumbered.push(of_table);
    }
    let new_pack = |row: Row, from: usize| {
        renumbered[from].get(row.pack as usize).copied().ok_or(io::ErrorKind::InvalidData)
    };
    let is_whole = renumbered.iter().flatten().all(Option::is_some);
    shape.chunks = if is_whole {
        tables.iter().map(|table| table.chunks).sum()
    } else {
        let mut kept = 0;
        one_by_one(tables, &mut |_, row, from| {
            kept += usize::from(new_pack(row, from)?.is_some());
            Ok(())
        })?;
        kept
    };
    let mut fanout = Fanout::new(shape.chunks);
    one_by_one(tables, &mut |id, row, from| {
        if new_pack(row, from)?.is_some() {
            fanout.count(id);
            note(id);
        }
        Ok(())
    })?;
    out.write_all(&shape.head(fanout.bits))?;
    for (table, of_table) in tables.iter().zip(&renumbered) {
        for (index, _) in of_table.iter().enumerate().filter(|(_, new)| new.is_some()) {
            copy_frames(table, table.frames_of(index), out)?;
        }
    }
    out.write_all(&fanout.encode())?;
    in_order(tables, &mut |id, row, from| match new_pack(row, from)? {
        Some(_) => out.write_all(id.as_bytes()),
        None => Ok(()),
    })?;
    in_order(tables, &mut |_, row, from| match new_pack(row, from)? {
        Some(pack) => out.write_all(&Row { pack, ..row }.encode()),
        None => Ok(()),
    })?;
    Ok(packs as usize)
}

fn copy_frames(table: &Table, frames: Range<usize>, out: &mut dyn Write) -> io::Result<()> {
    let mut block = [0; 8 * 512];
    let mut first = frames.start;
    while first < frames.end {
        let count = (frames.end - first).min(512);
        let block = &mut block[..8 * count];
        table.read_column(Column::Frames, first, block)?;
        out.write_all(block)?;
        first += count;
    }
    Ok(())
}

type Visit<'a> = dyn FnMut(&ChunkId, Row, usize) -> io::Result<()> + 'a;

/// Visits the rows of all tables, one table after the other: id, row, number of the table.
fn one_by_one(tables: &[&Table], visit: &mut Visit<'_>) -> io::Result<()> {
    for (from, table) in tables.iter().enumerate() {
        let mut cursor = Cursor::new(table);
        while let Some((id, row)) = cursor.next()? {
            visit(&id, row, from)?;
        }
    }
    Ok(())
}

/// Visits the rows of all tables by id.
fn in_order(tables: &[&Table], visit: &mut Visit<'_>) -> io::Result<()> {
    let mut cursors = Vec::with_capacity(tables.len());
    let mut heap = BinaryHeap::with_capacity(tables.len());
    for (from, table) in tables.iter().enumerate() {
        let mut cursor = Cursor::new(table);
        if let Some((id, row)) = cursor.next()? {
            heap.push(Reverse((id, from, row)));
        }
        cursors.push(cursor);
    }
    // By table before row: pack numbers rise with the table, so rows stay in pack order.
    while let Some(mut least) = heap.peek_mut() {
        let Reverse((id, from, row)) = *least;
        visit(&id, row, from)?;
        match cursors[from].next()? {
            Some((id, row)) => *least = Reverse((id, from, row)),
            None => drop(PeekMut::pop(least)),
        }
    }
    Ok(())
}

/// Reads a table's rows in order, a block at a time.
pub(in crate::repository) struct Cursor<'a> {
    table: &'a Table,
    next: usize,
    first: usize,
    ids: Vec<u8>,
    places: Vec<u8>,
}

impl<'a> Cursor<'a> {
    const BLOCK: usize = 512;

    pub(in crate::repository) fn new(table: &'a Table) -> Self {
        Self { table, next: 0, first: 0, ids: Vec::new(), places: Vec::new() }
    }

    pub(in crate::repository) fn next(&mut self) -> io::Result<Option<(ChunkId, Row)>> {
        if self.next == self.table.chunks {
            return Ok(None);
        }
        if self.next - self.first == self.ids.len() / 32 {
            self.first = self.next;
            let count = (self.table.chunks - self.first).min(Self::BLOCK);
            self.ids.resize(32 * count, 0);
            self.places.resize(Row::BYTES * count, 0);
            self.table.read_column(Column::Ids, self.first, &mut self.ids)?;
            self.table.read_column(Column::Places, self.first, &mut self.places)?;
        }
        let at = self.next - self.first;
        self.next += 1;
        let id = self.ids.as_chunks::<32>().0[at];
        let place = self.places.as_chunks::<{ Row::BYTES }>().0[at];
        Ok(Some((ChunkId::from_bytes(id), Row::decode(place))))
    }
}
