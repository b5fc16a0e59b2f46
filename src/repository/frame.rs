//! Frames: chunks compressed and sealed together.
//!
//! A payload is the chunks' bytes, then a table of their lengths, so that chunks are appended
//! while their number is unknown, and ids can be computed again without a footer.

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, ResetDirective};

use super::format::{FRAME_BYTES_MAX, FRAME_CHUNKS_MAX};
use super::media;
use super::pack::PackClass;
use super::run::Compression;

/// Layout: FORMAT.md, "Frame".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Its number in the pack, from 0: the nonce of its seal.
    pub(super) ordinal: u32,
    pub(super) class: PackClass,
    pub(super) coding: Coding,
    /// Length of what follows, tag included.
    pub(super) sealed_bytes: u32,
}

/// How a payload lies inside the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is: compression did not pay.
    Raw,
    /// One zstd frame that names its length.
    Zstd,
    /// A head, then a zstd frame that needs other chunks: see `delta`.
    Delta,
}

pub(super) const FRAME_MAGIC: [u8; 4] = *b"frm\n";
pub(super) const FRAME_HEADER_BYTES: usize = 16;

impl FrameHeader {
    pub(super) fn encode(self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC);
        out[4..8].copy_from_slice(&self.ordinal.to_le_bytes());
        out[8] = self.class.code();
        out[9] = match self.coding {
            Coding::Raw => 0,
            Coding::Zstd => 1,
            Coding::Delta => 2,
        };
        out[12..].copy_from_slice(&self.sealed_bytes.to_le_bytes());
        out
    }

    pub(super) fn decode(raw: &[u8; FRAME_HEADER_BYTES]) -> Option<Self> {
        let [m0, m1, m2, m3, o0, o1, o2, o3, class, coding, 0, 0, s0, s1, s2, s3] = *raw else {
            return None;
        };
        if [m0, m1, m2, m3] != FRAME_MAGIC {
            return None;
        }
        let coding = match coding {
            0 => Coding::Raw,
            1 => Coding::Zstd,
            2 => Coding::Delta,
            _ => return None,
        };
        Some(Self {
            ordinal: u32::from_le_bytes([o0, o1, o2, o3]),
            class: PackClass::from_code(class)?,
            coding,
            sealed_bytes: u32::from_le_bytes([s0, s1, s2, s3]),
        })
    }
}

/// A payload whose table was found to fit.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    /// Where each chunk ends.
    ends: Vec<u32>,
    stands_alone: bool,
}

impl Payload {
    /// Believes nothing: a seal shows who wrote the bytes, not that they were written well.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let ends = payload_ends(&bytes)?;
        Some(Self { bytes, ends, stands_alone: true })
    }

    /// What a delta frame gave: `bytes`, cut as its head says.
    pub(super) fn of_delta(bytes: Vec<u8>, lengths: &[u32]) -> Option<Self> {
        let mut end = 0_u32;
        let mut ends = Vec::with_capacity(lengths.len());
        for length in lengths {
            end = end.checked_add(*length)?;
            ends.push(end);
        }
        (end as usize == bytes.len()).then_some(Self { bytes, ends, stands_alone: false })
    }

    /// Whether no other frame is needed to read it.
    pub(super) const fn stands_alone(&self) -> bool {
        self.stands_alone
    }

    pub(super) fn chunks(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn chunk(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        Some(&self.bytes[start..end])
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + 4 * self.ends.len()
    }
}

/// Where each chunk of a payload ends.
pub(super) fn payload_ends(bytes: &[u8]) -> Option<Vec<u32>> {
    let (rest, count) = bytes.split_last_chunk::<2>()?;
    let count = usize::from(u16::from_le_bytes(*count));
    let data_bytes = rest.len().checked_sub(4 * count)?;
    let (lengths, _) = rest[data_bytes..].as_chunks::<4>();
    let mut end = 0_u32;
    let mut ends = Vec::with_capacity(count);
    for length in lengths {
        end = end.checked_add(u32::from_le_bytes(*length))?;
        ends.push(end);
    }
    (count > 0 && end as usize == data_bytes).then_some(ends)
}

/// Appends the table to the chunks in `data`, which makes it a payload.
pub(super) fn append_table(data: &mut Vec<u8>, lengths: &[u32]) {
    debug_assert!(lengths.len() <= FRAME_CHUNKS_MAX);
    for length in lengths {
        data.extend_from_slice(&length.to_le_bytes());
    }
    let count = u16::try_from(lengths.len()).expect("a bundle is flushed before it has more");
    data.extend_from_slice(&count.to_le_bytes());
}

/// How closely a payload is looked at before it is given up as incompressible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is compressed.
    Whole,
    /// Parts of it are compressed first: if they do not shrink, none of it will.
    Sample,
    /// It is known for what does not shrink, and only held against that by how frequent the values
    /// of its bytes are.
    Values,
}

/// One worker's compressor and decompressor, kept between frames.
pub(super) struct Codec {
    compressor: CCtx<'static>,
    decompressor: DCtx<'static>,
    compression: Compression,
}

/// zstd failed where it cannot, or met what is not zstd.
#[derive(Debug)]
pub(super) struct CodecError(pub(super) &'static str);

impl Codec {
    pub(super) fn new(compression: Compression) -> Self {
        Self { compressor: CCtx::create(), decompressor: DCtx::create(), compression }
    }

    /// Writes `payload` compressed to `out` from `start` on, if that pays; where it ends. Otherwise
    /// it is to be stored as it is.
    ///
    /// `out` only grows, and may be longer than what was written: a buffer that is cut to length
    /// would be filled with zeros again for the next frame.
    pub(super) fn encode(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        start: usize,
        look: Look,
    ) -> Result<Option<usize>, CodecError> {
        let failed = |code| CodecError(zstd_safe::get_error_name(code));
        let room = start + zstd_safe::compress_bound(payload.len());
        if out.len() < room {
            out.resize(room, 0);
        }
        let Compression::Level(level) = self.compression else {
            return Ok(None);
        };
        self.compressor.reset(ResetDirective::SessionOnly).map_err(failed)?;
        let level = CParameter::CompressionLevel(i32::from(level));
        self.compressor.set_parameter(level).map_err(failed)?;
        if look == Look::Values && media::seems_random(payload) {
            return Ok(None);
        }
        if look != Look::Whole && self.seems_random(payload, &mut out[start..])? {
            return Ok(None);
        }
        let written = self.compressor.compress2(&mut out[start..], payload).map_err(failed)?;
        // A gain below one part in 32 is not worth a decompression at every read.
        if written < payload.len() - payload.len() / 32 {
            return Ok(Some(start + written));
        }
        Ok(None)
    }

    /// Whether samples of `payload` do not shrink. Pictures, archives and the like: to find that out
    /// from all of it takes as long as everything else that is done with it.
    fn seems_random(&mut self, payload: &[u8], out: &mut [u8]) -> Result<bool, CodecError> {
        const SAMPLE_BYTES: usize = 4 << 10;
        const SAMPLES: usize = 8;
        const RARELY_WORTH_IT: usize = 64 << 10;
        if payload.len() < RARELY_WORTH_IT {
            return Ok(false);
        }
        let step = payload.len() / SAMPLES;
        for sample in payload.chunks(step).filter_map(|part| part.get(..SAMPLE_BYTES)) {
            let written = self.compressor.compress2(out, sample);
            let written = written.map_err(|code| CodecError(zstd_safe::get_error_name(code)))?;
            if written < SAMPLE_BYTES - SAMPLE_BYTES / 64 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Undoes [`Self::encode`] into `payload`, whose former content goes.
    pub(super) fn decode(
        &mut self,
        coding: Coding,
        encoded: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match coding {
            Coding::Zstd => {}
            Coding::Raw => {
                payload.clear();
                payload.extend_from_slice(encoded);
                return Ok(());
            }
            Coding::Delta => return Err(CodecError("it needs the chunks that it builds on")),
        }
        let bytes = zstd_safe::get_frame_content_size(encoded)
            .ok()
            .flatten()
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| *bytes <= FRAME_BYTES_MAX)
            .ok_or(CodecError("it does not name a length within the limits"))?;
        // Written over the room of a vector, which nobody has to fill with zeros first.
        payload.clear();
        payload.reserve_exact(bytes);
        let written = self
            .decompressor
            .decompress(payload, encoded)
            .map_err(|code| CodecError(zstd_safe::get_error_name(code)))?;
        if written == bytes { Ok(()) } else { Err(CodecError("it is shorter than it says")) }
    }

    /// Undoes [`super::delta::encode`]: gives `bytes` bytes.
    pub(super) fn decode_after(
        &mut self,
        prefix: &[u8],
        encoded: &[u8],
        bytes: usize,
    ) -> Result<Vec<u8>, CodecError> {
        super::delta::decode(&mut self.decompressor, prefix, encoded, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_that_does_not_fit_its_data_is_refused() {
        let mut good = b"abcde".to_vec();
        append_table(&mut good, &[2, 3]);
        let payload = Payload::parse(good.clone()).unwrap();
        assert_eq!((payload.chunk(0), payload.chunk(1)), (Some(&b"ab"[..]), Some(&b"cde"[..])));
        assert_eq!(payload.chunk(2), None);
        for cut in 0..good.len() {
            assert!(Payload::parse(good[..cut].to_vec()).is_none(), "{cut} bytes");
        }
        for hostile in [&[0xff; 2][..], &[0xff; 64], b"", &[0, 0]] {
            assert!(Payload::parse(hostile.to_vec()).is_none());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(payload in proptest::collection::vec(any::<u8>(), 0..5000), repeat in 1..9_usize) {
            let payload = payload.repeat(repeat);
            let mut codec = Codec::new(Compression::Level(1));
            let mut encoded = b"before".to_vec();
            let end = codec.encode(&payload, &mut encoded, 6, Look::Whole).unwrap();
            let mut decoded = b"what was there".to_vec();
            match end {
                Some(end) => codec.decode(Coding::Zstd, &encoded[6..end], &mut decoded).unwrap(),
                None => codec.decode(Coding::Raw, &payload, &mut decoded).unwrap(),
            }
            prop_assert!(end.is_none_or(|end| end - 6 < payload.len()));
            prop_assert_eq!(decoded, payload);
        }
    }
}
