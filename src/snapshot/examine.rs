//! Puts damage of the repository and the snapshots that it hurts together.

use super::SnapshotError;
use super::list::{Unreadable, list_readable};
use super::needs::{Lost, Needs, damage_in};
use super::record::Snapshot;
use crate::repository::{CheckReport, ObjectId, Repository};

/// One snapshot that lacks something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hurt {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// What it lacks.
    pub lost: Vec<Lost>,
}

/// What a check found, and whom it hurts.
#[derive(Debug, Default)]
pub struct Examined {
    /// What the repository itself says.
    pub report: CheckReport,
    /// The snapshots that can be read, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Those of them that lack something.
    pub hurt: Vec<Hurt>,
    /// Records that cannot be read: those snapshots are lost whole.
    pub unreadable: Vec<Unreadable>,
}

impl Examined {
    /// The snapshots that the damage of `object` hurts, and what each lacks for it.
    pub fn hurt_by<'a>(&'a self, object: &'a str) -> Vec<(&'a Snapshot, Vec<&'a Lost>)> {
        let mut found = Vec::new();
        for hurt in &self.hurt {
            let lost: Vec<&Lost> =
                hurt.lost.iter().filter(|lost| lost.objects.contains(object)).collect();
            let snapshot = self.snapshots.iter().find(|one| one.id == hurt.snapshot);
            if let Some(snapshot) = snapshot.filter(|_| !lost.is_empty()) {
                found.push((snapshot, lost));
            }
        }
        found
    }

    /// The snapshot whose own record `object` is, if it cannot be read.
    pub fn unreadable_record(&self, object: &str) -> Option<ObjectId> {
        let found = self.unreadable.iter().find(|one| one.object == object);
        found.and_then(|one| one.snapshot)
    }
}

/// Asks for everything that the snapshots need, and completes `report` by what is missing.
pub fn examine(
    repository: &Repository,
    mut report: CheckReport,
) -> Result<Examined, SnapshotError> {
    let listed = list_readable(repository)?;
    let mut needs = Needs::default();
    let mut hurt = Vec::new();
    for snapshot in &listed.snapshots {
        let mut lack = |id: &_| report.lack(repository, id);
        let lost = needs.lost_of(repository, snapshot, &mut lack)?;
        if !lost.is_empty() {
            hurt.push(Hurt { snapshot: snapshot.id, lost });
        }
    }
    for one in &listed.unreadable {
        report.add_damage(&one.object, &one.error.to_string());
    }
    for (object, what) in &needs.met {
        report.add_damage(object, what);
    }
    for lost in hurt.iter().flat_map(|hurt| &hurt.lost) {
        for object in &lost.objects {
            report.add_damage(object, "it is in no index, and a snapshot needs it");
        }
    }
    Ok(Examined { report, snapshots: listed.snapshots, hurt, unreadable: listed.unreadable })
}

/// What of `snapshot` cannot be had, by trying to read all of it.
pub fn lost_by_reading(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Vec<Lost>, SnapshotError> {
    let mut read = |id: &_| match repository.get(id) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => match damage_in(&error) {
            Some((object, _)) => Ok(vec![object]),
            None => Err(error),
        },
    };
    Needs::default().lost_of(repository, snapshot, &mut read)
}
