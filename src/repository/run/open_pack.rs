//! A pack being written by several workers at once.

use std::sync::{Mutex, PoisonError};

use crate::repository::backend::ObjectWriter;
use crate::repository::error::RepositoryError;
use crate::repository::format::PACK_FRAMES_MAX;
use crate::repository::frame::{Coding, FrameHeader};
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::object::ObjectKind;
use crate::repository::pack::{self, Contents, FramePlace, PackClass, Trailer};
use crate::repository::repository::Inner;
use crate::repository::seal::{Sealer, TAG_BYTES, Turn};

/// A pack that takes frames. A worker reserves number and place first, for the seal needs them,
/// then writes where it reserved: nobody waits for another's sealing or writing.
pub(super) struct OpenPack {
    pub(super) name: ObjectId,
    pub(super) class: PackClass,
    pub(super) header: [u8; pack::PACK_HEADER_BYTES],
    pub(super) sealer: Sealer,
    sink: Box<dyn ObjectWriter>,
    state: Mutex<State>,
}

/// A pack takes no more chunks, though its bytes are few. Until it is closed their ids lie in memory,
/// twice: a million files of 150 bytes filled no pack, and took 228 MB.
const PACK_CHUNKS_MAX: usize = 64 * 1024;

#[derive(Default)]
struct State {
    contents: Contents,
    /// Frames reserved and not yet written.
    outstanding: usize,
    /// No more frames are taken.
    retired: bool,
}

/// What a frame holds.
pub(super) struct Chunks<'a> {
    pub(super) ids: &'a [ChunkId],
    pub(super) lengths: &'a [u32],
    /// For each chunk the one it builds on; none if the frame stands alone.
    pub(super) bases: &'a [ChunkId],
}

/// A place in a pack that one worker must now fill.
pub(super) struct Reserved {
    pub(super) header: FrameHeader,
    pub(super) offset: u64,
}

impl OpenPack {
    pub(super) fn create(inner: &Inner, class: PackClass) -> Result<Self, RepositoryError> {
        Self::named(inner, class, ObjectId::random())
    }

    /// Under a name of the caller's choice: golden packs have one that does not change.
    fn named(inner: &Inner, class: PackClass, name: ObjectId) -> Result<Self, RepositoryError> {
        let sink = inner.backend.writer(ObjectKind::Pack, &name.to_string())?;
        let header = pack::header(class, &name);
        sink.write_at(0, &header)?;
        let sealer = inner.sealer(ObjectKind::Pack, &name);
        Ok(Self { name, class, header, sealer, sink, state: Mutex::default() })
    }

    /// Reserves a frame, unless the pack would grow beyond `pack_bytes`.
    pub(super) fn reserve(
        &self,
        coding: Coding,
        encoded_bytes: usize,
        chunks: &Chunks<'_>,
        pack_bytes: u32,
    ) -> Option<Reserved> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = state.contents.end();
        let sealed_bytes = u32::try_from(encoded_bytes + TAG_BYTES).expect("frames are bounded");
        let number = state.contents.frames.len();
        let fits = offset + u64::from(sealed_bytes) <= u64::from(pack_bytes)
            && number < PACK_FRAMES_MAX
            && state.contents.ids.len() + chunks.ids.len() <= PACK_CHUNKS_MAX;
        if number > 0 && !fits {
            return None;
        }
        let Chunks { ids, lengths, bases } = *chunks;
        state.contents.frames.push(FramePlace {
            offset: u32::try_from(offset).expect("packs are bounded"),
            sealed_bytes,
            chunks: u16::try_from(ids.len()).expect("frames are bounded"),
        });
        state.contents.ids.extend_from_slice(ids);
        state.contents.lengths.extend_from_slice(lengths);
        state.outstanding += 1;
        let ordinal = u32::try_from(number).expect("packs are bounded");
        if !bases.is_empty() {
            state.contents.bases.insert(ordinal, bases.to_vec());
        }
        let header = FrameHeader { ordinal, class: self.class, coding, sealed_bytes };
        Some(Reserved { header, offset })
    }

    /// Writes a reserved frame. `true` if it was the last one of a retired pack: close it now.
    pub(super) fn fill(&self, offset: u64, frame: &[u8]) -> Result<bool, RepositoryError> {
        self.sink.write_at(offset, frame)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outstanding -= 1;
        Ok(state.retired && state.outstanding == 0)
    }

    /// Whether somebody fills a frame now.
    pub(super) fn is_written_to(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).outstanding > 0
    }

    /// How long it is so far.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).contents.end()
    }

    /// Takes no more frames. `true` if none is outstanding: close it now.
    pub(super) fn retire(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.retired = true;
        state.outstanding == 0
    }

    /// Writes footer and trailer, makes the pack durable and gives it its name.
    pub(super) fn close(&self) -> Result<(Contents, u64), RepositoryError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = std::mem::take(&mut state.contents);
        let offset = contents.end();
        let mut footer = contents.encode();
        let trailer = Trailer {
            footer_offset: u32::try_from(offset).expect("packs are bounded"),
            sealed_bytes: u32::try_from(footer.len() + TAG_BYTES).expect("packs are bounded"),
        };
        let clear = pack::footer_binding(&self.header, trailer);
        self.sealer.seal(Turn::Footer, &clear, &mut footer, 0);
        footer.extend_from_slice(&trailer.encode());
        self.sink.write_at(offset, &footer)?;
        self.sink.finish()?;
        Ok((contents, offset + footer.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::backend::Backend;
    use crate::repository::frame::{Codec, FRAME_HEADER_BYTES, Look, append_table};
    use crate::repository::run::Compression;
    use crate::repository::tests::golden::{golden_inner, hex};
    use crate::repository::tests::memory::Memory;

    /// A pack of one raw frame with the chunks `a` and `bc`, under the golden keys.
    #[test]
    fn a_golden_pack_stays_these_bytes_for_ever() {
        let memory = Memory::new();
        let inner = golden_inner(Box::new(memory.clone()));
        let name = ObjectId::from_bytes([0x55; 32]);
        let pack = OpenPack::named(&inner, PackClass::Data, name).unwrap();
        let mut frame = Vec::new();
        let mut payload = b"abc".to_vec();
        append_table(&mut payload, &[1, 2]);
        let end = Codec::new(Compression::Level(1))
            .encode(&payload, &mut frame, FRAME_HEADER_BYTES, Look::Whole)
            .unwrap();
        assert_eq!(end, None, "so small a payload does not compress");
        let ids = [inner.hash(b"a"), inner.hash(b"bc")];
        let chunks = Chunks { ids: &ids, lengths: &[1, 2], bases: &[] };
        let reserved = pack.reserve(Coding::Raw, payload.len(), &chunks, 1 << 20).unwrap();
        frame.truncate(FRAME_HEADER_BYTES);
        frame.copy_from_slice(&reserved.header.encode());
        frame.extend_from_slice(&payload);
        let clear = pack::frame_binding(&pack.header, reserved.header);
        pack.sealer.seal(Turn::Frame(0), &clear, &mut frame, FRAME_HEADER_BYTES);
        pack.fill(reserved.offset, &frame).unwrap();
        pack.close().unwrap();
        let bytes = memory.bytes(ObjectKind::Pack, &name.to_string());
        assert_eq!(memory.list(ObjectKind::Pack).unwrap().len(), 1);
        crate::repository::tests::golden::assert_golden("pack", &hex(&bytes));
    }
}
