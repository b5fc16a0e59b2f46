//! Deleting what was condemned, once nobody is left who might not know of it.
//!
//! ```text
//! is our lease still there?
//! forgotten snapshots, then their tombstones; condemned packs that no segment names
//! group by group of the segments that name the others, those first that need least room:
//!     what they say of packs that stay is written anew; is our lease still there?
//!     they go; the packs that no segment names any more
//! the record
//! ```
//! Each part is durable before the next begins. A pack goes only when no segment names it, so that
//! at no instant a segment names what is not there; and each group makes room for the next. Killed
//! anywhere, the next prune finds the record and does the rest.

use std::collections::HashSet;

use super::Pruned;
use super::groups::Groups;
use super::segments::Segments;
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};
use crate::repository::condemned::Condemned;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::object::ObjectKind;
use crate::repository::record::{Mark, RecordKind};
use crate::repository::repository::Repository;
use crate::repository::run::Writer;

/// Deletes what the records condemn. `may_go` says of a snapshot whether it is still unwanted.
pub(super) fn purge(
    repository: &Repository,
    writer: &Writer<'_>,
    records: &[Condemned],
    may_go: &dyn Fn(&ObjectId) -> bool,
    monitor: &dyn Monitor,
    pruned: &mut Pruned,
) -> Result<(), RepositoryError> {
    let backend = &repository.inner.backend;
    let condemned: HashSet<ObjectId> = records.iter().flat_map(|one| one.packs.clone()).collect();
    let (mut segments, old) = Segments::survey(&repository.inner, &condemned)?;
    // Stopped for so long that another prune took over, we must not delete behind its back.
    writer.check_lease()?;
    let snapshots = records.iter().flat_map(|one| &one.snapshots).filter(|id| may_go(id));
    let snapshots: HashSet<ObjectId> = snapshots.copied().collect();
    remove_snapshots(repository, &snapshots, pruned)?;
    let mut groups = Groups::new(old);
    remove_packs(repository, writer, &groups.nameless(&condemned), monitor, pruned)?;
    while let Some((group, nameless)) = groups.next(segments.chunks_max()) {
        segments.replace(&group)?;
        reach(CrashPoint::PruneReplaced);
        for one in &group {
            writer.check_lease()?;
            let removed = backend.remove(ObjectKind::Index, &one.id.to_string())?;
            pruned.segments_removed += u64::from(removed);
            reach(CrashPoint::PruneSegmentRemoved);
        }
        backend.sync(ObjectKind::Index)?;
        reach(CrashPoint::PruneNameless);
        remove_packs(repository, writer, &nameless, monitor, pruned)?;
    }
    for record in records {
        backend.remove(ObjectKind::Condemned, &record.name)?;
    }
    backend.sync(ObjectKind::Condemned)?;
    reach(CrashPoint::PruneRecordRemoved);
    repository.inner.renew_index()
}

/// Removes packs that no segment names. Durable on return.
fn remove_packs(
    repository: &Repository,
    writer: &Writer<'_>,
    packs: &[ObjectId],
    monitor: &dyn Monitor,
    pruned: &mut Pruned,
) -> Result<(), RepositoryError> {
    let backend = &repository.inner.backend;
    for id in packs {
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
    if packs.is_empty() { Ok(()) } else { backend.sync(ObjectKind::Pack) }
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
