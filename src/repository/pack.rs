//! Packs: header, frames, sealed footer, trailer.

use std::collections::BTreeMap;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use super::id::{ChunkId, ObjectId};
use super::object::FORMAT_VERSION;
use super::seal::TAG_BYTES;

/// What a pack holds. The classes are kept apart: metadata is read often, and rewritten cheaply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackClass {
    /// Content of files, rows of databases.
    Data,
    /// Directory objects, chunk lists, database states.
    Metadata,
}

impl PackClass {
    pub(super) const ALL: [Self; 2] = [Self::Data, Self::Metadata];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Metadata => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Data),
            2 => Some(Self::Metadata),
            _ => None,
        }
    }
}

const MAGIC: [u8; 8] = *b"snappak\n";
const TRAILER_MAGIC: [u8; 8] = *b"snapend\n";
pub(super) const PACK_HEADER_BYTES: usize = 48;
pub(super) const TRAILER_BYTES: usize = 16;

/// The clear beginning of a pack. Everything in it follows from what the index says of the pack,
/// so that readers of a frame compute it instead of reading it; it is bound to every seal.
pub(super) fn header(class: PackClass, name: &ObjectId) -> [u8; PACK_HEADER_BYTES] {
    let mut out = [0; PACK_HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[10] = class.code();
    out[16..].copy_from_slice(name.as_bytes());
    out
}

/// What the header of the pack `name` says it holds, if it is a header of that pack.
pub(super) fn class_in(raw: &[u8], name: &ObjectId) -> Option<PackClass> {
    let class = PackClass::from_code(*raw.get(10)?)?;
    (raw.get(..PACK_HEADER_BYTES)? == header(class, name)).then_some(class)
}

/// The clear text bound to a frame's seal.
pub(super) fn frame_binding(
    header: &[u8; PACK_HEADER_BYTES],
    frame: FrameHeader,
) -> [u8; PACK_HEADER_BYTES + FRAME_HEADER_BYTES] {
    let mut out = [0; PACK_HEADER_BYTES + FRAME_HEADER_BYTES];
    out[..PACK_HEADER_BYTES].copy_from_slice(header);
    out[PACK_HEADER_BYTES..].copy_from_slice(&frame.encode());
    out
}

/// The clear text bound to a footer's seal.
pub(super) fn footer_binding(
    header: &[u8; PACK_HEADER_BYTES],
    trailer: Trailer,
) -> [u8; PACK_HEADER_BYTES + TRAILER_BYTES] {
    let mut out = [0; PACK_HEADER_BYTES + TRAILER_BYTES];
    out[..PACK_HEADER_BYTES].copy_from_slice(header);
    out[PACK_HEADER_BYTES..].copy_from_slice(&trailer.encode());
    out
}

/// The last bytes of a pack: where its footer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) footer_offset: u32,
    pub(super) sealed_bytes: u32,
}

impl Trailer {
    pub(super) fn encode(self) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..4].copy_from_slice(&self.footer_offset.to_le_bytes());
        out[4..8].copy_from_slice(&self.sealed_bytes.to_le_bytes());
        out[8..].copy_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Takes the trailer of a pack of `pack_bytes`, if footer and trailer fill it to the end.
    pub(super) fn decode(raw: &[u8; TRAILER_BYTES], pack_bytes: u64) -> Option<Self> {
        let [o0, o1, o2, o3, s0, s1, s2, s3, magic @ ..] = *raw;
        let trailer = Self {
            footer_offset: u32::from_le_bytes([o0, o1, o2, o3]),
            sealed_bytes: u32::from_le_bytes([s0, s1, s2, s3]),
        };
        let end = u64::from(trailer.footer_offset) + u64::from(trailer.sealed_bytes);
        (magic == TRAILER_MAGIC && end + TRAILER_BYTES as u64 == pack_bytes).then_some(trailer)
    }
}

/// One frame, as the footer and the index know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FramePlace {
    /// Of the frame's header, from the pack's beginning.
    pub(super) offset: u32,
    /// Of the sealed part, tag included.
    pub(super) sealed_bytes: u32,
    /// Number of chunks.
    pub(super) chunks: u16,
}

impl FramePlace {
    /// Where the next frame, or the footer, begins.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.offset) + FRAME_HEADER_BYTES as u64 + u64::from(self.sealed_bytes)
    }
}

/// What a pack holds: a table that can be rebuilt from its frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) frames: Vec<FramePlace>,
    /// Of all frames, one after the other.
    pub(super) ids: Vec<ChunkId>,
    pub(super) lengths: Vec<u32>,
    /// For each delta frame, by its number: what each of its chunks builds on.
    pub(super) bases: BTreeMap<u32, Vec<ChunkId>>,
}

impl Contents {
    /// Where the footer begins.
    pub(super) fn end(&self) -> u64 {
        self.frames.last().map_or(PACK_HEADER_BYTES as u64, FramePlace::end)
    }

    /// The clear text of a footer. Layout: FORMAT.md, "Pack footer".
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).expect("a pack is bounded").to_le_bytes();
        let mut out =
            Vec::with_capacity(8 + 6 * self.frames.len() + 36 * self.ids.len() + TAG_BYTES);
        out.extend_from_slice(&count(self.frames.len()));
        out.extend_from_slice(&count(self.ids.len()));
        let frames = &self.frames;
        out.extend(frames.iter().flat_map(|frame| frame.sealed_bytes.to_le_bytes()));
        out.extend(frames.iter().flat_map(|frame| frame.chunks.to_le_bytes()));
        out.extend(self.lengths.iter().flat_map(|length| length.to_le_bytes()));
        out.extend(self.ids.iter().flat_map(ChunkId::as_bytes));
        if !self.bases.is_empty() {
            out.extend_from_slice(&count(self.bases.len()));
            out.extend(self.bases.keys().flat_map(|frame| frame.to_le_bytes()));
            out.extend(self.bases.values().flatten().flat_map(ChunkId::as_bytes));
        }
        out
    }

    /// Believes nothing; frames follow each other without gaps, so that offsets need no storing.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (counts, rest) = bytes.split_first_chunk::<8>()?;
        let [f0, f1, f2, f3, c0, c1, c2, c3] = *counts;
        let frames = u32::from_le_bytes([f0, f1, f2, f3]) as usize;
        let chunks = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        let needed = frames.checked_mul(6)?.checked_add(chunks.checked_mul(36)?)?;
        let (rest, after) = rest.split_at_checked(needed)?;
        let (sealed, rest) = rest.split_at(4 * frames);
        let (counts, rest) = rest.split_at(2 * frames);
        let (lengths, ids) = rest.split_at(4 * chunks);
        let mut offset = u32::try_from(PACK_HEADER_BYTES).ok()?;
        let mut contents = Self::default();
        for (sealed, count) in sealed.as_chunks::<4>().0.iter().zip(counts.as_chunks::<2>().0) {
            let sealed_bytes = u32::from_le_bytes(*sealed);
            let place = FramePlace { offset, sealed_bytes, chunks: u16::from_le_bytes(*count) };
            offset = u32::try_from(place.end()).ok()?;
            contents.frames.push(place);
        }
        let total: usize = contents.frames.iter().map(|frame| usize::from(frame.chunks)).sum();
        if total != chunks {
            return None;
        }
        contents.lengths =
            lengths.as_chunks::<4>().0.iter().map(|raw| u32::from_le_bytes(*raw)).collect();
        contents.ids =
            ids.as_chunks::<32>().0.iter().map(|raw| ChunkId::from_bytes(*raw)).collect();
        contents.bases = contents.decode_bases(after)?;
        Some(contents)
    }

    /// What stands after the ids: nothing, or the bases of the delta frames.
    fn decode_bases(&self, bytes: &[u8]) -> Option<BTreeMap<u32, Vec<ChunkId>>> {
        if bytes.is_empty() {
            return Some(BTreeMap::new());
        }
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (numbers, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (ids, []) = rest.as_chunks::<32>() else { return None };
        let mut ids = ids.iter().copied().map(ChunkId::from_bytes);
        let mut bases = BTreeMap::new();
        for number in numbers.as_chunks::<4>().0 {
            let number = u32::from_le_bytes(*number);
            let chunks = usize::from(self.frames.get(number as usize)?.chunks);
            let of_frame: Vec<_> = ids.by_ref().take(chunks).collect();
            let is_next = bases.last_key_value().is_none_or(|(last, _)| *last < number);
            if chunks == 0 || of_frame.len() != chunks || !is_next {
                return None;
            }
            bases.insert(number, of_frame);
        }
        (count > 0 && ids.next().is_none()).then_some(bases)
    }

    /// Every chunk that a chunk of this pack builds on. Whoever keeps the pack keeps them.
    pub(super) fn all_bases(&self) -> impl Iterator<Item = &ChunkId> {
        self.bases.values().flatten()
    }

    /// For each frame, the number of its first chunk in the pack.
    pub(super) fn first_chunks(&self) -> Vec<usize> {
        let mut next = 0;
        let firsts = self.frames.iter().map(|frame| {
            let first = next;
            next += usize::from(frame.chunks);
            first
        });
        firsts.collect()
    }

    /// Each chunk with its place: id, frame, number in the frame, length.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (ChunkId, u32, u16, u32)> {
        let places = self.frames.iter().enumerate().flat_map(|(frame, place)| {
            let frame = u32::try_from(frame).expect("a pack is bounded");
            (0..place.chunks).map(move |chunk| (frame, chunk))
        });
        self.ids
            .iter()
            .zip(&self.lengths)
            .zip(places)
            .map(|((id, length), (frame, chunk))| (*id, frame, chunk, *length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_that_does_not_add_up_is_refused() {
        let contents = Contents {
            frames: vec![
                FramePlace { offset: 48, sealed_bytes: 100, chunks: 2 },
                FramePlace { offset: 164, sealed_bytes: 50, chunks: 1 },
            ],
            ids: [1, 2, 3].map(|n| ChunkId::from_bytes([n; 32])).to_vec(),
            lengths: vec![10, 20, 30],
            bases: BTreeMap::new(),
        };
        let bytes = contents.encode();
        assert_eq!(Contents::decode(&bytes), Some(contents.clone()));
        let places: Vec<_> = contents.chunks().map(|(_, frame, chunk, _)| (frame, chunk)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0)]);
        for cut in 0..bytes.len() {
            assert_eq!(Contents::decode(&bytes[..cut]), None);
        }
        let based = |frame: u32, bases: &[u8]| {
            let bases = bases.iter().map(|n| ChunkId::from_bytes([*n; 32])).collect();
            Contents { bases: BTreeMap::from([(frame, bases)]), ..contents.clone() }
        };
        let with_bases = based(0, &[7, 8]);
        let bytes_with_bases = with_bases.encode();
        assert_eq!(Contents::decode(&bytes_with_bases), Some(with_bases));
        for cut in (0..bytes_with_bases.len()).filter(|cut| *cut != bytes.len()) {
            assert_eq!(Contents::decode(&bytes_with_bases[..cut]), None, "{cut} bytes");
        }
        for wrong in [based(0, &[7]), based(1, &[7, 8]), based(2, &[7]), based(1, &[])] {
            assert_eq!(Contents::decode(&wrong.encode()), None);
        }
        let mut hostile = bytes;
        hostile[..8].fill(0xff);
        assert_eq!(Contents::decode(&hostile), None);
    }

    #[test]
    fn a_trailer_points_inside_its_own_pack() {
        let trailer = Trailer { footer_offset: 48, sealed_bytes: 30 };
        assert_eq!(Trailer::decode(&trailer.encode(), 94), Some(trailer));
        assert_eq!(Trailer::decode(&trailer.encode(), 95), None);
    }
}
