//! Making the bytes of a table.

use super::table::{
    FANOUT_BITS_MAX, FRAME_BYTES, HEADER_BYTES, MAGIC, PACK_BYTES, Row, VERSION, bucket_of,
};
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::pack::{Contents, PackClass};

/// So many ids share a bucket on average.
const BUCKET_IDS: usize = 16;

/// One pack to be named in a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::repository) struct Named<'a> {
    pub(in crate::repository) id: ObjectId,
    pub(in crate::repository) class: PackClass,
    pub(in crate::repository) contents: &'a Contents,
}

/// Makes the bytes of a table that names every chunk of `packs`, a chunk in two packs twice.
pub(in crate::repository) fn build(packs: &[Named<'_>]) -> Vec<u8> {
    let mut rows: Vec<(ChunkId, Row)> = Vec::new();
    let mut shape = Shape::default();
    let mut frames = Vec::new();
    for (pack, named) in packs.iter().enumerate() {
        let pack = u32::try_from(pack).expect("a segment names a bounded number of packs");
        shape.pack(named.id, named.class);
        for frame in &named.contents.frames {
            frames.extend_from_slice(&frame.offset.to_le_bytes());
            frames.extend_from_slice(&frame.sealed_bytes.to_le_bytes());
        }
        shape.frames = frames.len() / FRAME_BYTES;
        let places = named.contents.chunks();
        rows.extend(
            places.map(|(id, frame, chunk, bytes)| (id, Row { pack, frame, chunk, bytes })),
        );
    }
    rows.sort_unstable();
    shape.chunks = rows.len();
    let mut fanout = Fanout::new(rows.len());
    for (id, _) in &rows {
        fanout.count(id);
    }

    let mut out = shape.head(fanout.bits);
    out.extend_from_slice(&frames);
    out.extend_from_slice(&fanout.encode());
    out.extend(rows.iter().flat_map(|(id, _)| *id.as_bytes()));
    out.extend(rows.iter().flat_map(|(_, row)| row.encode()));
    out
}

/// What stands before the frames of a table.
#[derive(Default)]
pub(super) struct Shape {
    packs: Vec<u8>,
    /// How many frames the packs named so far have.
    pub(super) frames: usize,
    pub(super) chunks: usize,
}

impl Shape {
    /// Names a pack, whose first frame is the next one.
    pub(super) fn pack(&mut self, id: ObjectId, class: PackClass) {
        self.packs.extend_from_slice(id.as_bytes());
        self.packs.extend_from_slice(&[class.code(), 0, 0, 0]);
        self.packs.extend_from_slice(&as_u32(self.frames).to_le_bytes());
    }

    pub(super) fn head(&self, fanout_bits: u8) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.packs.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[fanout_bits, 0]);
        for count in [self.packs.len() / PACK_BYTES, self.frames, self.chunks] {
            out.extend_from_slice(&as_u32(count).to_le_bytes());
        }
        out.resize(HEADER_BYTES, 0);
        out.extend_from_slice(&self.packs);
        out
    }
}

/// Counts how many ids each bucket has.
pub(super) struct Fanout {
    pub(super) bits: u8,
    counts: Vec<u32>,
}

impl Fanout {
    /// With as many buckets as suit a table of `chunks`.
    pub(super) fn new(chunks: usize) -> Self {
        let buckets = (chunks / BUCKET_IDS).max(1).next_power_of_two();
        let bits = u8::try_from(buckets.trailing_zeros()).unwrap_or(u8::MAX).min(FANOUT_BITS_MAX);
        Self { bits, counts: vec![0; 1 << bits] }
    }

    pub(super) fn count(&mut self, id: &ChunkId) {
        self.counts[bucket_of(id, self.bits)] += 1;
    }

    /// Where each bucket ends.
    pub(super) fn encode(&self) -> Vec<u8> {
        let ends = self.counts.iter().scan(0_u32, |end, count| {
            *end += count;
            Some(*end)
        });
        ends.flat_map(u32::to_le_bytes).collect()
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).expect("a table names fewer than 2^32 of anything")
}
