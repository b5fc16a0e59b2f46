//! Where a large file is cut: FastCDC v2020, with a gear table seeded by the repository; media and
//! archives at fixed places, if the repository was made so.
//!
//! The cuts decide ids, so they are part of the format: the crates are pinned, and the golden
//! vectors below are quoted in FORMAT.md. Table and masks come from the crate `fastcdc`; the places
//! are found by the crate `gearhash`, which hashes with the vectors of the processor and takes half the
//! time. A property holds the two against each other.

use std::ops::Range;
use std::sync::OnceLock;

use fastcdc::v2020::{Normalization, get_gear_with_seed, select_masks};
use gearhash::Hasher;

use super::format::{Cutting, FASTCDC_2020, FASTCDC_2020_AND_NOISE};
use super::media::{Kind, kind_of};

/// Finds cuts. One for a repository; used by all threads.
pub(super) struct Chunker {
    knows_media: bool,
    knows_noise: bool,
    whole_bytes_max: usize,
    min: usize,
    avg: usize,
    max: usize,
    mask_s: u64,
    mask_l: u64,
    gear: Box<[u64; 256]>,
    /// Where zeros are cut, once there were some.
    pub(super) zeros: OnceLock<usize>,
}

/// The hash of a place is made of so many bytes before it: each moves it by one bit.
const HASHED_BYTES: usize = 64;

impl Chunker {
    pub(super) fn new(cutting: &Cutting, seed: u64) -> Self {
        let avg = cutting.chunk_bytes_avg as usize;
        let (mask_s, mask_l) = select_masks(avg, Normalization::Level1);
        let (gear, _) = get_gear_with_seed(seed);
        Self {
            knows_media: cutting.chunker != FASTCDC_2020,
            knows_noise: cutting.chunker == FASTCDC_2020_AND_NOISE,
            whole_bytes_max: cutting.whole_bytes_max as usize,
            min: cutting.chunk_bytes_min as usize,
            avg,
            max: cutting.chunk_bytes_max as usize,
            mask_s,
            mask_l,
            gear: Box::new(gear.as_ref().try_into().expect("a byte has 256 values")),
            zeros: OnceLock::new(),
        }
    }

    /// A file up to this long is one chunk.
    pub(super) fn whole_bytes_max(&self) -> usize {
        self.whole_bytes_max
    }

    /// The longest chunk of a longer one.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// How the file is cut that begins with `head`, which is longer than [`Self::whole_bytes_max`].
    pub(super) fn kind_of(&self, head: &[u8]) -> Kind {
        if self.knows_media { kind_of(head, self.knows_noise) } else { Kind::Ordinary }
    }

    /// The length of the first chunk of `rest`, if its bytes show it. They do if they hold the file's
    /// end, as `ended` says, or as many bytes as a chunk may have; fewer may do too. The first
    /// `searched` of them were given before, and did not.
    pub(super) fn first_cut(
        &self,
        kind: Kind,
        rest: &[u8],
        searched: usize,
        ended: bool,
    ) -> Option<usize> {
        let bytes = rest.len().min(self.max);
        let is_all = ended || bytes == self.max;
        if kind == Kind::Media {
            return is_all.then_some(bytes);
        }
        // Places are looked at in pairs, from an even one on: the last byte of an odd end is not.
        let end = bytes - bytes % 2;
        let turn = self.avg.clamp(self.min, end.max(self.min));
        let from = searched - searched % 2;
        let found = self.find(rest, from.max(self.min)..turn, self.mask_s);
        let found = found.or_else(|| self.find(rest, from.max(turn)..end, self.mask_l));
        found.or(is_all.then_some(bytes))
    }

    /// The first place in `range` where the hash has none of the bits of `mask`.
    fn find(&self, rest: &[u8], range: Range<usize>, mask: u64) -> Option<usize> {
        let Range { start, end } = range;
        if start >= end {
            return None;
        }
        let mut hasher = Hasher::new(&self.gear);
        // Each chunk begins with an empty hash at its shortest length.
        let before = start.saturating_sub(HASHED_BYTES).max(self.min);
        hasher.update(&rest[before..start]);
        hasher.next_match(&rest[start..end], mask).map(|taken| start + taken - 1)
    }
}

#[cfg(test)]
mod tests {
    use fastcdc::v2020::cut_gear;
    use proptest::prelude::*;

    use super::*;
    use crate::repository::format::Config;
    use crate::repository::id::RepositoryId;

    fn chunker(seed: u64) -> Chunker {
        let config = Config::new(&RepositoryId::from_bytes([0; 32]), 0);
        Chunker::new(&config.cutting, seed)
    }

    /// Bytes that any implementation of BLAKE3 can make: the extended output of its derive mode.
    fn golden_bytes(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new_derive_key("snap-backup golden bytes").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cuts(chunker: &Chunker, mut rest: &[u8]) -> Vec<usize> {
        let mut cuts = Vec::new();
        while !rest.is_empty() {
            let length =
                chunker.first_cut(Kind::Ordinary, rest, 0, true).expect("it holds the end");
            cuts.push(length);
            rest = &rest[length..];
        }
        cuts
    }

    #[test]
    fn a_byte_at_the_head_moves_few_cuts() {
        let bytes = golden_bytes(8 << 20);
        let chunker = chunker(42);
        let before = cuts(&chunker, &bytes);
        let mut longer = vec![b'x'];
        longer.extend_from_slice(&bytes);
        let after = cuts(&chunker, &longer);
        let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(before.len() - same < 3, "{} of {} cuts moved", before.len() - same, before.len());
    }

    /// As the crate cuts that the format names.
    fn cuts_of_the_crate(cutting: &Cutting, seed: u64, mut rest: &[u8]) -> Vec<usize> {
        let (gear, gear_ls) = get_gear_with_seed(seed);
        let [min, avg, max] =
            [cutting.chunk_bytes_min, cutting.chunk_bytes_avg, cutting.chunk_bytes_max]
                .map(|bytes| bytes as usize);
        let (s, l) = select_masks(avg, Normalization::Level1);
        let mut cuts = Vec::new();
        while !rest.is_empty() {
            let (_, length) = cut_gear(rest, min, avg, max, s, l, s << 1, l << 1, &gear, &gear_ls);
            cuts.push(length);
            rest = &rest[length..];
        }
        cuts
    }

    /// The same, given `step` bytes more whenever those there show no cut.
    fn cuts_in_steps(chunker: &Chunker, kind: Kind, bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut cuts, mut start, mut filled, mut searched) = (Vec::new(), 0, 0, 0);
        while start < bytes.len() {
            let rest = &bytes[start..filled];
            let ended = filled == bytes.len();
            if let Some(length) = chunker.first_cut(kind, rest, searched, ended) {
                cuts.push(length);
                start += length;
                searched = 0;
            } else {
                searched = rest.len();
                filled = (filled + step).min(bytes.len());
            }
        }
        cuts
    }

    proptest! {
        #[test]
        fn cuts_are_those_of_the_crate_that_the_format_names(
            seed in any::<u64>(),
            noise in proptest::collection::vec(any::<u8>(), 1..3000),
            repeat in 1..60_usize,
            few in any::<bool>(),
            step in 1..5000_usize,
            sizes in 0..3_u32,
        ) {
            let bytes = if few {
                // Text with lines that come again.
                noise.iter().map(|byte| b"etaoin shrdlu\n"[usize::from(byte % 14)]).collect::<Vec<_>>()
            } else {
                noise
            };
            let bytes = bytes.repeat(repeat);
            let cutting = Cutting {
                chunk_bytes_min: 64 << sizes,
                chunk_bytes_avg: 256 << sizes,
                chunk_bytes_max: 1024 << sizes,
                ..Config::new(&RepositoryId::from_bytes([0; 32]), 0).cutting
            };
            let chunker = Chunker::new(&cutting, seed);
            let wanted = cuts_of_the_crate(&cutting, seed, &bytes);
            prop_assert_eq!(&cuts(&chunker, &bytes), &wanted);
            prop_assert_eq!(&cuts_in_steps(&chunker, Kind::Ordinary, &bytes, step), &wanted);
            prop_assert_eq!(wanted.iter().sum::<usize>(), bytes.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn media_are_cut_at_multiples_of_the_longest_chunk_and_all_else_as_before(
            bytes in (256_usize << 10) + 1..5 << 20,
            magic in prop_oneof![Just(&b"PK\x03\x04"[..]), Just(&b"%PDF"[..]), Just(&b"\xff\xd8\xff"[..])],
            step in 100_000..400_000_usize,
            seed in any::<u64>(),
        ) {
            let mut plain = golden_bytes(bytes);
            // Without a magic that is known, a head that is no noise.
            plain[..2_000].fill(b' ');
            plain[..magic.len()].copy_from_slice(magic);
            let cutting = Config::new(&RepositoryId::from_bytes([0; 32]), 0).cutting;
            let of_old = Cutting { chunker: FASTCDC_2020, ..cutting };
            let (chunker, of_old) = (Chunker::new(&cutting, seed), Chunker::new(&of_old, seed));
            prop_assert_eq!(of_old.kind_of(&plain), Kind::Ordinary);
            let kind = chunker.kind_of(&plain[..=256 << 10]);
            prop_assert_eq!(kind, chunker.kind_of(&plain), "only its beginning counts");
            prop_assert_eq!(kind == Kind::Media, magic != b"%PDF");
            let lengths = cuts_in_steps(&chunker, kind, &plain, step);
            prop_assert_eq!(lengths.iter().sum::<usize>(), bytes);
            if kind == Kind::Media {
                let (last, before) = lengths.split_last().unwrap();
                prop_assert!(before.iter().all(|length| *length == 1 << 20));
                prop_assert!((1..=1 << 20).contains(last));
            } else {
                prop_assert_eq!(lengths, cuts(&of_old, &plain));
            }
        }
    }

    #[test]
    fn cuts_of_the_sizes_in_use_are_those_of_the_crate() {
        let mut bytes = golden_bytes(3 << 20);
        bytes.extend_from_slice(&b"the same line again and again\n".repeat(100_000));
        bytes.truncate(bytes.len() / 2 * 2 - 1);
        let cutting = Config::new(&RepositoryId::from_bytes([0; 32]), 0).cutting;
        for seed in [0, 42, u64::MAX] {
            let wanted = cuts_of_the_crate(&cutting, seed, &bytes);
            let chunker = chunker(seed);
            assert_eq!(cuts(&chunker, &bytes), wanted);
            assert_eq!(cuts_in_steps(&chunker, Kind::Ordinary, &bytes, 256 << 10), wanted);
            assert_eq!(cuts_in_steps(&chunker, Kind::Ordinary, &bytes, 99_991), wanted);
        }
    }
}
