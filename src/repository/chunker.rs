//! Where a large file is cut: FastCDC v2020, with a gear table seeded by the repository.
//!
//! The cuts decide ids, so they are part of the format: the crate is pinned, and the golden
//! vectors below are quoted in FORMAT.md.

use std::borrow::Cow;

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};

use super::format::Cutting;

/// Finds cuts. One for a repository; used by all threads.
pub(super) struct Chunker {
    whole_bytes_max: usize,
    min: usize,
    avg: usize,
    max: usize,
    mask_s: u64,
    mask_l: u64,
    gear: Cow<'static, [u64]>,
    gear_ls: Cow<'static, [u64]>,
}

impl Chunker {
    pub(super) fn new(cutting: &Cutting, seed: u64) -> Self {
        let avg = cutting.chunk_bytes_avg as usize;
        let (mask_s, mask_l) = select_masks(avg, Normalization::Level1);
        let (gear, gear_ls) = get_gear_with_seed(seed);
        Self {
            whole_bytes_max: cutting.whole_bytes_max as usize,
            min: cutting.chunk_bytes_min as usize,
            avg,
            max: cutting.chunk_bytes_max as usize,
            mask_s,
            mask_l,
            gear,
            gear_ls,
        }
    }

    /// A file up to this long is one chunk.
    pub(super) fn whole_bytes_max(&self) -> usize {
        self.whole_bytes_max
    }

    /// How many bytes must follow for a cut that is not the file's end to be final.
    pub(super) fn chunk_bytes_max(&self) -> usize {
        self.max
    }

    /// The length of the first chunk of `rest`, which holds the file's end or at least
    /// [`Self::chunk_bytes_max`] bytes.
    pub(super) fn first_cut(&self, rest: &[u8]) -> usize {
        let (_, length) = cut_gear(
            rest,
            self.min,
            self.avg,
            self.max,
            self.mask_s,
            self.mask_l,
            self.mask_s << 1,
            self.mask_l << 1,
            &self.gear,
            &self.gear_ls,
        );
        length
    }
}

#[cfg(test)]
mod tests {
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
            let length = chunker.first_cut(rest);
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
}
