//! Which entries of the index are needed: one bit each, and one more for what the newest
//! snapshots need.
//!
//! Of a chunk that is stored twice only one copy is marked, its keeper; the others may go. A pack
//! that several tables name is looked at in one of them only, its owner.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use super::choose::PackTally;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::{Bits, Cursor, Index, Row, SharedBits};

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

/// Which entries of one index are needed. Marked by several threads: which copy of a chunk is its
/// keeper follows from the index alone, so all of them choose the same.
pub(super) struct Marks {
    pub(super) index: Arc<Index>,
    kept: Vec<SharedBits>,
    hot: Vec<SharedBits>,
    /// Which frames need others to be read.
    deltas: Vec<Bits>,
    /// For each frame, how many of its chunks are needed.
    kept_in: Vec<Vec<AtomicU16>>,
    /// Which frames hold anything hot.
    hot_in: Vec<SharedBits>,
    /// For each pack, the number of the table that says what it holds.
    owners: Vec<u32>,
    /// For each pack, its number in that table.
    in_owners: Vec<u32>,
    /// For each pack, whether a keeper should rather be elsewhere.
    avoided: Vec<bool>,
    /// For each pack, whether it is there at all.
    is_there: Vec<bool>,
    /// For each pack, as the how manieth it was first needed.
    first_needed: Vec<AtomicU32>,
    needed: AtomicU32,
}

const NEVER: u32 = u32::MAX;

/// One copy of a chunk; the least of them is its keeper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    is_delta: bool,
    is_avoided: bool,
    /// Of the table.
    number: usize,
    row: usize,
    pack: u32,
    frame: usize,
}

impl Marks {
    /// No marks yet. `listed` are the packs that are there, `avoided` those that are condemned.
    pub(super) fn new(
        index: Arc<Index>,
        listed: &HashSet<ObjectId>,
        avoided: &HashSet<ObjectId>,
    ) -> io::Result<Self> {
        let owners = owners(&index)?;
        let tables = || index.segments.iter().map(|one| &one.table);
        let packs = &index.packs;
        let counts = |frames| (0..frames).map(|_| AtomicU16::new(0)).collect();
        Ok(Self {
            kept: tables().map(|table| SharedBits::new(table.chunks)).collect(),
            hot: tables().map(|table| SharedBits::new(table.chunks)).collect(),
            deltas: tables().map(|table| Bits::new(table.frames())).collect(),
            kept_in: tables().map(|table| counts(table.frames())).collect(),
            hot_in: tables().map(|table| SharedBits::new(table.frames())).collect(),
            in_owners: in_owners(&index, &owners),
            owners,
            avoided: packs.iter().map(|pack| avoided.contains(&pack.id)).collect(),
            is_there: packs.iter().map(|pack| listed.contains(&pack.id)).collect(),
            first_needed: packs.iter().map(|_| AtomicU32::new(NEVER)).collect(),
            needed: AtomicU32::new(0),
            index,
        })
    }

    /// Notes a frame that needs others to be read.
    pub(super) fn note_delta(&mut self, pack: u32, frame: u32) {
        if let Some((number, frame)) = self.frame_number(pack, frame) {
            self.deltas[number].set(frame);
        }
    }

    /// The table that says what a pack holds, and the number there of a frame.
    fn frame_number(&self, pack: u32, frame: u32) -> Option<(usize, usize)> {
        let (number, of_table) = self.in_owner(pack)?;
        let frame = self.index.segments[number].table.frame_number(of_table, frame)?;
        Some((number, frame))
    }

    /// The table that says what a pack holds, and the pack's number there.
    fn in_owner(&self, pack: u32) -> Option<(usize, u32)> {
        let of_table = self.in_owners[pack as usize];
        (of_table != NEVER).then_some((self.owners[pack as usize] as usize, of_table))
    }

    /// Marks a chunk as needed; `hot` says that it is by one of the newest snapshots.
    ///
    /// A copy in a frame that stands alone is its keeper before any other: it may be built on.
    pub(super) fn mark(&self, id: &ChunkId, hot: bool) -> io::Result<Marked> {
        let mut keeper: Option<Stored> = None;
        for (number, segment) in self.index.segments.iter().enumerate() {
            for row_number in segment.table.numbers(id)? {
                let row = segment.table.row(row_number)?;
                let pack = segment.packs[row.pack as usize];
                let is_owner = self.owners[pack as usize] as usize == number;
                if !is_owner || !self.is_there[pack as usize] {
                    continue;
                }
                let frame = segment.table.frame_number(row.pack, row.frame);
                let frame = frame.ok_or(io::ErrorKind::InvalidData)?;
                let is_delta = self.deltas[number].get(frame);
                let is_avoided = self.avoided[pack as usize];
                let found = Stored { is_delta, is_avoided, number, row: row_number, pack, frame };
                if keeper.is_none_or(|best| found < best) {
                    keeper = Some(found);
                }
            }
        }
        let Some(Stored { number, row, pack, frame, .. }) = keeper else {
            return Ok(Marked::Missing);
        };
        if hot && self.hot[number].set(row) {
            self.hot_in[number].set(frame);
        }
        if !self.kept[number].set(row) {
            return Ok(Marked::Known);
        }
        // A frame has as many chunks as fit into this: see the format.
        self.kept_in[number][frame].fetch_add(1, Ordering::Relaxed);
        let first = &self.first_needed[pack as usize];
        if first.load(Ordering::Relaxed) == NEVER {
            let next = self.needed.fetch_add(1, Ordering::Relaxed);
            first.fetch_min(next, Ordering::Relaxed);
        }
        Ok(Marked::New)
    }

    /// How many chunks of a frame are needed, if any, and whether by the newest snapshots.
    pub(super) fn fate_of_frame(&self, pack: u32, frame: u32) -> Option<(u16, Kept)> {
        let (number, frame) = self.frame_number(pack, frame)?;
        let count = self.kept_in[number][frame].load(Ordering::Relaxed);
        let kept = if self.hot_in[number].get(frame) { Kept::Hot } else { Kept::Cold };
        (count > 0).then_some((count, kept))
    }

    /// The frames of a pack in which anything is needed: number, offset and sealed length, and how
    /// many chunks are needed.
    pub(super) fn needed_frames(&self, pack: u32) -> io::Result<Vec<NeededFrame>> {
        let Some((number, of_table)) = self.in_owner(pack) else { return Ok(Vec::new()) };
        let table = &self.index.segments[number].table;
        let mut needed = Vec::new();
        for (frame, of_all) in (0_u32..).zip(table.frames_of(of_table as usize)) {
            let chunks = self.kept_in[number][of_all].load(Ordering::Relaxed);
            if chunks > 0 {
                let at = table.frame(of_table, frame)?;
                let is_delta = self.deltas[number].get(of_all);
                needed.push(NeededFrame { number: frame, at, chunks, is_delta });
            }
        }
        Ok(needed)
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
        self.first_needed[pack as usize].load(Ordering::Relaxed)
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

/// A frame in which something is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeededFrame {
    /// In its pack.
    pub(super) number: u32,
    /// Offset and sealed length.
    pub(super) at: (u32, u32),
    /// How many of its chunks are needed.
    pub(super) chunks: u16,
    /// Whether it needs others to be read.
    pub(super) is_delta: bool,
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

/// The number of each pack in the table that says what it holds.
fn in_owners(index: &Index, owners: &[u32]) -> Vec<u32> {
    let mut numbers = vec![NEVER; index.packs.len()];
    for (number, segment) in index.segments.iter().enumerate() {
        for (of_table, pack) in (0_u32..).zip(segment.packs.iter()) {
            if owners[*pack as usize] as usize == number {
                numbers[*pack as usize] = of_table;
            }
        }
    }
    numbers
}
