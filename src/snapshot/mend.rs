//! Takes the place of snapshots that lack something by snapshots that say so.
//!
//! A snapshot is never changed: one without the lost parts, marked partial, is committed beside
//! it; then its own record goes into quarantine. Killed in between, the next run finds both and
//! only sets the old one aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::digest::files_digest;
use super::needs::{Lost, Part};
use super::record::{Class, Snapshot};
use super::{Examined, SnapshotError};
use crate::monitor::Problem;
use crate::os::crash::{CrashPoint, reach};
use crate::repository::{
    ObjectId, PackClass, RecordKind, Repository, RepositoryError, Stored, WriteOptions, Writer,
};
use crate::tree::edit::{Edit, edit};
use crate::tree::{Kind, TreePath};

/// What becomes of one snapshot, or of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Its record cannot be read: it goes into quarantine.
    Unreadable {
        /// What the record is of.
        kind: UnreadableKind,
        /// Its name.
        id: ObjectId,
    },
    /// It is replaced by one without what is lost.
    Replace {
        /// The snapshot.
        id: ObjectId,
        /// How many parts it loses.
        lost: usize,
    },
    /// Nothing of it is left to be had: its record goes into quarantine.
    Drop {
        /// The snapshot.
        id: ObjectId,
    },
    /// It stays as it is: somebody may need it.
    Keep {
        /// The snapshot.
        id: ObjectId,
    },
}

/// What a record that cannot be read is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableKind {
    /// A snapshot.
    Snapshot,
    /// A tombstone: the snapshot that was forgotten is listed again.
    Tombstone,
}

impl UnreadableKind {
    const fn record(self) -> RecordKind {
        match self {
            Self::Snapshot => RecordKind::Snapshot,
            Self::Tombstone => RecordKind::Forgotten,
        }
    }
}

/// Decides what becomes of everything that was found hurt. Nothing is changed.
pub fn remedies(
    repository: &Repository,
    examined: &Examined,
) -> Result<Vec<Remedy>, SnapshotError> {
    let pinned = pinned(repository)?;
    let mut remedies = Vec::new();
    for one in &examined.unreadable {
        let kind = match one.snapshot {
            Some(_) => UnreadableKind::Snapshot,
            None => UnreadableKind::Tombstone,
        };
        let name = one.object.rsplit('/').next().unwrap_or_default();
        if let Some(id) = ObjectId::parse(name) {
            remedies.push(Remedy::Unreadable { kind, id });
        }
    }
    for hurt in &examined.hurt {
        let (id, lost) = (hurt.snapshot, hurt.lost.len());
        let Some(snapshot) = examined.snapshots.iter().find(|one| one.id == id) else { continue };
        let may_be_needed = match &pinned {
            Some(pinned) => pinned.contains(&id),
            // A pin cannot be read: any snapshot of a transaction may be the one it keeps.
            None => snapshot.class != Class::User,
        };
        remedies.push(if may_be_needed {
            Remedy::Keep { id }
        } else if is_empty_without(snapshot, &hurt.lost) {
            Remedy::Drop { id }
        } else {
            Remedy::Replace { id, lost }
        });
    }
    Ok(remedies)
}

/// The snapshots that are pinned; `None` if a pin cannot be read.
fn pinned(repository: &Repository) -> Result<Option<BTreeSet<ObjectId>>, SnapshotError> {
    match repository.pins() {
        Ok(pins) => Ok(Some(pins.into_iter().map(|pin| pin.snapshot).collect())),
        Err(RepositoryError::Damaged { .. } | RepositoryError::TooNew { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_empty_without(snapshot: &Snapshot, lost: &[Lost]) -> bool {
    let roots = snapshot.roots.iter().all(|root| {
        lost.iter().any(|lost| {
            matches!(&lost.part, Part::Tree { root: label, path: None, .. } if *label == root.label)
        })
    });
    let gone = |name: &str| lost.iter().any(|lost| lost.part == Part::Database(name.to_owned()));
    roots && snapshot.databases.iter().all(|database| gone(&database.name))
}

/// Carries one of them out; the new snapshot, if there is one.
pub fn remedy(
    repository: &Repository,
    examined: &Examined,
    remedy: &Remedy,
) -> Result<Option<ObjectId>, SnapshotError> {
    match remedy {
        Remedy::Keep { .. } => Ok(None),
        Remedy::Unreadable { kind, id } => {
            repository.set_aside(kind.record(), id)?;
            Ok(None)
        }
        Remedy::Drop { id } => {
            repository.set_aside(RecordKind::Snapshot, id)?;
            Ok(None)
        }
        Remedy::Replace { id, .. } => {
            let snapshot = examined.snapshots.iter().find(|one| one.id == *id);
            let hurt = examined.hurt.iter().find(|hurt| hurt.snapshot == *id);
            let (Some(snapshot), Some(hurt)) = (snapshot, hurt) else { return Ok(None) };
            let new = replace(repository, examined, snapshot, &hurt.lost)?;
            reach(CrashPoint::RepairMended);
            repository.set_aside(RecordKind::Snapshot, id)?;
            Ok(Some(new))
        }
    }
}

/// Commits the snapshot without what is lost, unless an earlier run has done so.
fn replace(
    repository: &Repository,
    examined: &Examined,
    snapshot: &Snapshot,
    lost: &[Lost],
) -> Result<ObjectId, SnapshotError> {
    let writer = repository.begin(&WriteOptions::default())?;
    let mended = without(repository, &writer, snapshot, lost)?;
    let twin = |other: &&Snapshot| Snapshot { id: mended.id, ..(*other).clone() } == mended;
    if let Some(twin) = examined.snapshots.iter().find(twin) {
        return Ok(twin.id);
    }
    Ok(writer.commit(&mended.encode())?)
}

fn without(
    repository: &Repository,
    writer: &Writer<'_>,
    snapshot: &Snapshot,
    lost: &[Lost],
) -> Result<Snapshot, SnapshotError> {
    let mut mended = Snapshot { id: writer.snapshot_id(), ..snapshot.clone() };
    let mut edits: BTreeMap<&str, BTreeMap<TreePath, Edit>> = BTreeMap::new();
    for lost in lost {
        mended.counts.problems += 1;
        mended.problems.push(problem(snapshot, &lost.part));
        match &lost.part {
            Part::Tree { root, path: None, .. } => mended.roots.retain(|one| one.label != *root),
            Part::Tree { root, path: Some(path), .. } => {
                edits.entry(root).or_default().insert(path.clone(), Edit::Delete);
            }
            Part::Database(name) => mended.databases.retain(|one| one.name != *name),
            Part::Attachment(name) => mended.attachments.retain(|(one, _)| one != name),
            Part::Annex => mended.annex = Stored::Empty,
        }
    }
    let mut bundle = writer.bundle(PackClass::Metadata);
    for root in &mut mended.roots {
        if let Some(edits) = edits.remove(root.label.as_str()) {
            let object = edit(repository, &mut bundle, &root.entry, edits)?;
            root.entry.kind = Kind::Directory { object };
        }
    }
    bundle.finish()?;
    mended.files_digest = files_digest(repository, &mended.roots);
    Ok(mended)
}

fn problem(snapshot: &Snapshot, part: &Part) -> Problem {
    let path = match part {
        Part::Tree { .. } => snapshot.absolute(part).unwrap_or_default(),
        Part::Database(name) => PathBuf::from(format!("database:{name}")),
        Part::Attachment(name) => PathBuf::from(format!("attachment:{name}")),
        Part::Annex => PathBuf::from("annex"),
    };
    Problem { path, what: "lost by damage of the repository".to_owned() }
}
