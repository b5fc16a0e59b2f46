//! Which snapshots there are.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::SnapshotError;
use super::label::Labels;
use super::record::Snapshot;
use crate::repository::{ObjectId, RecordKind, Repository, RepositoryError};

/// All snapshots that are not forgotten, the oldest first. A record that cannot be read is an
/// error: whoever decides by what is the newest must know all.
pub fn list(repository: &Repository) -> Result<Vec<Snapshot>, SnapshotError> {
    let mut listed = list_readable(repository)?;
    match listed.unreadable.pop() {
        None => Ok(listed.snapshots),
        Some(unreadable) => Err(unreadable.error),
    }
}

/// A record that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Kind and name, as findings name it.
    pub object: String,
    /// The snapshot, if the record is one's own.
    pub snapshot: Option<ObjectId>,
    /// Why.
    pub error: SnapshotError,
}

/// Snapshots, as far as their records can be read.
#[derive(Debug, Default)]
pub struct Listed {
    /// Those that are not known to be forgotten, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Records of snapshots, and tombstones, that cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// The same, with what cannot be read beside what can: for looking at a damaged repository.
pub fn list_readable(repository: &Repository) -> Result<Listed, SnapshotError> {
    let mut listed = Listed::default();
    let forgotten = listed.read_tombstones(repository)?;
    listed.read_records(repository, &|id| !forgotten.contains(id))?;
    Ok(listed)
}

/// The snapshots that are forgotten and not purged yet, the oldest first.
pub fn list_forgotten(repository: &Repository) -> Result<Vec<Snapshot>, SnapshotError> {
    let mut listed = Listed::default();
    let forgotten = listed.read_tombstones(repository)?;
    listed.read_records(repository, &|id| forgotten.contains(id))?;
    Ok(listed.snapshots)
}

/// Whether the snapshot `id` is there and not forgotten.
pub(super) fn is_listed(repository: &Repository, id: &ObjectId) -> Result<bool, SnapshotError> {
    let forgotten = repository.forgotten()?;
    let is_forgotten = forgotten.iter().any(|mark| mark.snapshot == *id);
    Ok(!is_forgotten && repository.record(RecordKind::Snapshot, id)?.is_some())
}

impl Listed {
    fn read_tombstones(
        &mut self,
        repository: &Repository,
    ) -> Result<BTreeSet<ObjectId>, SnapshotError> {
        let mut forgotten = BTreeSet::new();
        for id in repository.record_ids(RecordKind::Forgotten)? {
            match repository.mark(RecordKind::Forgotten, &id) {
                Ok(mark) => forgotten.extend(mark.map(|mark| mark.snapshot)),
                Err(error) => {
                    self.cannot_read(format!("forgotten/{id}"), None, error.into())?;
                }
            }
        }
        Ok(forgotten)
    }

    fn read_records(
        &mut self,
        repository: &Repository,
        wanted: &dyn Fn(&ObjectId) -> bool,
    ) -> Result<(), SnapshotError> {
        let labels = Labels::read(repository)?;
        let mut ids = repository.record_ids(RecordKind::Snapshot)?;
        ids.retain(wanted);
        // Of a thousand snapshots this is most of the time that a small command takes.
        let read: Vec<_> = ids.into_par_iter().map(|id| (id, open(repository, &id))).collect();
        for (id, read) in read {
            match read {
                // None: gone since the names were listed, pruned by somebody else.
                Ok(found) => self.snapshots.extend(found),
                Err(error) => self.cannot_read(format!("snapshots/{id}"), Some(id), error)?,
            }
        }
        for snapshot in &mut self.snapshots {
            labels.apply(snapshot);
        }
        self.snapshots.sort_by_key(|snapshot| (snapshot.time, snapshot.sequence, snapshot.id));
        Ok(())
    }

    /// Notes damage; any other error is the caller's.
    fn cannot_read(
        &mut self,
        object: String,
        snapshot: Option<ObjectId>,
        error: SnapshotError,
    ) -> Result<(), SnapshotError> {
        let is_damage = matches!(
            error,
            SnapshotError::BadRecord { .. }
                | SnapshotError::Repository(
                    RepositoryError::Damaged { .. } | RepositoryError::TooNew { .. }
                )
        );
        if !is_damage {
            return Err(error);
        }
        self.unreadable.push(Unreadable { object, snapshot, error });
        Ok(())
    }
}

/// The snapshot `id` as it was taken, without its label; none if there is no such record.
pub fn open(repository: &Repository, id: &ObjectId) -> Result<Option<Snapshot>, SnapshotError> {
    decoded(id, repository.record(RecordKind::Snapshot, id)?)
}

/// The same, its record read from the medium and not from the page cache.
pub fn read_back(
    repository: &Repository,
    id: &ObjectId,
) -> Result<Option<Snapshot>, SnapshotError> {
    decoded(id, repository.read_back_record(RecordKind::Snapshot, id)?)
}

fn decoded(id: &ObjectId, record: Option<Vec<u8>>) -> Result<Option<Snapshot>, SnapshotError> {
    let read = record.map(|raw| Snapshot::decode(*id, &raw)).transpose();
    read.map_err(|source| SnapshotError::BadRecord { id: *id, source })
}
