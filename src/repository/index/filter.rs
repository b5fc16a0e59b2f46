//! Tells most strangers from a table's own ids, without looking into the table.
//!
//! A Bloom filter in blocks of one cache line: an id sets seven bits of one block. Ids are hashes
//! already, so parts of them serve as its hash functions, and nothing is hashed. Ten bits an id let
//! one stranger in a hundred through. A binary fuse filter takes nine and lets one in 256 through,
//! but it needs all ids at once to be made; this one is filled while tables are merged.

use std::io;

use crate::repository::id::ChunkId;

pub(super) const BLOCK_BYTES: usize = 64;
const BITS_PER_ID: usize = 10;
const BITS_OF_AN_ID: u32 = 7;

/// The filter of a table of some ids, in whole blocks.
pub(super) struct Filter {
    blocks: Vec<u8>,
}

impl Filter {
    /// How many bytes the filter of so many ids has.
    pub(super) const fn bytes_for(ids: usize) -> usize {
        (ids * BITS_PER_ID).div_ceil(8 * BLOCK_BYTES) * BLOCK_BYTES
    }

    /// For so many ids, none of them in it.
    pub(super) fn new(ids: usize) -> Self {
        Self { blocks: vec![0; Self::bytes_for(ids)] }
    }

    /// What was written; `None` if it is not the filter of so many ids.
    pub(super) fn from_bytes(blocks: Vec<u8>, ids: usize) -> Option<Self> {
        (blocks.len() == Self::bytes_for(ids)).then_some(Self { blocks })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.blocks
    }

    pub(super) fn add(&mut self, id: &ChunkId) {
        let count = self.blocks.len() / BLOCK_BYTES;
        let start = block_of(id, count) * BLOCK_BYTES;
        let block = &mut self.blocks[start..start + BLOCK_BYTES];
        for bit in bits_of(id) {
            block[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// `false` only if the id was never added.
    pub(super) fn may_hold(&self, id: &ChunkId) -> bool {
        let count = self.blocks.len() / BLOCK_BYTES;
        let start = block_of(id, count) * BLOCK_BYTES;
        count > 0 && has_bits(&self.blocks[start..start + BLOCK_BYTES], id)
    }
}

/// The same of a filter that lies elsewhere, of which `read` reads one block.
pub(super) fn may_hold_at(
    ids: usize,
    id: &ChunkId,
    read: impl FnOnce(usize, &mut [u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let count = Filter::bytes_for(ids) / BLOCK_BYTES;
    if count == 0 {
        return Ok(false);
    }
    let mut block = [0; BLOCK_BYTES];
    read(block_of(id, count) * BLOCK_BYTES, &mut block)?;
    Ok(has_bits(&block, id))
}

/// Not the first bytes: they say where in the table an id is, and its neighbours share them.
fn block_of(id: &ChunkId, count: usize) -> usize {
    let part = u64_at(id, 8);
    usize::try_from((u128::from(part) * count as u128) >> 64).expect("below the count")
}

fn bits_of(id: &ChunkId) -> impl Iterator<Item = usize> {
    let part = u64_at(id, 16);
    (0..BITS_OF_AN_ID).map(move |number| {
        usize::try_from(part >> (9 * number) & 0x1ff).expect("nine bits of a block's 512")
    })
}

fn has_bits(block: &[u8], id: &ChunkId) -> bool {
    bits_of(id).all(|bit| block[bit / 8] >> (bit % 8) & 1 == 1)
}

fn u64_at(id: &ChunkId, at: usize) -> u64 {
    let part = id.as_bytes()[at..].first_chunk().expect("an id has 32 bytes");
    u64::from_le_bytes(*part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ChunkId {
        ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn a_filter_knows_all_its_ids_and_few_others() {
        let count = 20_000;
        let mut filter = Filter::new(count as usize);
        (0..count).for_each(|number| filter.add(&id(number)));
        assert!((0..count).all(|number| filter.may_hold(&id(number))));
        let let_through = (count..3 * count).filter(|number| filter.may_hold(&id(*number))).count();
        assert!(let_through < 2 * count as usize / 50, "{let_through}");
        let elsewhere = |id: &ChunkId| {
            may_hold_at(count as usize, id, |at, into| {
                into.copy_from_slice(&filter.as_bytes()[at..at + into.len()]);
                Ok(())
            })
        };
        assert!((0..3 * count).all(|n| elsewhere(&id(n)).unwrap() == filter.may_hold(&id(n))));
    }

    #[test]
    fn nothing_is_in_the_filter_of_nothing() {
        assert!(!Filter::new(0).may_hold(&id(1)));
        assert!(!may_hold_at(0, &id(1), |_, _| unreachable!()).unwrap());
    }
}
