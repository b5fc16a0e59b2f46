//! Permission to change an installation: there is a way home, and it was read back.
//!
//! The fields are private and only [`Armed::arm`] and [`Armed::again`] fill them, so to hold an
//! [`Armed`] is to have a way home. Every function that changes what is covered asks for one;
//! overwriting before the snapshot does not compile.

use crate::monitor::News;
use crate::repository::{ObjectId, Repository};
use crate::snapshot::{self, Snapshot};

use super::UpgradeError;
use super::course::Course;
use super::event::{ArmedRecord, Event};
use super::journal::Transaction;

/// See the module.
#[derive(Debug)]
pub struct Armed {
    record: ArmedRecord,
    snapshot: Snapshot,
}

impl Armed {
    /// Arms: the caller has read the snapshot's packs back, compared the live tree with it and
    /// tried the dumps. Here record, pin and the absence of a tombstone are looked at once more,
    /// and the event is made durable.
    pub(super) fn arm(
        course: &mut Course<'_>,
        repository: &Repository,
        record: ArmedRecord,
    ) -> Result<Self, UpgradeError> {
        let snapshot = way_home(repository, &record.safety.object())?;
        check(&record, &snapshot)?;
        course.record(&Event::Armed(Box::new(record.clone())))?;
        course.ground.monitor.tell(News::Armed {
            label: record.label.name().to_owned(),
            snapshot: record.safety.to_string(),
            files: record.files_digest.to_string(),
            databases: record
                .databases
                .iter()
                .map(|one| (one.name.clone(), one.fingerprint.to_string()))
                .collect(),
        });
        Ok(Self { record, snapshot })
    }

    /// The permission that an earlier process had, for the one that settles its transaction.
    pub(super) fn again(
        repository: &Repository,
        transaction: &Transaction,
    ) -> Result<Self, UpgradeError> {
        let armed = transaction.events.iter().find_map(|recorded| match &recorded.event {
            Event::Armed(record) => Some(ArmedRecord::clone(record)),
            _ => None,
        });
        let Some(record) = armed else {
            return Err(UpgradeError::NoWayBack { what: "the journal has no snapshot".into() });
        };
        let snapshot = way_home(repository, &record.safety.object())?;
        check(&record, &snapshot)?;
        Ok(Self { record, snapshot })
    }

    /// What the journal says of it.
    pub const fn record(&self) -> &ArmedRecord {
        &self.record
    }

    /// The snapshot to come back to.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// The safety snapshot, if it is there, pinned and not given up.
fn way_home(repository: &Repository, id: &ObjectId) -> Result<Snapshot, UpgradeError> {
    let missing = |what: &str| UpgradeError::NoWayBack { what: format!("{what} {id}") };
    if repository.forgotten()?.iter().any(|mark| mark.snapshot == *id) {
        return Err(missing("somebody gave up snapshot"));
    }
    if !repository.pins()?.iter().any(|mark| mark.snapshot == *id) {
        return Err(missing("nothing pins snapshot"));
    }
    snapshot::read_back(repository, id)?.ok_or_else(|| missing("there is no record of snapshot"))
}

/// Whether the journal and the record say the same: each guards the other.
fn check(record: &ArmedRecord, snapshot: &Snapshot) -> Result<(), UpgradeError> {
    let same_databases = record.databases.len() == snapshot.databases.len()
        && record.databases.iter().all(|armed| {
            let marks = &snapshot.databases;
            let fits = |mark: &&snapshot::DatabaseMark| mark.name == armed.name;
            marks.iter().find(fits).is_some_and(|mark| mark.fingerprint == armed.fingerprint.0)
        });
    if record.files_digest.0 != snapshot.files_digest || !same_databases {
        let what = format!("snapshot {} is not the one that was armed", snapshot.id);
        return Err(UpgradeError::NoWayBack { what });
    }
    Ok(())
}
