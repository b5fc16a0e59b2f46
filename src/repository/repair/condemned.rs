//! Records of prunes that cannot be read any more.
//!
//! Nobody may rely on a pack that is about to go, and an unreadable record does not say which ones
//! are: it stops every backup and every prune. Whoever wrote it is gone, for it held the lease that
//! is taken here, and one that wakes up without its lease deletes nothing. What it had deleted
//! already, it had replaced before; the rest is what it was before it was condemned.

use super::super::check::{Finding, Severity};
use super::super::condemned;
use super::super::error::RepositoryError;
use super::super::lease::{Hold, Lease};
use super::super::object::ObjectKind;
use super::super::repository::{Inner, Repository};
use super::RepairMode;
use crate::os::crash::{CrashPoint, reach};

impl Repository {
    /// Moves records of prunes that cannot be read into quarantine; which those are.
    pub fn set_condemned_aside(&self, mode: RepairMode) -> Result<Vec<Finding>, RepositoryError> {
        let inner = &self.inner;
        let unreadable = inner.unreadable_condemned()?;
        if mode == RepairMode::DryRun || unreadable.is_empty() {
            return Ok(unreadable.into_iter().map(|(_, finding)| finding).collect());
        }
        let lease = Lease::take(inner, Hold::Mending)?;
        let moved = inner.move_condemned();
        let released = lease.release(inner);
        moved.and_then(|moved| released.map(|()| moved))
    }
}

impl Inner {
    /// The names of records that cannot be read, and what is wrong with each.
    fn unreadable_condemned(&self) -> Result<Vec<(String, Finding)>, RepositoryError> {
        let mut unreadable = Vec::new();
        for name in self.backend.list(ObjectKind::Condemned)? {
            match condemned::read(self, &name) {
                Err(RepositoryError::Damaged { object, what }) => {
                    unreadable.push((name, Finding { severity: Severity::Damage, object, what }));
                }
                read => _ = read?,
            }
        }
        Ok(unreadable)
    }

    fn move_condemned(&self) -> Result<Vec<Finding>, RepositoryError> {
        let kind = ObjectKind::Condemned;
        // Again, under the lease: what is listed now is nobody's work.
        let unreadable = self.unreadable_condemned()?;
        for (name, _) in &unreadable {
            self.quarantine(kind, name)?;
            reach(CrashPoint::RepairQuarantined);
            self.backend.remove(kind, name)?;
        }
        self.backend.sync(kind)?;
        Ok(unreadable.into_iter().map(|(_, finding)| finding).collect())
    }
}
