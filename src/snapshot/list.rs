//! Which snapshots there are.

use std::collections::BTreeSet;

use super::SnapshotError;
use super::record::Snapshot;
use crate::repository::{ObjectId, RecordKind, Repository};

/// All snapshots that are not forgotten, the oldest first.
pub fn list(repository: &Repository) -> Result<Vec<Snapshot>, SnapshotError> {
    let forgotten: BTreeSet<_> =
        repository.forgotten()?.into_iter().map(|mark| mark.snapshot).collect();
    let mut found = Vec::new();
    for id in repository.record_ids(RecordKind::Snapshot)? {
        if forgotten.contains(&id) {
            continue;
        }
        // Gone since the names were listed: pruned by somebody else.
        found.extend(open(repository, &id)?);
    }
    found.sort_by_key(|snapshot| (snapshot.time, snapshot.sequence, snapshot.id));
    Ok(found)
}

/// The snapshot `id`; none if there is no such record.
pub fn open(repository: &Repository, id: &ObjectId) -> Result<Option<Snapshot>, SnapshotError> {
    let Some(raw) = repository.record(RecordKind::Snapshot, id)? else { return Ok(None) };
    let read = Snapshot::decode(*id, &raw);
    read.map(Some).map_err(|source| SnapshotError::BadRecord { id: *id, source })
}
