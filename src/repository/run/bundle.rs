//! One worker's bundle: chunks on their way into one frame.

use std::io::Read;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::open_pack::OpenPack;
use super::state::{Buffers, Scratch};
use super::writer::{VerifyWrites, Writer};
use crate::repository::content::{Extent, Sink, Stored, take_apart};
use crate::repository::error::RepositoryError;
use crate::repository::format::{CHUNK_BYTES_MAX, FRAME_CHUNKS_MAX};
use crate::repository::frame::{Codec, Coding, FRAME_HEADER_BYTES, FrameHeader, append_table};
use crate::repository::id::ChunkId;
use crate::repository::pack::{self, PackClass};
use crate::repository::reading::damaged_frame;
use crate::repository::seal::{TAG_BYTES, Turn};

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
        let mut feed =
            Feed { writer: self.writer, class: self.class, buffers: buffers_of(&mut self.buffers) };
        feed.put(plain)
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
        let buffers = buffers_of(&mut self.buffers);
        let mut window = std::mem::take(&mut buffers.window);
        let chunker = &self.writer.run.inner.chunker;
        let mut feed = Feed { writer: self.writer, class: self.class, buffers };
        let taken = take_apart(chunker, reader, extent, &mut window, &mut feed);
        feed.buffers.window = window;
        taken
    }

    /// Stores a chunk that the repository has, once more: its other copy is about to go.
    pub(in crate::repository) fn put_again(
        &mut self,
        id: &ChunkId,
        plain: &[u8],
    ) -> Result<(), RepositoryError> {
        let buffers = buffers_of(&mut self.buffers);
        Feed { writer: self.writer, class: self.class, buffers }.put_again(*id, plain)
    }

    /// Stores a whole frame once more, compressed as it is.
    pub(in crate::repository) fn copy_frame(
        &mut self,
        frame: &CopiedFrame<'_>,
    ) -> Result<(), RepositoryError> {
        let buffers = buffers_of(&mut self.buffers);
        Feed { writer: self.writer, class: self.class, buffers }.copy_frame(frame)
    }

    /// Hands over what is left.
    pub fn finish(mut self) -> Result<(), RepositoryError> {
        let mut buffers = self.buffers.take().expect("a bundle is finished once");
        let flushed =
            Feed { writer: self.writer, class: self.class, buffers: &mut buffers }.flush();
        if flushed.is_ok() {
            self.writer.run.keep_buffers(buffers);
        }
        flushed
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if let Some(mut buffers) = self.buffers.take() {
            if buffers.ids.is_empty() {
                self.writer.run.keep_buffers(buffers);
            } else {
                buffers.ids.clear();
                self.writer.run.fail_for("a bundle was abandoned".to_owned());
            }
        }
    }
}

fn buffers_of(buffers: &mut Option<Buffers>) -> &mut Buffers {
    buffers.as_mut().expect("a bundle has its buffers until it is finished")
}

/// A bundle at work: what it is fed goes into its buffers, and from there into a pack.
struct Feed<'b> {
    writer: &'b Writer<'b>,
    class: PackClass,
    buffers: &'b mut Buffers,
}

impl Sink for Feed<'_> {
    fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        self.put(plain)
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
        Feed { writer: self, class: PackClass::Metadata, buffers }.put(plain)
    }

    /// Hands over the lists that wait.
    pub(super) fn flush_lists(&self) -> Result<(), RepositoryError> {
        let mut lists = self.run.lists.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *lists {
            None => Ok(()),
            Some(buffers) => Feed { writer: self, class: PackClass::Metadata, buffers }.flush(),
        }
    }
}

impl Feed<'_> {
    fn put(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        let run = &self.writer.run;
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= CHUNK_BYTES_MAX);
        let length = length.ok_or(RepositoryError::ChunkTooLong { bytes: plain.len() as u64 })?;
        let id = run.inner.hash(plain);
        if !run.is_wanted(&id) {
            return Ok(id);
        }
        let index = run.index_in(self.buffers)?;
        if run.has(index, &id)? || !run.recent.claim(&id) {
            return Ok(id);
        }
        self.append(id, length, plain)?;
        Ok(id)
    }

    /// Takes a chunk that is to be stored whatever the index says.
    fn put_again(&mut self, id: ChunkId, plain: &[u8]) -> Result<(), RepositoryError> {
        let length = u32::try_from(plain.len());
        let length =
            length.map_err(|_| RepositoryError::ChunkTooLong { bytes: plain.len() as u64 })?;
        if self.writer.run.recent.claim(&id) { self.append(id, length, plain) } else { Ok(()) }
    }

    fn append(&mut self, id: ChunkId, length: u32, plain: &[u8]) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        run.counts.unfinished.fetch_add(1, Ordering::Relaxed);
        let frame_bytes = run.inner.config.sizes.frame_bytes as usize;
        if self.buffers.data.len() + plain.len() > frame_bytes {
            self.flush()?;
        }
        self.buffers.ids.push(id);
        self.buffers.lengths.push(length);
        self.buffers.data.extend_from_slice(plain);
        if self.buffers.ids.len() == FRAME_CHUNKS_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes a frame of what is in the buffers. An error is the end of the whole run.
    fn flush(&mut self) -> Result<(), RepositoryError> {
        if self.buffers.ids.is_empty() {
            return Ok(());
        }
        let run = &self.writer.run;
        let flushed = run.must_be_sound().and_then(|()| self.make_frame());
        match flushed {
            Ok(()) => {
                let chunks = self.buffers.ids.len() as u64;
                run.counts.chunks.fetch_add(chunks, Ordering::Relaxed);
                // After the write: whoever sees none unfinished may close the packs.
                run.counts.unfinished.fetch_sub(chunks, Ordering::Release);
            }
            Err(error) => {
                run.fail(&error);
                return Err(error);
            }
        }
        self.buffers.ids.clear();
        self.buffers.lengths.clear();
        self.buffers.data.clear();
        Ok(())
    }

    fn make_frame(&mut self) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        let Buffers { codec, ids, lengths, data, frame, scratch, .. } = &mut *self.buffers;
        run.counts.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        append_table(data, lengths);
        let encoded = codec.encode(data, frame, FRAME_HEADER_BYTES);
        let (coding, end) = encoded.map_err(|error| RepositoryError::RunFailed {
            what: format!("cannot compress: {}", error.0),
        })?;
        let encoded_bytes = end - FRAME_HEADER_BYTES;
        if frame.len() < end + TAG_BYTES {
            frame.resize(end + TAG_BYTES, 0);
        }
        let frame = &mut frame[..end + TAG_BYTES];
        let closer = &self.writer.closer;
        let (pack, reserved) =
            run.reserve(self.class, coding, encoded_bytes, (ids, lengths), closer)?;
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&reserved.header.encode());
        let clear = pack::frame_binding(&pack.header, reserved.header);
        let turn = Turn::Frame(reserved.header.ordinal);
        pack.sealer.seal_slice(turn, &clear, &mut frame[FRAME_HEADER_BYTES..]);
        if run.options.verify == VerifyWrites::All {
            let sealed = &frame[FRAME_HEADER_BYTES..];
            let made = Made { pack: &pack, header: reserved.header, sealed, payload: data };
            made.verify(codec, scratch)?;
        }
        if pack.fill(reserved.offset, frame)? {
            self.writer.close_pack(pack);
        }
        Ok(())
    }
}

/// A frame that was opened, decoded and hashed, to be stored once more.
pub(in crate::repository) struct CopiedFrame<'a> {
    pub(in crate::repository) coding: Coding,
    /// What was inside the seal.
    pub(in crate::repository) encoded: &'a [u8],
    pub(in crate::repository) ids: &'a [ChunkId],
    pub(in crate::repository) lengths: &'a [u32],
}

impl Feed<'_> {
    fn copy_frame(&mut self, copied: &CopiedFrame<'_>) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        run.must_be_sound()?;
        let written = self.write_copy(copied);
        written.inspect_err(|error| run.fail(error))?;
        let plain: u64 = copied.lengths.iter().map(|length| u64::from(*length)).sum();
        run.counts.chunks.fetch_add(copied.ids.len() as u64, Ordering::Relaxed);
        run.counts.bytes.fetch_add(plain, Ordering::Relaxed);
        Ok(())
    }

    fn write_copy(&mut self, copied: &CopiedFrame<'_>) -> Result<(), RepositoryError> {
        let run = &self.writer.run;
        let closer = &self.writer.closer;
        let chunks = (copied.ids, copied.lengths);
        let (pack, reserved) =
            run.reserve(self.class, copied.coding, copied.encoded.len(), chunks, closer)?;
        let mut frame = reserved.header.encode().to_vec();
        frame.extend_from_slice(copied.encoded);
        let clear = pack::frame_binding(&pack.header, reserved.header);
        let turn = Turn::Frame(reserved.header.ordinal);
        pack.sealer.seal(turn, &clear, &mut frame, FRAME_HEADER_BYTES);
        let opened = &mut self.buffers.scratch.opened;
        let opens = pack.sealer.open(turn, &clear, &frame[FRAME_HEADER_BYTES..], opened);
        // What was inside was decoded and hashed when it was read: it must only come back.
        if opens.is_err() || opened.as_slice() != copied.encoded {
            let number = reserved.header.ordinal;
            return Err(damaged_frame(&pack.name, number, "just sealed, it does not open"));
        }
        if pack.fill(reserved.offset, &frame)? {
            self.writer.close_pack(pack);
        }
        Ok(())
    }
}

/// A frame about to be written, and what it must give when it is read.
struct Made<'a> {
    pack: &'a OpenPack,
    header: FrameHeader,
    sealed: &'a [u8],
    payload: &'a [u8],
}

impl Made<'_> {
    /// Opens and decodes the frame: a wrong encoder must show now, not at the restore.
    ///
    /// What comes out is compared with what went in, not hashed again: that took a third of the
    /// time of bundling. It sees whatever went wrong after the payload was put together. A bit
    /// that flips in memory between the hash of a chunk and its copy here, it does not see: the
    /// read-back of a safety snapshot does, and `check`.
    fn verify(
        &self,
        codec: &mut Codec,
        Scratch { opened, decoded }: &mut Scratch,
    ) -> Result<(), RepositoryError> {
        let number = self.header.ordinal;
        let wrong = |what: &str| damaged_frame(&self.pack.name, number, what);
        let clear = pack::frame_binding(&self.pack.header, self.header);
        self.pack
            .sealer
            .open(Turn::Frame(number), &clear, self.sealed, opened)
            .map_err(|_| wrong("just sealed, it does not open"))?;
        codec
            .decode(self.header.coding, opened, decoded)
            .map_err(|_| wrong("just compressed, it does not decode"))?;
        if decoded == self.payload {
            Ok(())
        } else {
            Err(wrong("just encoded, it decodes otherwise"))
        }
    }
}
