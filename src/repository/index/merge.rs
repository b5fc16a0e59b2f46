//! Several tables made into one, streamed: memory does not grow with what is merged.
//!
//! ```text
//! head and frames: one table after the other, pack and frame numbers moved up
//! three passes over all ids in order: count the buckets; write the ids; write the places
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use super::build::{Fanout, Shape};
use super::table::{Column, Row, Table};
use crate::repository::id::ChunkId;

/// Writes a table that names everything `tables` name.
pub(super) fn merge(tables: &[&Table], out: &mut dyn Write) -> io::Result<()> {
    let mut shape = Shape::default();
    let mut first_packs = Vec::with_capacity(tables.len());
    let mut packs = 0;
    for table in tables {
        first_packs.push(u32::try_from(packs).map_err(|_| io::ErrorKind::InvalidInput)?);
        let before = shape.frames;
        for pack in &table.packs {
            shape.frames = before + pack.first_frame as usize;
            shape.pack(pack.id, pack.class);
        }
        shape.frames = before + table.frames;
        shape.chunks += table.chunks;
        packs += table.packs.len();
    }
    let mut fanout = Fanout::new(shape.chunks);
    in_order(tables, &mut |id, _, _| {
        fanout.count(id);
        Ok(())
    })?;
    out.write_all(&shape.head(fanout.bits))?;
    for table in tables {
        copy_frames(table, out)?;
    }
    out.write_all(&fanout.encode())?;
    in_order(tables, &mut |id, _, _| out.write_all(id.as_bytes()))?;
    in_order(tables, &mut |_, row, from| {
        out.write_all(&Row { pack: row.pack + first_packs[from], ..row }.encode())
    })
}

fn copy_frames(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut block = [0; 8 * 512];
    let mut first = 0;
    while first < table.frames {
        let count = (table.frames - first).min(512);
        let block = &mut block[..8 * count];
        table.read_column(Column::Frames, first, block)?;
        out.write_all(block)?;
        first += count;
    }
    Ok(())
}

/// Visits the rows of all tables by id: id, row, number of the table.
fn in_order(
    tables: &[&Table],
    visit: &mut dyn FnMut(&ChunkId, Row, usize) -> io::Result<()>,
) -> io::Result<()> {
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
    while let Some(Reverse((id, from, row))) = heap.pop() {
        visit(&id, row, from)?;
        if let Some((id, row)) = cursors[from].next()? {
            heap.push(Reverse((id, from, row)));
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
