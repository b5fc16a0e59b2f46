//! Delta frames: chunks compressed against older ones, which are named by id.
//!
//! ```text
//! head: how many chunks · their ids · the chunk that each builds on · their lengths
//! one zstd frame over the chunks, with the bases before it in the window, each once, in the
//! order in which the head first names them
//! ```
//! A base lies in a frame that stands alone, so the depth is exactly one: no chain grows, and a
//! chunk is never more than two frames away. Bases are named by id, so packs may be rewritten.
//! The head names the chunks too, so that a scan learns what a frame holds without its bases.

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx};

use super::format::{FRAME_BYTES_MAX, FRAME_CHUNKS_MAX};
use super::frame::CodecError;
use super::id::ChunkId;

/// What a repository says in its config that has such frames.
pub(super) const FEATURE: &str = "delta-frames";

/// For each chunk its id, its base and its length.
const CHUNK_HEAD_BYTES: usize = 32 + 32 + 4;

/// The window covers the bases and the chunks: 1 MiB each, and a chunk more where one is longer.
const WINDOW_LOG: u32 = 22;
/// The level's own tables are made for a window of half that: what lies at its far end, which is
/// where the bases begin, would have been forgotten.
const HASH_LOG: u32 = 18;
const LEVEL: i32 = 3;

/// What stands before the compressed chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) ids: Vec<ChunkId>,
    /// For each chunk the one that it builds on.
    pub(super) bases: Vec<ChunkId>,
    pub(super) lengths: Vec<u32>,
}

impl Head {
    /// How long the head of so many chunks is.
    pub(super) const fn bytes(chunks: usize) -> usize {
        2 + CHUNK_HEAD_BYTES * chunks
    }

    /// Layout: FORMAT.md, "Delta frame".
    pub(super) fn encode(&self) -> Vec<u8> {
        debug_assert!(self.ids.len() <= FRAME_CHUNKS_MAX && self.ids.len() == self.bases.len());
        let count = u16::try_from(self.ids.len()).expect("a bundle is flushed before it has more");
        let mut out = Vec::with_capacity(Self::bytes(self.ids.len()));
        out.extend_from_slice(&count.to_le_bytes());
        out.extend(self.ids.iter().flat_map(ChunkId::as_bytes));
        out.extend(self.bases.iter().flat_map(ChunkId::as_bytes));
        out.extend(self.lengths.iter().flat_map(|length| length.to_le_bytes()));
        out
    }

    /// Takes a head apart from what follows it; believes nothing.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, rest) = bytes.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_le_bytes(*count));
        let (ids, rest) = rest.split_at_checked(32 * count)?;
        let (bases, rest) = rest.split_at_checked(32 * count)?;
        let (lengths, rest) = rest.split_at_checked(4 * count)?;
        let ids_of =
            |raw: &[u8]| raw.as_chunks::<32>().0.iter().copied().map(ChunkId::from_bytes).collect();
        let lengths =
            lengths.as_chunks::<4>().0.iter().map(|raw| u32::from_le_bytes(*raw)).collect();
        let head = Self { ids: ids_of(ids), bases: ids_of(bases), lengths };
        let bounded = head.data_bytes().is_some_and(|bytes| bytes <= FRAME_BYTES_MAX);
        (count > 0 && bounded).then_some((head, rest))
    }

    /// How long the chunks are together.
    pub(super) fn data_bytes(&self) -> Option<usize> {
        self.lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length as usize))
    }

    /// The bases as they stand before the chunks: each once.
    pub(super) fn bases_once(&self) -> Vec<ChunkId> {
        let mut seen = std::collections::HashSet::new();
        self.bases.iter().copied().filter(|base| seen.insert(*base)).collect()
    }
}

/// Compresses `data` after `prefix` into `out` from `start` on; where it ends.
///
/// The context lives as long as the reference to its prefix, so there is one for each frame; the
/// allocator hands out the same memory again.
pub(super) fn encode(
    prefix: &[u8],
    data: &[u8],
    out: &mut Vec<u8>,
    start: usize,
) -> Result<usize, CodecError> {
    let failed = |code| CodecError(zstd_safe::get_error_name(code));
    let mut context = CCtx::create();
    let parameters = [
        CParameter::CompressionLevel(LEVEL),
        CParameter::WindowLog(WINDOW_LOG),
        CParameter::HashLog(HASH_LOG),
        CParameter::ChainLog(HASH_LOG),
    ];
    for parameter in parameters {
        context.set_parameter(parameter).map_err(failed)?;
    }
    context.ref_prefix(prefix).map_err(failed)?;
    let room = start + zstd_safe::compress_bound(data.len());
    if out.len() < room {
        out.resize(room, 0);
    }
    let written = context.compress2(&mut out[start..], data).map_err(failed)?;
    Ok(start + written)
}

/// How a dictionary in zstd's own layout begins. Any other is taken as it is, as a prefix is.
const DICTIONARY_MAGIC: [u8; 4] = 0xEC30_A437_u32.to_le_bytes();

/// Undoes [`encode`]: gives `bytes` bytes.
///
/// A context that keeps a reference to its prefix cannot be kept itself, and one takes as long to
/// make as many a delta to decode; so the prefix is given as a dictionary, which is the same to zstd.
pub(super) fn decode(
    kept: &mut DCtx<'_>,
    prefix: &[u8],
    encoded: &[u8],
    bytes: usize,
) -> Result<Vec<u8>, CodecError> {
    let failed = |code| CodecError(zstd_safe::get_error_name(code));
    let named = zstd_safe::get_frame_content_size(encoded).ok().flatten();
    if named != Some(bytes as u64) {
        return Err(CodecError("it does not name the length of its chunks"));
    }
    let mut data = Vec::with_capacity(bytes);
    let written = if prefix.starts_with(&DICTIONARY_MAGIC) {
        let mut context = DCtx::create();
        context.ref_prefix(prefix).map_err(failed)?;
        context.decompress(&mut data, encoded)
    } else {
        kept.decompress_using_dict(&mut data, encoded, prefix)
    };
    let written = written.map_err(failed)?;
    if written == bytes { Ok(data) } else { Err(CodecError("it is shorter than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::golden::{assert_golden, hex};
    use proptest::prelude::*;

    fn head() -> Head {
        let ids = |ids: [u8; 2]| ids.map(|n| ChunkId::from_bytes([n; 32])).to_vec();
        Head { ids: ids([1, 2]), bases: ids([0xb1, 0xb2]), lengths: vec![10, 20] }
    }

    #[test]
    fn a_golden_head_stays() {
        let bytes = head().encode();
        assert_golden("delta head", &hex(&bytes));
        assert_eq!(Head::decode(&bytes), Some((head(), &b""[..])));
        for cut in 0..bytes.len() {
            assert_eq!(Head::decode(&bytes[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn a_golden_delta_stays_readable() {
        let base = b"all work and no play makes jack a dull boy. ".repeat(4);
        let stream = crate::repository::tests::golden::bytes_of("delta stream");
        let expected = [&base[..], b"and so on"].concat();
        assert_eq!(undone(&base, &stream, expected.len()), expected);
    }

    fn undone(prefix: &[u8], stream: &[u8], bytes: usize) -> Vec<u8> {
        decode(&mut DCtx::create(), prefix, stream, bytes).unwrap()
    }

    #[test]
    fn a_base_that_looks_like_a_dictionary_is_a_base() {
        let base = [&DICTIONARY_MAGIC[..], &b"all work and no play ".repeat(9)].concat();
        let mut out = Vec::new();
        let end = encode(&base, &base, &mut out, 0).unwrap();
        assert_eq!(undone(&base, &out[..end], base.len()), base);
    }

    #[test]
    fn bases_stand_once_in_the_order_they_are_named() {
        let id = |n| ChunkId::from_bytes([n; 32]);
        let bases = vec![id(3), id(1), id(3), id(2), id(1)];
        let head = Head { bases, ..Head::default() };
        assert_eq!(head.bases_once(), [id(3), id(1), id(2)]);
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_against_a_prefix_is_decoded_with_it(
            prefix in proptest::collection::vec(any::<u8>(), 0..5000),
            own in proptest::collection::vec(any::<u8>(), 0..500),
        ) {
            let data = [&prefix[prefix.len() / 3..], &own[..]].concat();
            let mut out = b"before".to_vec();
            let end = encode(&prefix, &data, &mut out, 6).unwrap();
            prop_assert_eq!(&out[..6], b"before");
            prop_assert!(end - 6 <= own.len() + 100);
            prop_assert_eq!(undone(&prefix, &out[6..end], data.len()), data);
        }
    }
}
