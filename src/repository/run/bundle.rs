//! One worker's bundle: chunks on their way into one frame.

use std::io::Read;
use std::thread;

use super::copied::CopiedFrame;
use super::feed::Feed;
use super::helpers::{Helpers, is_large};
use super::state::Buffers;
use super::writer::Writer;
use crate::repository::content::{Extent, Stored, take_apart};
use crate::repository::error::RepositoryError;
use crate::repository::id::ChunkId;
use crate::repository::pack::PackClass;

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

fn buffers_of(buffers: &mut Option<Buffers>) -> &mut Buffers {
    buffers.as_mut().expect("a bundle has its buffers until it is finished")
}
