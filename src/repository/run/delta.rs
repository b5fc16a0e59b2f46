//! Chunks on their way into a delta frame: those whose predecessor is known.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::feed::Feed;
use super::made::{Coded, Made, cannot_compress};
use super::open_pack::Chunks;
use super::state::Buffers;
use super::writer::Compression;
use crate::repository::delta::{self, Head};
use crate::repository::error::RepositoryError;
use crate::repository::format::FRAME_CHUNKS_MAX;
use crate::repository::frame::{Coding, FRAME_HEADER_BYTES, Look, append_table};
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::media::Kind;
use crate::repository::reading::Frame;

/// Chunks that wait for one delta frame, and the bases before them.
#[derive(Default)]
struct Pending {
    /// Where all of the bases lie.
    frame: Option<FrameKey>,
    head: Head,
    data: Vec<u8>,
    /// The bytes of the bases, each once.
    prefix: Vec<u8>,
    once: HashSet<ChunkId>,
}

/// A frame: its pack, and its number there.
type FrameKey = (ObjectId, u32);

impl Pending {
    fn has_room(&self, plain: &[u8], before: &[u8], room: usize) -> bool {
        self.data.len() + plain.len() <= room
            && self.prefix.len() + before.len() <= room
            && self.head.ids.len() < FRAME_CHUNKS_MAX
    }

    fn clear(&mut self) {
        self.frame = None;
        self.head.ids.clear();
        self.head.bases.clear();
        self.head.lengths.clear();
        self.data.clear();
        self.prefix.clear();
        self.once.clear();
    }
}

/// One worker's delta frames in the making, each of bases from one frame.
///
/// Whoever reads a delta frame decodes the frame that its bases lie in, and whoever reads a tree in
/// order has that one decoded already. Where little changes here and there, a frame of 1 MiB would
/// have its bases all over the tree. (20,000 files, 1 % of them edited on each of 100 days: the last
/// backup took 14 s, and its restore ten times as long as the first one's.)
#[derive(Default)]
pub(super) struct Deltas {
    /// The one that was fed last is last.
    open: Vec<Pending>,
    spare: Vec<Pending>,
}

/// So many are in the making at once: neighbours in a tree lie in one frame, or in two.
const OPEN_MAX: usize = 2;

impl Deltas {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Takes out the one whose bases lie in `frame`; where there is none, one is begun.
    fn take(&mut self, frame: FrameKey) -> Pending {
        match self.open.iter().position(|pending| pending.frame == Some(frame)) {
            Some(at) => self.open.remove(at),
            None => Pending { frame: Some(frame), ..self.spare.pop().unwrap_or_default() },
        }
    }
}

/// Shorter chunks do not save what naming their base costs.
const CHUNK_BYTES_MIN: usize = 512;
/// A base that is so many times longer than the chunk would fill the window for nothing.
const BASE_TIMES_MAX: usize = 8;
/// A delta that is this much shorter than its chunks also saves half of any other frame of them:
/// only what comes closer is compressed the other way too, to compare.
const SURELY_SHORTER: usize = 16;

impl Feed<'_> {
    /// Takes a chunk that is to be compressed after an older one; `false` if it had better not be.
    pub(super) fn put_delta(
        &mut self,
        id: ChunkId,
        plain: &[u8],
        base: &ChunkId,
    ) -> Result<bool, RepositoryError> {
        let sizes = self.writer.run.inner.config.sizes;
        let run = &self.writer.run;
        let may_build = run.inner.config.has_deltas() && run.packs_stay();
        let is_off = run.options.compression == Compression::Off;
        if plain.len() < CHUNK_BYTES_MIN || is_off || !may_build {
            return Ok(false);
        }
        // What cannot be read is no base; whoever looks for damage will find it.
        let Some((base, frame, number)) = self.standing_base(base) else { return Ok(false) };
        let Some(before) = frame.chunk(number) else { return Ok(false) };
        if before.is_empty() || before.len() > BASE_TIMES_MAX * plain.len() {
            return Ok(false);
        }
        let room = sizes.frame_bytes as usize;
        let mut pending = self.buffers.deltas.take(frame.key());
        if !pending.has_room(plain, before, room) {
            self.end_delta(pending)?;
            pending = self.buffers.deltas.take(frame.key());
        }
        pending.head.ids.push(id);
        pending.head.bases.push(base);
        pending.head.lengths.push(u32::try_from(plain.len()).expect("a chunk is bounded"));
        pending.data.extend_from_slice(plain);
        if pending.once.insert(base) {
            pending.prefix.extend_from_slice(before);
        }
        self.buffers.deltas.open.push(pending);
        if self.buffers.deltas.open.len() > OPEN_MAX {
            let eldest = self.buffers.deltas.open.remove(0);
            self.end_delta(eldest)?;
        }
        Ok(true)
    }

    /// The base itself, or, if it lies in a delta frame, what it builds on.
    fn standing_base(&self, base: &ChunkId) -> Option<(ChunkId, Arc<Frame>, u16)> {
        let run = &self.writer.run;
        let may_use = |pack: &ObjectId| !run.is_condemned(pack);
        if let Some((frame, place)) = run.inner.standing(base, &may_use).ok()? {
            return Some((*base, frame, place.chunk));
        }
        let place = run.inner.index().ok()?.locate(base).ok()??;
        let further = run.inner.base_of(&place).ok()??;
        let (frame, place) = run.inner.standing(&further, &may_use).ok()??;
        Some((further, frame, place.chunk))
    }

    /// Makes frames of all chunks that wait for one.
    pub(super) fn flush_deltas(&mut self) -> Result<(), RepositoryError> {
        for pending in std::mem::take(&mut self.buffers.deltas.open) {
            self.end_delta(pending)?;
        }
        Ok(())
    }

    /// Makes a delta frame, or, where that saves too little, gives its chunks to the bundle of those
    /// that stand alone.
    fn end_delta(&mut self, mut pending: Pending) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        let made = run.must_be_sound().and_then(|()| self.make_delta_frame(&mut pending));
        if let Ok(false) = made {
            let mut start = 0;
            for (id, length) in pending.head.ids.iter().zip(&pending.head.lengths) {
                let end = start + *length as usize;
                self.hold(Kind::Ordinary, *id, *length, &pending.data[start..end])?;
                start = end;
            }
        } else {
            run.landed(pending.head.ids.len(), made.map(drop))?;
        }
        pending.clear();
        self.buffers.deltas.spare.push(pending);
        Ok(())
    }

    /// `false` if its chunks had better stand alone.
    fn make_delta_frame(&mut self, pending: &mut Pending) -> Result<bool, RepositoryError> {
        let Buffers { codec, frame, scratch, .. } = &mut *self.buffers;
        let Pending { head, data, prefix, .. } = pending;
        let bytes = data.len();
        let start = FRAME_HEADER_BYTES;
        let stream_at = start + Head::bytes(head.ids.len());
        let end = delta::encode(prefix, data, frame, stream_at)
            .map_err(|error| cannot_compress(&error))?;
        frame[start..stream_at].copy_from_slice(&head.encode());
        if (end - start) * SURELY_SHORTER > bytes {
            append_table(data, &head.lengths);
            let alone = codec
                .encode(data, &mut scratch.decoded, start, Look::Whole)
                .map_err(|error| cannot_compress(&error))?;
            let alone = alone.map_or(data.len(), |end| end - start);
            data.truncate(bytes);
            if 2 * (end - start) > alone {
                return Ok(false);
            }
        }
        self.writer.run.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let chunks = Chunks { ids: &head.ids, lengths: &head.lengths, bases: &head.bases };
        let coded = Coded::InFrame { coding: Coding::Delta, end };
        let made = Made { coded, chunks, plain: data, prefix };
        self.writer.write_frame(self.class, &made, frame, codec, scratch).map(|()| true)
    }
}
