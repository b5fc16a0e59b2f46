//! A frame that is stored once more, compressed as it is.

use std::sync::atomic::Ordering;

use super::open_pack::Chunks;
use super::state::Scratch;
use super::writer::Writer;
use crate::repository::error::RepositoryError;
use crate::repository::frame::{Coding, FRAME_HEADER_BYTES};
use crate::repository::id::ChunkId;
use crate::repository::pack::{self, PackClass};
use crate::repository::reading::damaged_frame;
use crate::repository::seal::Turn;

/// A frame that was opened, decoded and hashed.
pub(in crate::repository) struct CopiedFrame<'a> {
    pub(in crate::repository) coding: Coding,
    /// What was inside the seal.
    pub(in crate::repository) encoded: &'a [u8],
    pub(in crate::repository) ids: &'a [ChunkId],
    pub(in crate::repository) lengths: &'a [u32],
    /// What its chunks build on, all of which must stay; none if it stands alone.
    pub(in crate::repository) bases: &'a [ChunkId],
}

impl Writer<'_> {
    pub(super) fn copy_frame(
        &self,
        class: PackClass,
        copied: &CopiedFrame<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), RepositoryError> {
        let run = &self.run;
        run.must_be_sound()?;
        let written = self.write_copy(class, copied, scratch);
        written.inspect_err(|error| run.fail(error))?;
        let plain: u64 = copied.lengths.iter().map(|length| u64::from(*length)).sum();
        run.counts.chunks.fetch_add(copied.ids.len() as u64, Ordering::Relaxed);
        run.counts.bytes.fetch_add(plain, Ordering::Relaxed);
        Ok(())
    }

    fn write_copy(
        &self,
        class: PackClass,
        copied: &CopiedFrame<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), RepositoryError> {
        let chunks = Chunks { ids: copied.ids, lengths: copied.lengths, bases: copied.bases };
        let (pack, reserved) =
            self.run.reserve(class, copied.coding, copied.encoded.len(), &chunks, &self.closer)?;
        let mut frame = reserved.header.encode().to_vec();
        frame.extend_from_slice(copied.encoded);
        let clear = pack::frame_binding(&pack.header, reserved.header);
        let turn = Turn::Frame(reserved.header.ordinal);
        pack.sealer.seal(turn, &clear, &mut frame, FRAME_HEADER_BYTES);
        let opened = &mut scratch.opened;
        let opens = pack.sealer.open(turn, &clear, &frame[FRAME_HEADER_BYTES..], opened);
        // What was inside was decoded and hashed when it was read: it must only come back.
        if opens.is_err() || opened.as_slice() != copied.encoded {
            let number = reserved.header.ordinal;
            return Err(damaged_frame(&pack.name, number, "just sealed, it does not open"));
        }
        if pack.fill(reserved.offset, &frame)? {
            self.close_pack(pack);
        }
        Ok(())
    }
}
