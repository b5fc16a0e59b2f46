//! Chunks on their way into a delta frame: those whose predecessor is known.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bundle::Feed;
use super::made::{Made, cannot_compress};
use super::open_pack::Chunks;
use super::state::Buffers;
use super::writer::Compression;
use crate::repository::delta::{self, Head};
use crate::repository::error::RepositoryError;
use crate::repository::format::FRAME_CHUNKS_MAX;
use crate::repository::frame::{Coding, FRAME_HEADER_BYTES, Look, append_table};
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::reading::Frame;

/// Chunks that wait for their delta frame, and the bases before them.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) head: Head,
    data: Vec<u8>,
    /// The bytes of the bases, each once.
    prefix: Vec<u8>,
    once: HashSet<ChunkId>,
}

impl Pending {
    pub(super) fn clear(&mut self) {
        self.head.ids.clear();
        self.head.bases.clear();
        self.head.lengths.clear();
        self.data.clear();
        self.prefix.clear();
        self.once.clear();
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
        let pending = &self.buffers.delta;
        let is_full = pending.data.len() + plain.len() > room
            || pending.prefix.len() + before.len() > room
            || pending.head.ids.len() == FRAME_CHUNKS_MAX;
        if is_full {
            self.flush_delta()?;
        }
        let length = u32::try_from(plain.len()).expect("a chunk is bounded");
        let pending = &mut self.buffers.delta;
        pending.head.ids.push(id);
        pending.head.bases.push(base);
        pending.head.lengths.push(length);
        pending.data.extend_from_slice(plain);
        if pending.once.insert(base) {
            pending.prefix.extend_from_slice(before);
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
        let further = *run.inner.frame(&place).ok()?.base(place.chunk)?;
        let (frame, place) = run.inner.standing(&further, &may_use).ok()??;
        Some((further, frame, place.chunk))
    }

    /// Makes a frame of the chunks that wait for one.
    pub(super) fn flush_delta(&mut self) -> Result<(), RepositoryError> {
        if self.buffers.delta.head.ids.is_empty() {
            return Ok(());
        }
        let run = &self.writer.run;
        let chunks = self.buffers.delta.head.ids.len();
        run.landed(chunks, run.must_be_sound().and_then(|()| self.make_delta_frame()))?;
        self.buffers.delta.clear();
        Ok(())
    }

    fn make_delta_frame(&mut self) -> Result<(), RepositoryError> {
        let Buffers { codec, frame, scratch, delta, .. } = &mut *self.buffers;
        let Pending { head, data, prefix, .. } = delta;
        let bytes = data.len();
        self.writer.run.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let start = FRAME_HEADER_BYTES;
        let stream_at = start + Head::bytes(head.ids.len());
        let mut end = delta::encode(prefix, data, frame, stream_at)
            .map_err(|error| cannot_compress(&error))?;
        frame[start..stream_at].copy_from_slice(&head.encode());
        let mut coding = Coding::Delta;
        if (end - start) * SURELY_SHORTER > bytes {
            append_table(data, &head.lengths);
            let alone = codec
                .encode(data, &mut scratch.decoded, start, Look::Whole)
                .map_err(|error| cannot_compress(&error))?;
            if 2 * (end - start) > alone.1 - start {
                std::mem::swap(frame, &mut scratch.decoded);
                (coding, end) = alone;
            } else {
                data.truncate(bytes);
            }
        }
        let is_delta = coding == Coding::Delta;
        let bases = if is_delta { &head.bases[..] } else { &[] };
        let chunks = Chunks { ids: &head.ids, lengths: &head.lengths, bases };
        let made = Made { coding, end, chunks, plain: data, prefix };
        self.writer.write_frame(self.class, &made, frame, codec, scratch)
    }
}
