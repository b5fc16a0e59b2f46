//! One worker's bundle: chunks on their way into one frame.

use std::io::Read;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;

use super::copied::CopiedFrame;
use super::helpers::{Helpers, is_large};
use super::made::{Coded, Made, cannot_compress};
use super::open_pack::Chunks;
use super::state::Buffers;
use super::writer::Writer;
use crate::repository::content::{Extent, Sink, Stored, take_apart};
use crate::repository::error::RepositoryError;
use crate::repository::format::{CHUNK_BYTES_MAX, FRAME_CHUNKS_MAX};
use crate::repository::frame::{FRAME_HEADER_BYTES, Look, append_table};
use crate::repository::id::ChunkId;
use crate::repository::pack::PackClass;
use crate::repository::window::Window;

/// One worker's bundle. Chunks put one after the other lie beside each other.
///
/// A bundle that is dropped with chunks in it makes its run fail, for other workers may already
/// rely on them: end it with [`Bundle::finish`].
#[must_use = "a bundle that is not finished makes its run fail"]
pub struct Bundle<'w> {
    writer: &'w Writer<'w>,
    class: PackClass,
    /// `None` only after the end.
    buffers: Option<Buffers>,
}

impl<'w> Bundle<'w> {
    pub(super) fn new(writer: &'w Writer<'w>, class: PackClass) -> Self {
        Self { writer, class, buffers: Some(writer.run.buffers()) }
    }

    /// Stores a chunk, unless it is stored already; its id.
    pub fn put(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        self.put_after(plain, None)
    }

    /// The same for a chunk that took the place of another one, if that is known: what both have
    /// in common is then not stored again.
    pub fn put_after(
        &mut self,
        plain: &[u8],
        before: Option<&ChunkId>,
    ) -> Result<ChunkId, RepositoryError> {
        let buffers = buffers_of(&mut self.buffers);
        let mut feed = Feed::new(self.writer, self.class, buffers);
        feed.put(plain, before)
    }

    /// Reads content once and stores its pieces; where they are, and how many bytes there were.
    ///
    /// An error of the reader is [`RepositoryError::Source`], after which the bundle may still be
    /// used.
    pub fn put_content(
        &mut self,
        reader: &mut dyn Read,
        extent: Extent,
    ) -> Result<(Stored, u64), RepositoryError> {
        self.put_content_after(reader, extent, None)
    }

    /// The same for content that took the place of other content, if that is known.
    pub fn put_content_after(
        &mut self,
        reader: &mut dyn Read,
        extent: Extent,
        before: Option<&Stored>,
    ) -> Result<(Stored, u64), RepositoryError> {
        // What changed in a large file is cut out by its chunks already.
        let base = match before {
            Some(Stored::Chunk(id)) => Some(*id),
            _ => None,
        };
        let (writer, class) = (self.writer, self.class);
        let buffers = buffers_of(&mut self.buffers);
        let mut window = std::mem::take(&mut buffers.window);
        let chunker = &writer.run.inner.chunker;
        let take = |helpers| {
            let mut feed = Feed { base, helpers, ..Feed::new(writer, class, buffers) };
            let taken = take_apart(chunker, reader, extent, &mut window, &mut feed);
            feed.take_held(&mut window);
            feed.buffers.window = window;
            taken
        };
        if is_large(extent) {
            thread::scope(|scope| take(Helpers::start(writer, class, scope)))
        } else {
            take(None)
        }
    }

    /// Stores a chunk that the repository has, once more: its other copy is about to go. One that
    /// builds on another may go on doing so; one that stands alone does again, for others may build
    /// on it.
    pub(in crate::repository) fn put_again(
        &mut self,
        id: &ChunkId,
        plain: &[u8],
        base: Option<&ChunkId>,
    ) -> Result<(), RepositoryError> {
        let buffers = buffers_of(&mut self.buffers);
        Feed::new(self.writer, self.class, buffers).put_again(*id, plain, base)
    }

    /// Stores a whole frame once more, compressed as it is.
    pub(in crate::repository) fn copy_frame(
        &mut self,
        frame: &CopiedFrame<'_>,
    ) -> Result<(), RepositoryError> {
        let buffers = buffers_of(&mut self.buffers);
        self.writer.copy_frame(self.class, frame, &mut buffers.scratch)
    }

    /// Hands over what is left.
    pub fn finish(mut self) -> Result<(), RepositoryError> {
        let mut buffers = self.buffers.take().expect("a bundle is finished once");
        let flushed = Feed::new(self.writer, self.class, &mut buffers).flush();
        if flushed.is_ok() {
            self.writer.run.keep_buffers(buffers);
        }
        flushed
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if let Some(mut buffers) = self.buffers.take() {
            if buffers.ids.is_empty() && buffers.deltas.is_empty() {
                self.writer.run.keep_buffers(buffers);
            } else {
                buffers.ids.clear();
                buffers.deltas.clear();
                self.writer.run.fail_for("a bundle was abandoned".to_owned());
            }
        }
    }
}

/// So few chunks fill a frame only where they come from large files, which are of one kind
/// throughout; a bundle of small files is looked at as a whole.
const FEW_CHUNKS: usize = 8;

/// The directories of one snapshot come from the frames of many: each that changed since from the
/// backup that met it changed. Short frames are quickly decoded, and those of a hundred backups are
/// kept while a tree is walked.
const METADATA_FRAME_BYTES: usize = 128 << 10;

fn buffers_of(buffers: &mut Option<Buffers>) -> &mut Buffers {
    buffers.as_mut().expect("a bundle has its buffers until it is finished")
}

/// A bundle at work: what it is fed goes into its buffers, and from there into a pack.
pub(super) struct Feed<'b> {
    pub(super) writer: &'b Writer<'b>,
    pub(super) class: PackClass,
    pub(super) buffers: &'b mut Buffers,
    /// The chunk that the first one of this content took the place of.
    base: Option<ChunkId>,
    helpers: Option<Helpers>,
}

impl Sink for Feed<'_> {
    fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        let base = self.base.take();
        self.put(plain, base.as_ref())
    }

    fn piece(&mut self, window: &mut Window, bytes: usize) -> Result<ChunkId, RepositoryError> {
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
            self.make_room(bytes)?;
        }
        if !self.buffers.data.is_empty() {
            self.hold(id, length, plain)?;
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

    fn put(&mut self, plain: &[u8], base: Option<&ChunkId>) -> Result<ChunkId, RepositoryError> {
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
    fn take_held(&mut self, window: &mut Window) {
        // They wait there only while there is nothing here.
        if window.held_bytes() > 0 {
            window.hand_over(&mut self.buffers.data);
        }
    }

    /// Takes a chunk that is to be stored whatever the index says.
    fn put_again(
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
        self.hold(id, length, plain)
    }

    /// Takes a chunk that stands alone.
    pub(super) fn hold(
        &mut self,
        id: ChunkId,
        length: u32,
        plain: &[u8],
    ) -> Result<(), RepositoryError> {
        self.make_room(plain.len())?;
        self.buffers.ids.push(id);
        self.buffers.lengths.push(length);
        self.buffers.data.append(plain);
        if self.buffers.ids.len() == FRAME_CHUNKS_MAX {
            self.flush_alone()?;
        }
        Ok(())
    }

    /// Makes a frame of what is there if so much more would be too much for one.
    fn make_room(&mut self, bytes: usize) -> Result<(), RepositoryError> {
        if self.buffers.data.len() + bytes > self.frame_bytes() {
            self.flush_alone()
        } else {
            Ok(())
        }
    }

    fn frame_bytes(&self) -> usize {
        let frame_bytes = self.writer.run.inner.config.sizes.frame_bytes as usize;
        match self.class {
            PackClass::Data => frame_bytes,
            PackClass::Metadata => frame_bytes.min(METADATA_FRAME_BYTES),
        }
    }

    /// Makes frames of all that is in the buffers. An error is the end of the whole run.
    fn flush(&mut self) -> Result<(), RepositoryError> {
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
        let Buffers { codec, ids, lengths, data, frame, scratch, .. } = &mut *self.buffers;
        self.writer.run.counts.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let mut table = Vec::with_capacity(4 * lengths.len() + 2);
        append_table(&mut table, lengths);
        data.append(&table);
        let payload = data.as_slice();
        let look = if lengths.len() <= FEW_CHUNKS { Look::Sample } else { Look::Whole };
        let end = codec
            .encode(payload, frame, FRAME_HEADER_BYTES, look)
            .map_err(|error| cannot_compress(&error))?;
        let chunks = Chunks { ids, lengths, bases: &[] };
        let coded = Coded::of(end, payload);
        let made = Made { coded, chunks, plain: payload, prefix: &[] };
        self.writer.write_frame(self.class, &made, frame, codec, scratch)
    }
}
