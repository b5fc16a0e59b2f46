//! A frame that was made: given its place, sealed, verified, written.

use super::open_pack::{Chunks, OpenPack};
use super::state::Scratch;
use super::writer::{VerifyWrites, Writer};
use crate::repository::delta::Head;
use crate::repository::error::RepositoryError;
use crate::repository::frame::{Codec, CodecError, Coding, FRAME_HEADER_BYTES, FrameHeader};
use crate::repository::pack::{self, PackClass};
use crate::repository::reading::damaged_frame;
use crate::repository::seal::{TAG_BYTES, Turn};

/// Where the coded bytes of a frame are.
#[derive(Clone, Copy)]
pub(super) enum Coded<'a> {
    /// In the buffer that the frame is written from, behind the room for its header, up to `end`.
    InFrame { coding: Coding, end: usize },
    /// They are the payload as it is; sealing it is what brings it into that buffer.
    Raw(&'a [u8]),
}

impl<'a> Coded<'a> {
    /// What [`Codec::encode`] made of `payload`.
    pub(super) fn of(encoded: Option<usize>, payload: &'a [u8]) -> Self {
        match encoded {
            Some(end) => Self::InFrame { coding: Coding::Zstd, end },
            None => Self::Raw(payload),
        }
    }

    fn coding(self) -> Coding {
        match self {
            Self::InFrame { coding, .. } => coding,
            Self::Raw(_) => Coding::Raw,
        }
    }

    /// Where they end in the buffer, or will.
    fn end(self) -> usize {
        match self {
            Self::InFrame { end, .. } => end,
            Self::Raw(payload) => FRAME_HEADER_BYTES + payload.len(),
        }
    }
}

/// A frame that was made.
pub(super) struct Made<'a> {
    pub(super) coded: Coded<'a>,
    pub(super) chunks: Chunks<'a>,
    /// What it must decode to.
    pub(super) plain: &'a [u8],
    /// What the decoder of a delta frame is given.
    pub(super) prefix: &'a [u8],
}

pub(super) fn cannot_compress(error: &CodecError) -> RepositoryError {
    RepositoryError::RunFailed { what: format!("cannot compress: {}", error.0) }
}

impl Writer<'_> {
    /// Puts a frame into the open pack of `class`.
    pub(super) fn write_frame(
        &self,
        class: PackClass,
        made: &Made<'_>,
        frame: &mut Vec<u8>,
        codec: &mut Codec,
        scratch: &mut Scratch,
    ) -> Result<(), RepositoryError> {
        let run = &self.run;
        let end = made.coded.end();
        if frame.len() < end + TAG_BYTES {
            frame.resize(end + TAG_BYTES, 0);
        }
        let frame = &mut frame[..end + TAG_BYTES];
        let (coding, coded_bytes) = (made.coded.coding(), end - FRAME_HEADER_BYTES);
        let (pack, reserved) =
            run.reserve(class, coding, coded_bytes, &made.chunks, &self.closer)?;
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&reserved.header.encode());
        let clear = pack::frame_binding(&pack.header, reserved.header);
        let turn = Turn::Frame(reserved.header.ordinal);
        let sealed = &mut frame[FRAME_HEADER_BYTES..];
        match made.coded {
            Coded::InFrame { .. } => pack.sealer.seal_slice(turn, &clear, sealed),
            Coded::Raw(payload) => pack.sealer.seal_from(turn, &clear, payload, sealed),
        }
        if run.options.verify == VerifyWrites::All {
            made.verify(&pack, reserved.header, &frame[FRAME_HEADER_BYTES..], codec, scratch)?;
        }
        if pack.fill(reserved.offset, frame)? {
            self.close_pack(pack);
        }
        Ok(())
    }
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
        pack: &OpenPack,
        header: FrameHeader,
        sealed: &[u8],
        codec: &mut Codec,
        Scratch { opened, decoded }: &mut Scratch,
    ) -> Result<(), RepositoryError> {
        let number = header.ordinal;
        let wrong = |what: &str| damaged_frame(&pack.name, number, what);
        let clear = pack::frame_binding(&pack.header, header);
        pack.sealer
            .open(Turn::Frame(number), &clear, sealed, opened)
            .map_err(|_| wrong("just sealed, it does not open"))?;
        let undecodable = |_| wrong("just compressed, it does not decode");
        let decoded = match header.coding {
            // As it is: to decode it would be to copy it.
            Coding::Raw => opened,
            Coding::Delta => {
                let (head, stream) =
                    Head::decode(opened).ok_or_else(|| wrong("just encoded, its head is wrong"))?;
                if head.ids != self.chunks.ids || head.bases != self.chunks.bases {
                    return Err(wrong("just encoded, its head is another"));
                }
                let bytes = self.plain.len();
                *decoded = codec.decode_after(self.prefix, stream, bytes).map_err(undecodable)?;
                decoded
            }
            Coding::Zstd => {
                codec.decode(header.coding, opened, decoded).map_err(undecodable)?;
                decoded
            }
        };
        if decoded == self.plain {
            Ok(())
        } else {
            Err(wrong("just encoded, it decodes otherwise"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::frame::Look;
    use crate::repository::{
        ChunkId, Compression, InitOptions, ObjectKind, Repository, WriteOptions,
    };

    /// Writes a frame of `plain` whose encoder was given `encoded` instead.
    fn write(writer: &Writer<'_>, encoded: &[u8], plain: &[u8]) -> Result<(), RepositoryError> {
        let (mut codec, mut frame) = (Codec::new(Compression::default()), Vec::new());
        let end =
            codec.encode(encoded, &mut frame, FRAME_HEADER_BYTES, Look::Whole).expect("it can");
        let coded = Coded::of(end, encoded);
        let lengths = [u32::try_from(plain.len()).expect("short")];
        let ids: [ChunkId; 1] = [writer.repository().hash(plain)];
        let chunks = Chunks { ids: &ids, lengths: &lengths, bases: &[] };
        let made = Made { coded, chunks, plain, prefix: &[] };
        writer.write_frame(PackClass::Data, &made, &mut frame, &mut codec, &mut Scratch::default())
    }

    #[test]
    fn a_bit_that_an_encoder_or_the_memory_under_it_turns_is_seen_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        let text = b"<?php echo 'compressible';\n".repeat(20);
        let noise: Vec<u8> = (0..20_u8).flat_map(|n| *blake3::hash(&[n]).as_bytes()).collect();
        for plain in [text, noise] {
            for bit in (0..plain.len() * 8).step_by(97) {
                let mut turned = plain.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                let writer = repository.begin(&WriteOptions::default()).unwrap();
                let seen = write(&writer, &turned, &plain);
                assert!(
                    matches!(seen, Err(RepositoryError::Damaged { .. })),
                    "bit {bit}: {seen:?}"
                );
            }
            let writer = repository.begin(&WriteOptions::default()).unwrap();
            write(&writer, &plain, &plain).unwrap();
        }
        assert_eq!(repository.inner.backend.list(ObjectKind::Pack).unwrap(), [""; 0]);
    }
}
