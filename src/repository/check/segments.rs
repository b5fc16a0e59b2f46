//! The index, looked at segment by segment.

use std::collections::BTreeMap;

use super::CheckReport;
use crate::repository::error::RepositoryError;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::{Bytes, Cursor, Row, Table};
use crate::repository::object::ObjectKind;
use crate::repository::pack::Contents;
use crate::repository::repository::Inner;

/// What the segments say of each pack, each for itself.
pub(in crate::repository) type Said = BTreeMap<ObjectId, Vec<Sum>>;

/// Rows of one pack, added up so that their order does not matter: equal sums, equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) struct Sum {
    pub(super) rows: u64,
    hash: u128,
}

impl Sum {
    /// Sums up what a footer says.
    pub(in crate::repository) fn of(contents: &Contents) -> Self {
        let mut sum = Self::default();
        for (id, frame, chunk, bytes) in contents.chunks() {
            let place = contents.frames[frame as usize];
            let row = Row { pack: 0, frame, chunk, bytes };
            sum.add(&id, row, (place.offset, place.sealed_bytes));
        }
        sum
    }

    fn add(&mut self, id: &ChunkId, row: Row, place: (u32, u32)) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(id.as_bytes());
        for number in [row.frame, u32::from(row.chunk), row.bytes, place.0, place.1] {
            hasher.update(&number.to_le_bytes());
        }
        let hash = hasher.finalize();
        let half = hash.as_bytes().first_chunk().expect("a hash is longer");
        self.rows += 1;
        self.hash = self.hash.wrapping_add(u128::from_le_bytes(*half));
    }
}

/// Sums up what one table says of each of its packs; `None` if it is out of order.
fn sums_of(table: &Table) -> Option<Vec<(ObjectId, Sum)>> {
    let mut sums: Vec<_> = table.packs.iter().map(|pack| (pack.id, Sum::default())).collect();
    let mut cursor = Cursor::new(table);
    let mut before = None;
    while let Some((id, row)) = cursor.next().ok()? {
        let in_order = before <= Some((id, row)) && table.first_row(&id).ok()?.is_some();
        before = Some((id, row));
        let place = table.frame(row.pack, row.frame).ok()?;
        let (_, sum) = sums.get_mut(row.pack as usize).filter(|_| in_order)?;
        sum.add(&id, row, place);
    }
    Some(sums)
}

impl Inner {
    /// Opens every segment, past the local cache.
    pub(in crate::repository) fn check_segments(
        &self,
        report: &mut CheckReport,
    ) -> Result<Said, RepositoryError> {
        let mut said = Said::new();
        for name in self.backend.list(ObjectKind::Index)? {
            report.segments += 1;
            let object = ObjectKind::Index.named(&name);
            let Some(id) = ObjectId::parse(&name) else {
                report.damage(object, "its name is not a name");
                continue;
            };
            let body = match self.get_sealed(ObjectKind::Index, &id) {
                Ok(body) => body,
                Err(error) => {
                    report.note_repairable(error)?;
                    continue;
                }
            };
            let length = body.len() as u64;
            let table = Table::open(Bytes::Memory(body), length)
                .map_err(|error| self.index_error(error))?;
            match table.as_ref().and_then(sums_of) {
                Some(sums) => sums.into_iter().for_each(|(pack, sum)| {
                    said.entry(pack).or_default().push(sum);
                }),
                None => report.note_repairable(RepositoryError::Damaged {
                    object,
                    what: "its parts do not add up".to_owned(),
                })?,
            }
        }
        Ok(said)
    }
}
