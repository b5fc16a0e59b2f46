//! The digest of a database: equal exactly when the content is, wherever the data lies.
//!
//! What goes in, and in which order, is fixed by STATE.md, "Digests". Every part is preceded by its
//! length, so that no two different contents are the same bytes.

use blake3::Hasher;

use super::Fingerprint;
use super::state::ObjectRecord;
use crate::repository::Repository;

/// The keyed hashers of one repository, each for one use.
#[derive(Clone, Debug)]
pub(super) struct Hashers {
    /// Decides where the stream of rows is cut.
    pub(super) cuts: Hasher,
    /// Over the chunk ids of a table.
    pub(super) rows: Hasher,
    /// Over one row of a table without a key.
    pub(super) row: Hasher,
    /// Over one definition.
    pub(super) definition: Hasher,
    /// Over all objects.
    pub(super) state: Hasher,
}

impl Hashers {
    pub(super) fn of(repository: &Repository) -> Self {
        Self {
            cuts: repository.hasher("database cuts v1"),
            rows: repository.hasher("database rows v1"),
            row: repository.hasher("database row v1"),
            definition: repository.hasher("database definition v1"),
            state: repository.hasher("database fingerprint v1"),
        }
    }

    /// The digest of a definition's parts.
    pub(super) fn definition(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = self.definition.clone();
        for part in parts {
            add(&mut hasher, part);
        }
        *hasher.finalize().as_bytes()
    }

    /// The digest of all `objects`, which are sorted by kind and name.
    pub(super) fn fingerprint(&self, objects: &[ObjectRecord]) -> Fingerprint {
        debug_assert!(objects.is_sorted_by_key(|one| (one.kind, one.name.clone())));
        let mut hasher = self.state.clone();
        for one in objects {
            hasher.update(&one.kind.to_le_bytes());
            add(&mut hasher, one.name.as_bytes());
            hasher.update(&one.definition);
            hasher.update(&one.rows_digest);
            hasher.update(&one.rows.to_le_bytes());
            // No counter is not the same as a counter of 0.
            hasher.update(&[u8::from(one.auto_increment.is_some())]);
            hasher.update(&one.auto_increment.unwrap_or(0).to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

fn add(hasher: &mut Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// The sum modulo 2^256 of the hashes of rows: the same in whatever order they come, and another
/// one if a row comes once more.
#[derive(Clone, Debug)]
pub(super) struct RowSum {
    hasher: Hasher,
    sum: [u64; 4],
}

impl RowSum {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self { hasher, sum: [0; 4] }
    }

    pub(super) fn add(&mut self, row: &[u8]) {
        let digest = *self.hasher.reset().update(row).finalize().as_bytes();
        let mut carry = false;
        for (sum, bytes) in self.sum.iter_mut().zip(digest.as_chunks::<8>().0) {
            let (with_row, over) = sum.overflowing_add(u64::from_le_bytes(*bytes));
            let (with_carry, over_again) = with_row.overflowing_add(carry.into());
            (*sum, carry) = (with_carry, over | over_again);
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (bytes, limb) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.sum) {
            *bytes = limb.to_le_bytes();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(rows: &[Vec<u8>]) -> [u8; 32] {
        let mut sum = RowSum::new(Hasher::new_keyed(&[1; 32]));
        for row in rows {
            sum.add(row);
        }
        sum.finish()
    }

    fn object(kind: u32, name: &str) -> ObjectRecord {
        ObjectRecord {
            kind,
            name: name.to_owned(),
            definition: [0; 32],
            rows_digest: [0; 32],
            rows: 0,
            bytes: 0,
            auto_increment: None,
            chunk: None,
        }
    }

    fn hashers() -> Hashers {
        let hasher = Hasher::new_keyed(&[2; 32]);
        Hashers {
            cuts: hasher.clone(),
            rows: hasher.clone(),
            row: hasher.clone(),
            definition: hasher.clone(),
            state: hasher,
        }
    }

    #[test]
    fn every_part_of_an_object_counts_and_nothing_else_does() {
        let plain = vec![object(2, "a"), object(2, "b")];
        let before = hashers().fingerprint(&plain);
        let changes: [fn(&mut ObjectRecord); 6] = [
            |one| one.kind = 1,
            |one| one.name = "A".into(),
            |one| one.definition[31] = 1,
            |one| one.rows_digest[0] = 1,
            |one| one.rows = 1,
            |one| one.auto_increment = Some(0),
        ];
        for change in changes {
            let mut changed = plain.clone();
            change(&mut changed[0]);
            assert_ne!(hashers().fingerprint(&changed), before);
        }
        let mut moved = plain.clone();
        (moved[0].bytes, moved[0].chunk) = (9, Some(crate::database::state::Id([1; 32])));
        assert_eq!(hashers().fingerprint(&moved), before);
        assert_ne!(hashers().fingerprint(&plain[..1]), before);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hashers().definition(&[b"ab", b"c"]), hashers().definition(&[b"a", b"bc"]));
    }

    proptest! {
        #[test]
        fn the_sum_of_rows_knows_no_order_but_counts_each(
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..12),
            turn in 0_usize..12,
        ) {
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            prop_assert_eq!(sum(&turned), sum(&rows));
            let mut more = rows.clone();
            more.push(rows[0].clone());
            prop_assert_ne!(sum(&more), sum(&rows));
        }
    }
}
