//! Where the stream of a table's rows is cut into chunks.
//!
//! A row ends a chunk when the keyed hash of its *key* is below a threshold in proportion to the
//! row's size, so that a chunk has [`CUT_TARGET`] bytes on average. Three things follow. A change
//! of a row changes its own chunk, and an inserted or deleted row at most the two around it. Equal
//! rows are cut equally wherever they are read, since nothing depends on estimates of the server
//! (`AVG_ROW_LENGTH` drifts daily). And a chunk is a range of keys.
//!
//! Rows are not searched by a rolling hash: the database already says where a row ends.

use blake3::Hasher;

/// What a chunk of rows has on average. Stored with every state, and the live database is read
/// with the stored value, so it may change without making old states incomparable.
pub const CUT_TARGET: u32 = 64 * 1024;

/// At the end of a row a chunk this large is cut, whatever the hash says.
const CHUNK_BYTES_SOFT: usize = 256 * 1024;

/// No chunk is larger: a row beyond it is spread over several.
pub const PIECE_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(CHUNK_BYTES_SOFT < PIECE_BYTES_MAX, "a chunk at its soft end is a piece");

/// Collects encoded rows and hands out chunks.
#[derive(Debug)]
pub struct Cutter {
    keyed: Hasher,
    target: u64,
    bytes: Vec<u8>,
    rows: u32,
}

impl Cutter {
    /// A cutter for chunks of `target` bytes; `keyed` is this repository's hasher for cuts.
    pub fn new(keyed: Hasher, target: u32) -> Self {
        let target = u64::from(target.max(1));
        Self { keyed, target, bytes: Vec::with_capacity(CHUNK_BYTES_SOFT * 2), rows: 0 }
    }

    /// Where the next row is to be encoded: appended, and followed by [`Self::end_row`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends a row of `row_bytes` bytes with this `key`. `emit` gets every chunk that is complete,
    /// and how many rows begin in it.
    pub fn end_row<E>(
        &mut self,
        key: &[u8],
        row_bytes: usize,
        emit: &mut impl FnMut(&[u8], u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rows += 1;
        while self.bytes.len() > PIECE_BYTES_MAX {
            emit(&self.bytes[..PIECE_BYTES_MAX], std::mem::take(&mut self.rows))?;
            self.bytes.drain(..PIECE_BYTES_MAX);
        }
        if self.bytes.len() >= CHUNK_BYTES_SOFT || self.is_end(key, row_bytes) {
            self.flush(emit)?;
        }
        Ok(())
    }

    /// Hands out what is left after the last row.
    pub fn flush<E>(
        &mut self,
        emit: &mut impl FnMut(&[u8], u32) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.bytes.is_empty() {
            emit(&self.bytes, std::mem::take(&mut self.rows))?;
            self.bytes.clear();
        }
        Ok(())
    }

    fn is_end(&mut self, key: &[u8], row_bytes: usize) -> bool {
        let digest = *self.keyed.reset().update(key).finalize().as_bytes();
        let hash = u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        // The threshold is 2^64 * row_bytes / target; compared without rounding.
        u128::from(hash) * u128::from(self.target) < (row_bytes as u128) << 64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn cutter() -> Cutter {
        Cutter::new(Hasher::new_keyed(&[7; 32]), CUT_TARGET)
    }

    /// The chunks of rows that are their key, `size` bytes long, and how many begin in each.
    fn chunks(rows: &BTreeMap<u32, usize>) -> Vec<(Vec<u8>, u32)> {
        let (mut cutter, mut out) = (cutter(), Vec::new());
        let mut emit = |bytes: &[u8], rows: u32| {
            out.push((bytes.to_vec(), rows));
            Ok::<(), Infallible>(())
        };
        for (key, size) in rows {
            let key = key.to_be_bytes();
            cutter.buffer().extend(key.iter().cycle().take(*size));
            cutter.end_row(&key, *size, &mut emit).expect("infallible");
        }
        cutter.flush(&mut emit).expect("infallible");
        out
    }

    fn table(rows: u32, size: usize) -> BTreeMap<u32, usize> {
        (0..rows).map(|key| (key, size)).collect()
    }

    #[test]
    fn version_1_cuts_stay_where_they_are_for_ever() {
        let cuts: Vec<u32> = chunks(&table(4_000, 200)).iter().map(|(_, rows)| *rows).collect();
        let golden =
            [673, 20, 817, 436, 276, 92, 65, 103, 134, 149, 61, 71, 458, 194, 245, 101, 105];
        assert_eq!(cuts, golden);
    }

    #[test]
    fn chunks_are_of_the_target_size_on_average_whatever_the_size_of_a_row() {
        for (rows, size) in [(200_000, 40), (20_000, 400), (2_000, 6_000)] {
            let chunks = chunks(&table(rows, size));
            let mean = rows as usize * size / chunks.len();
            assert!((50_000..80_000).contains(&mean), "rows of {size}: chunks of {mean}");
        }
    }

    #[test]
    fn a_changed_inserted_or_deleted_row_changes_at_most_two_chunks() {
        let before = table(8_000, 200);
        let mut changes: Vec<BTreeMap<u32, usize>> = Vec::new();
        for key in [0, 3_777, 7_999] {
            let mut changed = before.clone();
            changed.insert(key, 230);
            changes.push(changed);
            let mut deleted = before.clone();
            deleted.remove(&key);
            changes.push(deleted);
        }
        let mut inserted = before.clone();
        inserted.insert(1_000_000, 200);
        changes.push(inserted);

        let old: Vec<_> = chunks(&before).into_iter().map(|(bytes, _)| bytes).collect();
        for after in changes {
            let new = chunks(&after);
            let fresh = new.iter().filter(|(bytes, _)| !old.contains(bytes)).count();
            assert!(fresh <= 2, "{fresh} of {} chunks are new", new.len());
        }
    }

    #[test]
    fn a_row_larger_than_a_chunk_is_spread_over_several() {
        let chunks = chunks(&BTreeMap::from([(1, 10), (2, PIECE_BYTES_MAX * 2 + 5), (3, 10)]));
        assert!(chunks.iter().all(|(bytes, _)| bytes.len() <= PIECE_BYTES_MAX));
        assert_eq!(chunks.iter().map(|(_, rows)| rows).sum::<u32>(), 3);
        let total: usize = chunks.iter().map(|(bytes, _)| bytes.len()).sum();
        assert_eq!(total, PIECE_BYTES_MAX * 2 + 25);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_chunk_is_empty_or_too_large(
            sizes in proptest::collection::vec(1_usize..90_000, 0..60),
        ) {
            let rows: BTreeMap<u32, usize> = (0..).zip(sizes).collect();
            let chunks = chunks(&rows);
            prop_assert!(chunks.iter().all(|(bytes, _)| (1..=PIECE_BYTES_MAX).contains(&bytes.len())));
            let total: usize = chunks.iter().map(|(bytes, _)| bytes.len()).sum();
            prop_assert_eq!(total, rows.values().sum::<usize>());
            prop_assert_eq!(chunks.iter().map(|(_, rows)| *rows as usize).sum::<usize>(), rows.len());
        }
    }
}
