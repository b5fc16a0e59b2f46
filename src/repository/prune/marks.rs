//! Which entries of the index are needed: one bit each, and one more for what the newest
//! snapshots need.
//!
//! Of a chunk that is stored twice only one copy is marked, its keeper; the others may go. A pack
//! that several tables name is looked at in one of them only, its owner.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::choose::PackTally;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::{Bits, Cursor, Index, Row};

/// What came of marking a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// It was not marked before.
    New,
    /// It was.
    Known,
    /// No index names it, or only in packs that are not there.
    Missing,
}

/// Which entries of one index are needed.
pub(super) struct Marks {
    pub(super) index: Arc<Index>,
    kept: Vec<Bits>,
    hot: Vec<Bits>,
    /// Which frames need others to be read.
    deltas: Vec<Bits>,
    /// For each pack, the number of the table that says what it holds.
    owners: Vec<u32>,
    /// For each pack, whether a keeper should rather be elsewhere.
    avoided: Vec<bool>,
    /// For each pack, whether it is there at all.
    is_there: Vec<bool>,
    /// For each pack, as the how manieth it was first needed.
    first_needed: Vec<u32>,
    needed: u32,
}

const NEVER: u32 = u32::MAX;

impl Marks {
    /// No marks yet. `listed` are the packs that are there, `avoided` those that are condemned.
    pub(super) fn new(
        index: Arc<Index>,
        listed: &HashSet<ObjectId>,
        avoided: &HashSet<ObjectId>,
    ) -> io::Result<Self> {
        let bits = || index.segments.iter().map(|one| Bits::new(one.table.chunks)).collect();
        let packs = &index.packs;
        Ok(Self {
            kept: bits(),
            hot: bits(),
            deltas: index.segments.iter().map(|one| Bits::new(one.table.frames())).collect(),
            owners: owners(&index)?,
            avoided: packs.iter().map(|pack| avoided.contains(&pack.id)).collect(),
            is_there: packs.iter().map(|pack| listed.contains(&pack.id)).collect(),
            first_needed: vec![NEVER; packs.len()],
            needed: 0,
            index,
        })
    }

    /// Notes a frame that needs others to be read.
    pub(super) fn note_delta(&mut self, pack: u32, frame: u32) {
        let number = self.owners[pack as usize] as usize;
        let segment = &self.index.segments[number];
        let of_table = segment.packs.iter().position(|one| *one == pack);
        let of_table = of_table.and_then(|pack| u32::try_from(pack).ok());
        let frame = of_table.and_then(|pack| segment.table.frame_number(pack, frame));
        if let Some(frame) = frame {
            self.deltas[number].set(frame);
        }
    }

    /// Marks a chunk as needed; `hot` says that it is by one of the newest snapshots.
    ///
    /// A copy in a frame that stands alone is its keeper before any other: it may be built on.
    pub(super) fn mark(&mut self, id: &ChunkId, hot: bool) -> io::Result<Marked> {
        let mut keeper: Option<(bool, bool, usize, usize, u32)> = None;
        for (number, segment) in self.index.segments.iter().enumerate() {
            for row_number in segment.table.numbers(id)? {
                let row = segment.table.row(row_number)?;
                let pack = segment.packs[row.pack as usize];
                let is_owner = self.owners[pack as usize] as usize == number;
                if !is_owner || !self.is_there[pack as usize] {
                    continue;
                }
                if self.kept[number].get(row_number) {
                    return Ok(Marked::Known);
                }
                let frame = segment.table.frame_number(row.pack, row.frame);
                let frame = frame.ok_or(io::ErrorKind::InvalidData)?;
                let is_delta = self.deltas[number].get(frame);
                let found = (is_delta, self.avoided[pack as usize], number, row_number, pack);
                if keeper.is_none_or(|best| found < best) {
                    keeper = Some(found);
                }
            }
        }
        let Some((_, _, number, row, pack)) = keeper else { return Ok(Marked::Missing) };
        self.kept[number].set(row);
        if hot {
            self.hot[number].set(row);
        }
        let first = &mut self.first_needed[pack as usize];
        if *first == NEVER {
            *first = self.needed;
            self.needed += 1;
        }
        Ok(Marked::New)
    }

    /// Whether this copy of a chunk is its keeper, and whether it is hot.
    pub(super) fn fate(
        &self,
        pack: u32,
        frame: u32,
        chunk: u16,
        id: &ChunkId,
    ) -> io::Result<Option<Kept>> {
        let number = self.owners[pack as usize] as usize;
        let segment = &self.index.segments[number];
        for row_number in segment.table.numbers(id)? {
            let row = segment.table.row(row_number)?;
            let is_it = segment.packs[row.pack as usize] == pack
                && row.frame == frame
                && row.chunk == chunk;
            if is_it && self.kept[number].get(row_number) {
                let hot = self.hot[number].get(row_number);
                return Ok(Some(if hot { Kept::Hot } else { Kept::Cold }));
            }
        }
        Ok(None)
    }

    /// As the how manieth a pack was first needed: packs in this order are read as a restore does.
    pub(super) fn first_needed(&self, pack: u32) -> u32 {
        self.first_needed[pack as usize]
    }

    /// What each pack holds, and what of it is needed.
    pub(super) fn tally(&self) -> io::Result<Vec<PackTally>> {
        let mut tallies = vec![PackTally::default(); self.index.packs.len()];
        for (number, segment) in self.index.segments.iter().enumerate() {
            let table = &segment.table;
            let mut frames = vec![(0_u64, false); table.frames()];
            let mut cursor = Cursor::new(table);
            let mut row_number = 0;
            while let Some((_, row)) = cursor.next()? {
                let at = row_number;
                row_number += 1;
                let pack =
                    *segment.packs.get(row.pack as usize).ok_or(io::ErrorKind::InvalidData)?;
                if self.owners[pack as usize] as usize != number {
                    continue;
                }
                let hot = self.hot[number].get(at);
                let kept = self.kept[number].get(at);
                Self::count(&mut tallies[pack as usize], row, kept, hot);
                let frame = table.frame_number(row.pack, row.frame);
                let frame = &mut frames[frame.ok_or(io::ErrorKind::InvalidData)?];
                frame.0 += u64::from(row.bytes);
                frame.1 |= hot;
            }
            for (index, pack) in table.packs.iter().enumerate() {
                let pack_number = segment.packs[index] as usize;
                if self.owners[pack_number] as usize == number {
                    tallies[pack_number].id = Some(pack.id);
                    tallies[pack_number].class = Some(pack.class);
                }
            }
            add_opened(segment, &frames, &self.owners, number, &mut tallies);
        }
        Ok(tallies)
    }

    fn count(tally: &mut PackTally, row: Row, kept: bool, hot: bool) {
        let bytes = u64::from(row.bytes);
        tally.chunks += 1;
        tally.plain_bytes += bytes;
        if kept {
            tally.kept_chunks += 1;
            tally.kept_bytes += bytes;
        }
        if hot {
            tally.hot_bytes += bytes;
        }
    }
}

/// A chunk that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// By one of the newest snapshots.
    Hot,
    /// Only by older ones.
    Cold,
}

/// Adds what has to be decoded to read what is hot: every frame that holds any of it.
fn add_opened(
    segment: &crate::repository::index::Segment,
    frames: &[(u64, bool)],
    owners: &[u32],
    number: usize,
    tallies: &mut [PackTally],
) {
    for (index, _) in segment.table.packs.iter().enumerate() {
        let pack = segment.packs[index] as usize;
        if owners[pack] as usize != number {
            continue;
        }
        let of_pack = segment.table.frames_of(index);
        let opened = frames[of_pack].iter().filter(|(_, hot)| *hot);
        tallies[pack].opened_bytes += opened.map(|(bytes, _)| bytes).sum::<u64>();
    }
}

/// The table that names most chunks of each pack: one that names fewer was made of a damaged pack.
fn owners(index: &Index) -> io::Result<Vec<u32>> {
    let mut owners = vec![NEVER; index.packs.len()];
    let mut contested = HashSet::new();
    for (number, segment) in index.segments.iter().enumerate() {
        for pack in segment.packs.iter() {
            if owners[*pack as usize] == NEVER {
                owners[*pack as usize] = u32::try_from(number).unwrap_or(NEVER);
            } else {
                contested.insert(*pack);
            }
        }
    }
    if contested.is_empty() {
        return Ok(owners);
    }
    let mut most = vec![0_u64; index.packs.len()];
    for (number, segment) in index.segments.iter().enumerate() {
        if !segment.packs.iter().any(|pack| contested.contains(pack)) {
            continue;
        }
        let mut rows = vec![0_u64; segment.packs.len()];
        let mut cursor = Cursor::new(&segment.table);
        while let Some((_, row)) = cursor.next()? {
            *rows.get_mut(row.pack as usize).ok_or(io::ErrorKind::InvalidData)? += 1;
        }
        for (pack, rows) in segment.packs.iter().zip(rows) {
            if contested.contains(pack) && rows > most[*pack as usize] {
                most[*pack as usize] = rows;
                owners[*pack as usize] = u32::try_from(number).unwrap_or(NEVER);
            }
        }
    }
    Ok(owners)
}
