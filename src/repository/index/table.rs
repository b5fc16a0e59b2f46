//! One sorted table of chunks: the plain bytes of an index segment, in memory or in a local file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::filter::Filter;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::pack::PackClass;

pub(super) const MAGIC: [u8; 8] = *b"snapidx\n";
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 32;
pub(super) const PACK_BYTES: usize = 40;
pub(super) const FRAME_BYTES: usize = 8;
pub(super) const ID_BYTES: usize = 32;
const PLACE_BYTES: usize = 12;
/// More buckets than any table we write has.
pub(super) const FANOUT_BITS_MAX: u8 = 24;

/// Where the table's bytes are.
pub(in crate::repository) enum Bytes {
    Memory(Vec<u8>),
    File(File),
}

impl Bytes {
    pub(super) fn read_at(&self, offset: usize, into: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let end = offset.checked_add(into.len());
                let part = end.and_then(|end| bytes.get(offset..end));
                into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Self::File(file) => file.read_exact_at(into, offset as u64),
        }
    }
}

/// One pack of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::repository) struct PackRow {
    pub(in crate::repository) id: ObjectId,
    pub(in crate::repository) class: PackClass,
    pub(super) first_frame: u32,
}

/// Where a chunk is, in the numbers of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::repository) struct Row {
    pub(in crate::repository) pack: u32,
    pub(in crate::repository) frame: u32,
    pub(in crate::repository) chunk: u16,
    pub(in crate::repository) bytes: u32,
}

impl Row {
    pub(super) const BYTES: usize = PLACE_BYTES;
    const PACK_BITS: u32 = 28;
    const FRAME_BITS: u32 = 20;
    /// The four bits above are flags, none of them used yet.
    const LENGTH_BITS: u32 = 28;

    pub(super) fn encode(self) -> [u8; PLACE_BYTES] {
        let place = u64::from(self.pack)
            | u64::from(self.frame) << Self::PACK_BITS
            | u64::from(self.chunk) << (Self::PACK_BITS + Self::FRAME_BITS);
        let mut out = [0; PLACE_BYTES];
        out[..8].copy_from_slice(&place.to_le_bytes());
        out[8..].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    pub(super) fn decode(raw: [u8; PLACE_BYTES]) -> Self {
        let [p0, p1, p2, p3, p4, p5, p6, p7, l0, l1, l2, l3] = raw;
        let place = u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
        let bits = |from: u32, count: u32| {
            u32::try_from(place >> from & ((1 << count) - 1)).expect("at most 28 bits")
        };
        Self {
            pack: bits(0, Self::PACK_BITS),
            frame: bits(Self::PACK_BITS, Self::FRAME_BITS),
            chunk: u16::from_le_bytes([p6, p7]),
            bytes: u32::from_le_bytes([l0, l1, l2, l3]) & ((1 << Self::LENGTH_BITS) - 1),
        }
    }
}

/// A part of a table that is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Frames,
    Ids,
    Places,
}

/// The filter of a table's ids.
pub(super) enum Sieve {
    /// None: the table is only read from end to end, or is asked a few times.
    Nothing,
    Memory(Filter),
    /// In the table's own file, from this offset on.
    File(usize),
}

/// A table that can be searched. Layout: FORMAT.md, "Index segment".
pub(in crate::repository) struct Table {
    pub(super) bytes: Bytes,
    pub(super) sieve: Sieve,
    pub(in crate::repository) packs: Vec<PackRow>,
    pub(super) fanout_bits: u8,
    /// For each bucket, where it ends.
    pub(super) ends: Vec<u32>,
    pub(in crate::repository) chunks: usize,
    pub(super) frames: usize,
    frames_at: usize,
    pub(super) ids_at: usize,
    places_at: usize,
}

impl Table {
    /// Takes a table; `None` if its parts do not add up.
    pub(in crate::repository) fn open(bytes: Bytes, length: u64) -> io::Result<Option<Self>> {
        let mut head = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Ok(None);
        }
        bytes.read_at(0, &mut head)?;
        let number = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
        };
        let (fanout_bits, packs, frames, chunks) = (head[10], number(12), number(16), number(20));
        let known = head[..8] == MAGIC
            && head[8..10] == VERSION.to_le_bytes()
            && fanout_bits <= FANOUT_BITS_MAX
            && head[11] == 0
            && head[24..] == [0; 8];
        if !known {
            return Ok(None);
        }
        let frames_at = HEADER_BYTES + packs * PACK_BYTES;
        let fanout_at = frames_at + frames * FRAME_BYTES;
        let ids_at = fanout_at + (4 << fanout_bits);
        let places_at = ids_at + chunks * ID_BYTES;
        if length != (places_at + chunks * PLACE_BYTES) as u64 {
            return Ok(None);
        }
        let mut raw = vec![0; frames_at - HEADER_BYTES];
        bytes.read_at(HEADER_BYTES, &mut raw)?;
        let Some(packs) = raw.as_chunks::<PACK_BYTES>().0.iter().map(pack_row).collect() else {
            return Ok(None);
        };
        let mut raw = vec![0; ids_at - fanout_at];
        bytes.read_at(fanout_at, &mut raw)?;
        let ends: Vec<u32> =
            raw.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let rises = ends.is_sorted() && ends.last().is_some_and(|last| *last as usize == chunks);
        Ok(rises.then_some(Self {
            bytes,
            sieve: Sieve::Nothing,
            packs,
            fanout_bits,
            ends,
            chunks,
            frames,
            frames_at,
            ids_at,
            places_at,
        }))
    }

    /// The same table with a filter, which holds all of its ids.
    pub(super) fn sifted(self, sieve: Sieve) -> Self {
        Self { sieve, ..self }
    }

    /// How much memory its bytes take, and its filter.
    pub(in crate::repository) fn memory_bytes(&self) -> (u64, u64) {
        let bytes = match &self.bytes {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::File(_) => 0,
        };
        let filter = match &self.sieve {
            Sieve::Memory(filter) => filter.as_bytes().len() as u64,
            Sieve::Nothing | Sieve::File(_) => 0,
        };
        (bytes, filter)
    }

    /// How many frames its packs have together.
    pub(in crate::repository) fn frames(&self) -> usize {
        self.frames
    }

    /// The numbers of a pack's frames among all frames of the table.
    pub(in crate::repository) fn frames_of(&self, pack: usize) -> std::ops::Range<usize> {
        let next = self.packs.get(pack + 1);
        let end = next.map_or(self.frames, |next| next.first_frame as usize);
        self.packs[pack].first_frame as usize..end
    }

    /// The number of a frame among all frames of the table; `None` if there is none.
    pub(in crate::repository) fn frame_number(&self, pack: u32, frame: u32) -> Option<usize> {
        let number = self.packs.get(pack as usize)?.first_frame as usize + frame as usize;
        let next = self.packs.get(pack as usize + 1);
        let end = next.map_or(self.frames, |next| next.first_frame as usize);
        (number < end).then_some(number)
    }

    /// Offset and sealed length of a frame.
    pub(in crate::repository) fn frame(&self, pack: u32, frame: u32) -> io::Result<(u32, u32)> {
        let row = self.packs.get(pack as usize).ok_or(io::ErrorKind::InvalidData)?;
        let number = row.first_frame as usize + frame as usize;
        let end = self.packs.get(pack as usize + 1).map_or(self.frames, |p| p.first_frame as usize);
        if number >= end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut raw = [0; FRAME_BYTES];
        self.bytes.read_at(self.frames_at + number * FRAME_BYTES, &mut raw)?;
        let [o0, o1, o2, o3, s0, s1, s2, s3] = raw;
        Ok((u32::from_le_bytes([o0, o1, o2, o3]), u32::from_le_bytes([s0, s1, s2, s3])))
    }

    /// Reads frame places, ids or chunk places: as many as `into` holds, from number `first` on.
    pub(super) fn read_column(
        &self,
        column: Column,
        first: usize,
        into: &mut [u8],
    ) -> io::Result<()> {
        let (start, width) = match column {
            Column::Frames => (self.frames_at, FRAME_BYTES),
            Column::Ids => (self.ids_at, ID_BYTES),
            Column::Places => (self.places_at, PLACE_BYTES),
        };
        self.bytes.read_at(start + first * width, into)
    }

    /// The `number`-th id in order.
    pub(in crate::repository) fn id(&self, number: usize) -> io::Result<ChunkId> {
        let mut raw = [0; ID_BYTES];
        self.bytes.read_at(self.ids_at + number * ID_BYTES, &mut raw)?;
        Ok(ChunkId::from_bytes(raw))
    }

    /// The place of the `number`-th id.
    pub(in crate::repository) fn row(&self, number: usize) -> io::Result<Row> {
        let mut raw = [0; PLACE_BYTES];
        self.bytes.read_at(self.places_at + number * PLACE_BYTES, &mut raw)?;
        let row = Row::decode(raw);
        let known = (row.pack as usize) < self.packs.len();
        if known { Ok(row) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

fn pack_row(raw: &[u8; PACK_BYTES]) -> Option<PackRow> {
    let (id, rest) = raw.split_first_chunk::<32>()?;
    let [class, 0, 0, 0, f0, f1, f2, f3] = *rest else { return None };
    Some(PackRow {
        id: ObjectId::from_bytes(*id),
        class: PackClass::from_code(class)?,
        first_frame: u32::from_le_bytes([f0, f1, f2, f3]),
    })
}

pub(super) fn bucket_of(id: &ChunkId, bits: u8) -> usize {
    let first = u32::from_be_bytes(*id.as_bytes().first_chunk().expect("32 bytes hold 4"));
    (u64::from(first) << bits >> 32) as usize
}
