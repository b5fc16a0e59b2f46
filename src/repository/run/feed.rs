//! A bundle at work: what it is fed goes into its buffers, and from there into a pack.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::helpers::Helpers;
use super::made::{Coded, Made, cannot_compress};
use super::open_pack::Chunks;
use super::state::Buffers;
use super::writer::Writer;
use crate::repository::content::Sink;
use crate::repository::error::RepositoryError;
use crate::repository::format::{CHUNK_BYTES_MAX, FRAME_CHUNKS_MAX};
use crate::repository::frame::{FRAME_HEADER_BYTES, Look, append_table};
use crate::repository::id::ChunkId;
use crate::repository::media::Kind;
use crate::repository::pack::PackClass;
use crate::repository::window::Window;

/// So few chunks fill a frame only where they come from large files, which are of one kind
/// throughout; a bundle of small files is looked at as a whole.
const FEW_CHUNKS: usize = 8;

/// The directories of one snapshot come from the frames of many: each that changed since from the
/// backup that met it changed. Short frames are quickly decoded, and those of a hundred backups are
/// kept while a tree is walked. (With 128 KiB as much was stored, and the frames that the hundredth of
/// 100 snapshots needs took a fifth more to read.)
const METADATA_FRAME_BYTES: usize = 32 << 10;

/// A bundle at work: what it is fed goes into its buffers, and from there into a pack.
pub(super) struct Feed<'b> {
    pub(super) writer: &'b Writer<'b>,
    pub(super) class: PackClass,
    pub(super) buffers: &'b mut Buffers,
    /// The chunk that the first one of this content took the place of.
    pub(super) base: Option<ChunkId>,
    pub(super) helpers: Option<Helpers>,
}

impl Sink for Feed<'_> {
    fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        let base = self.base.take();
        self.put(plain, base.as_ref())
    }

    fn piece(
        &mut self,
        kind: Kind,
        window: &mut Window,
        bytes: usize,
    ) -> Result<ChunkId, RepositoryError> {
        let base = self.base.take();
        let plain = &window.rest()[..bytes];
        let (id, length, is_new) = self.name(plain)?;
        if !is_new {
            self.take_held(window);
            window.pass(bytes);
            return Ok(id);
        }
        self.writer.run.counts.unfinished.fetch_add(1, Ordering::Relaxed);
        if let Some(base) = base
            && self.put_delta(id, plain, &base)?
        {
            // The first one of its content: none waits.
            window.pass(bytes);
            return Ok(id);
        }
        if window.held_bytes() == 0 {
            self.make_room(kind, bytes)?;
        }
        if !self.buffers.data.is_empty() {
            self.hold(kind, id, length, plain)?;
            window.pass(bytes);
            return Ok(id);
        }
        self.buffers.ids.push(id);
        self.buffers.lengths.push(length);
        window.hold(bytes);
        // Another chunk would hardly fit: it is not waited for, as what is read of it by then would
        // have to be copied.
        let is_enough = window.held_bytes() >= self.frame_bytes() / 4 * 3
            || self.buffers.ids.len() == FRAME_CHUNKS_MAX;
        if is_enough {
            self.take_held(window);
            self.flush_alone()?;
        }
        Ok(id)
    }

    fn list(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        self.writer.put_list(plain)
    }
}

impl Writer<'_> {
    /// Stores a chunk list, in a bundle that all workers share.
    fn put_list(&self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        let mut lists = self.run.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = lists.get_or_insert_with(|| self.run.buffers());
        Feed::new(self, PackClass::Metadata, buffers).put(plain, None)
    }

    /// Hands over the lists that wait.
    pub(super) fn flush_lists(&self) -> Result<(), RepositoryError> {
        let mut lists = self.run.lists.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *lists {
            None => Ok(()),
            Some(buffers) => Feed::new(self, PackClass::Metadata, buffers).flush(),
        }
    }
}

impl<'b> Feed<'b> {
    pub(super) fn new(writer: &'b Writer<'b>, class: PackClass, buffers: &'b mut Buffers) -> Self {
        Self { writer, class, buffers, base: None, helpers: None }
    }

    pub(super) fn put(
        &mut self,
        plain: &[u8],
        base: Option<&ChunkId>,
    ) -> Result<ChunkId, RepositoryError> {
        let (id, length, is_new) = self.name(plain)?;
        if is_new {
            self.append(id, length, plain, base)?;
        }
        Ok(id)
    }

    /// Id and length of a chunk, and whether it is ours to store: wanted, not there, and claimed.
    fn name(&mut self, plain: &[u8]) -> Result<(ChunkId, u32, bool), RepositoryError> {
        let run = &self.writer.run;
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= CHUNK_BYTES_MAX);
        let length = length.ok_or(RepositoryError::ChunkTooLong { bytes: plain.len() as u64 })?;
        let id = run.inner.hash(plain);
        let is_new = run.is_wanted(&id) && {
            let index = run.index_in(self.buffers)?;
            !run.has(index, &id)? && run.recent.claim(&id)
        };
        Ok((id, length, is_new))
    }

    /// Takes the chunks that wait in the window, and leaves it other memory.
    pub(super) fn take_held(&mut self, window: &mut Window) {
        // They wait there only while there is nothing here.
        if window.held_bytes() > 0 {
            window.hand_over(&mut self.buffers.data);
        }
    }

    /// Takes a chunk that is to be stored whatever the index says.
    pub(super) fn put_again(
        &mut self,
        id: ChunkId,
        plain: &[u8],
        base: Option<&ChunkId>,
    ) -> Result<(), RepositoryError> {
        let length = u32::try_from(plain.len());
        let length =
            length.map_err(|_| RepositoryError::ChunkTooLong { bytes: plain.len() as u64 })?;
        if !self.writer.run.recent.claim(&id) {
            return Ok(());
        }
        self.append(id, length, plain, base)
    }

    fn append(
        &mut self,
        id: ChunkId,
        length: u32,
        plain: &[u8],
        base: Option<&ChunkId>,
    ) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        run.counts.unfinished.fetch_add(1, Ordering::Relaxed);
        if let Some(base) = base
            && self.put_delta(id, plain, base)?
        {
            return Ok(());
        }
        self.hold(Kind::Ordinary, id, length, plain)
    }

    /// Takes a chunk that stands alone.
    pub(super) fn hold(
        &mut self,
        kind: Kind,
        id: ChunkId,
        length: u32,
        plain: &[u8],
    ) -> Result<(), RepositoryError> {
        self.make_room(kind, plain.len())?;
        self.buffers.ids.push(id);
        self.buffers.lengths.push(length);
        self.buffers.data.append(plain);
        if self.buffers.ids.len() == FRAME_CHUNKS_MAX {
            self.flush_alone()?;
        }
        Ok(())
    }

    /// Makes a frame of what is there if so much more would be too much for one, or of another kind.
    fn make_room(&mut self, kind: Kind, bytes: usize) -> Result<(), RepositoryError> {
        let is_full = self.buffers.data.len() + bytes > self.frame_bytes();
        if is_full || self.buffers.kind != kind {
            self.flush_alone()?;
            self.buffers.kind = kind;
        }
        Ok(())
    }

    fn frame_bytes(&self) -> usize {
        let frame_bytes = self.writer.run.inner.config.sizes.frame_bytes as usize;
        match self.class {
            PackClass::Data => frame_bytes,
            PackClass::Metadata => frame_bytes.min(METADATA_FRAME_BYTES),
        }
    }

    /// Makes frames of all that is in the buffers. An error is the end of the whole run.
    pub(super) fn flush(&mut self) -> Result<(), RepositoryError> {
        self.flush_deltas()?;
        self.flush_alone()
    }

    /// Makes a frame of the chunks that stand alone.
    pub(super) fn flush_alone(&mut self) -> Result<(), RepositoryError> {
        if self.buffers.ids.is_empty() {
            return Ok(());
        }
        if let Some(helpers) = &self.helpers
            && helpers.take(self.writer, self.buffers)
        {
            return Ok(());
        }
        let run = &self.writer.run;
        let chunks = self.buffers.ids.len();
        run.landed(chunks, run.must_be_sound().and_then(|()| self.make_frame()))?;
        self.buffers.ids.clear();
        self.buffers.lengths.clear();
        self.buffers.data.clear();
        Ok(())
    }

    fn make_frame(&mut self) -> Result<(), RepositoryError> {
        let Buffers { codec, ids, lengths, kind, data, frame, scratch, .. } = &mut *self.buffers;
        self.writer.run.counts.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let mut table = Vec::with_capacity(4 * lengths.len() + 2);
        append_table(&mut table, lengths);
        data.append(&table);
        let payload = data.as_slice();
        let look = match kind {
            Kind::Media => Look::Values,
            Kind::Ordinary if lengths.len() <= FEW_CHUNKS => Look::Sample,
            Kind::Ordinary => Look::Whole,
        };
        let end = codec
            .encode(payload, frame, FRAME_HEADER_BYTES, look)
            .map_err(|error| cannot_compress(&error))?;
        let chunks = Chunks { ids, lengths, bases: &[] };
        let coded = Coded::of(end, payload);
        let made = Made { coded, chunks, plain: payload, prefix: &[] };
        self.writer.write_frame(self.class, &made, frame, codec, scratch)
    }
}
