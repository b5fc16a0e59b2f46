//! Deleting what was condemned, once nobody is left who might not know of it.
//!
//! ```text
//! segments that name a condemned pack: what they say of others is written anew
//! is our lease still there?
//! forgotten snapshots, then their tombstones; old segments; packs; the record
//! ```
//! Each line is durable before the next begins. Killed anywhere, the next prune finds the record
//! and does the rest.

use std::collections::HashSet;

use super::Pruned;
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};
use crate::repository::condemned::Condemned;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::index::{Bytes, Table, merge_kept};
use crate::repository::object::ObjectKind;
use crate::repository::record::{Mark, RecordKind};
use crate::repository::repository::Repository;
use crate::repository::run::Writer;

/// A segment is written when it would name so many chunks.
const SEGMENT_CHUNKS: usize = 256 * 1024;

/// Deletes what the records condemn. `may_go` says of a snapshot whether it is still unwanted.
pub(super) fn purge(
    repository: &Repository,
    writer: &Writer<'_>,
    records: &[Condemned],
    may_go: &dyn Fn(&ObjectId) -> bool,
    monitor: &dyn Monitor,
    pruned: &mut Pruned,
) -> Result<(), RepositoryError> {
    let packs: HashSet<ObjectId> = records.iter().flat_map(|one| one.packs.clone()).collect();
    let old = replace_segments(repository, &packs)?;
    reach(CrashPoint::PruneReplaced);
    // Stopped for so long that another prune took over, we must not delete behind its back.
    writer.check_lease()?;
    let snapshots = records.iter().flat_map(|one| &one.snapshots).filter(|id| may_go(id));
    let snapshots: HashSet<ObjectId> = snapshots.copied().collect();
    remove_snapshots(repository, &snapshots, pruned)?;
    let backend = &repository.inner.backend;
    for id in &old {
        writer.check_lease()?;
        pruned.segments_removed += u64::from(backend.remove(ObjectKind::Index, &id.to_string())?);
        reach(CrashPoint::PruneSegmentRemoved);
    }
    backend.sync(ObjectKind::Index)?;
    for id in &packs {
        writer.check_lease()?;
        let name = id.to_string();
        let bytes = backend.stat(ObjectKind::Pack, &name)?.unwrap_or(0);
        if backend.remove(ObjectKind::Pack, &name)? {
            pruned.packs_removed += 1;
            pruned.bytes_removed += bytes;
            monitor.count(Counter::Entries, 1);
        }
        reach(CrashPoint::PrunePackRemoved);
    }
    backend.sync(ObjectKind::Pack)?;
    for record in records {
        backend.remove(ObjectKind::Condemned, &record.name)?;
    }
    backend.sync(ObjectKind::Condemned)?;
    reach(CrashPoint::PruneRecordRemoved);
    repository.inner.renew_index()
}

/// Publishes what the segments that name condemned packs say of others; which segments may go.
fn replace_segments(
    repository: &Repository,
    condemned: &HashSet<ObjectId>,
) -> Result<Vec<ObjectId>, RepositoryError> {
    let inner = &repository.inner;
    let (mut old, mut named_elsewhere) = (Vec::new(), HashSet::new());
    for name in inner.backend.list(ObjectKind::Index)? {
        let Some(id) = ObjectId::parse(&name) else { continue };
        let table = read_segment(repository, &id)?;
        if table.packs.iter().any(|pack| condemned.contains(&pack.id)) {
            old.push(id);
        } else {
            named_elsewhere.extend(table.packs.iter().map(|pack| pack.id));
        }
    }
    let mut group: Vec<Table> = Vec::new();
    for id in &old {
        group.push(read_segment(repository, id)?);
        if group.iter().map(|table| table.chunks).sum::<usize>() >= SEGMENT_CHUNKS {
            write_group(repository, &mut group, condemned, &mut named_elsewhere)?;
        }
    }
    write_group(repository, &mut group, condemned, &mut named_elsewhere)?;
    inner.backend.sync(ObjectKind::Index)?;
    Ok(old)
}

fn read_segment(repository: &Repository, id: &ObjectId) -> Result<Table, RepositoryError> {
    let inner = &repository.inner;
    let body = inner.get_sealed(ObjectKind::Index, id)?;
    let length = body.len() as u64;
    let table =
        Table::open(Bytes::Memory(body), length).map_err(|error| inner.index_error(error))?;
    table.ok_or_else(|| RepositoryError::Damaged {
        object: ObjectKind::Index.named(&id.to_string()),
        what: "its parts do not add up".to_owned(),
    })
}

/// Writes one segment of several, without what is condemned or said by another.
fn write_group(
    repository: &Repository,
    group: &mut Vec<Table>,
    condemned: &HashSet<ObjectId>,
    named_elsewhere: &mut HashSet<ObjectId>,
) -> Result<(), RepositoryError> {
    let inner = &repository.inner;
    let group = std::mem::take(group);
    let mut first = Vec::with_capacity(group.len());
    for table in &group {
        let ids = table.packs.iter().map(|pack| pack.id);
        let new = ids.filter(|id| !condemned.contains(id) && named_elsewhere.insert(*id));
        first.push(new.collect::<HashSet<_>>());
    }
    if first.iter().all(HashSet::is_empty) {
        return Ok(());
    }
    let tables: Vec<&Table> = group.iter().collect();
    let mut body = Vec::new();
    merge_kept(&tables, &|table, id| first[table].contains(id), &mut body)
        .map_err(|error| inner.index_error(error))?;
    inner.put_sealed(ObjectKind::Index, &ObjectId::random(), &body)
}

/// The record first: a tombstone that went before it would bring back a snapshot without its data.
fn remove_snapshots(
    repository: &Repository,
    snapshots: &HashSet<ObjectId>,
    pruned: &mut Pruned,
) -> Result<(), RepositoryError> {
    let backend = &repository.inner.backend;
    for id in snapshots {
        let removed = backend.remove(ObjectKind::Snapshot, &id.to_string())?;
        pruned.snapshots_removed += u64::from(removed);
        reach(CrashPoint::PruneSnapshotRemoved);
    }
    backend.sync(ObjectKind::Snapshot)?;
    remove_marks(repository, RecordKind::Forgotten, &repository.forgotten()?, &|mark| {
        snapshots.contains(&mark.snapshot)
    })
}

/// Removes the marks that `goes` chooses. Durable on return.
pub(super) fn remove_marks(
    repository: &Repository,
    kind: RecordKind,
    marks: &[Mark],
    goes: &dyn Fn(&Mark) -> bool,
) -> Result<(), RepositoryError> {
    for mark in marks.iter().filter(|mark| goes(mark)) {
        repository.remove_record(kind, &mark.id)?;
    }
    Ok(())
}
