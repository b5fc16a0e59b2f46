//! Which ways back may go: pure.
//!
//! A safety snapshot stays pinned while its transaction is open, then until the application's next
//! successful upgrade *and* for seven days at least. One whose transaction changed nothing guards
//! nothing. A release stays while it is the base of what is installed, or of a way back that stays.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::repository::ObjectId;

use super::event::{Ending, Event};
use super::history::Told;
use super::plan::Aim;
use super::state::State;

/// A safety snapshot is kept at least this long.
pub const KEEP_AT_LEAST: Duration = Duration::from_hours(7 * 24);

/// What of one application may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Safety snapshots: their pins go, and they are forgotten.
    pub safety: BTreeSet<ObjectId>,
    /// Releases that no way back and no installed application needs.
    pub releases: BTreeSet<ObjectId>,
}

/// Looks at one application's transactions, newest first. `now` is in nanoseconds since 1970.
///
/// `installed` is the release that the application is made of now, if that is known.
pub fn retire(transactions: &[Told], installed: Option<ObjectId>, now: i64) -> Retired {
    let mut retired = Retired::default();
    let mut kept_releases: BTreeSet<ObjectId> = installed.into_iter().collect();
    let mut seen_releases = BTreeSet::new();
    let mut newer_commit = false;
    for told in transactions {
        let may_go = match told.ending() {
            None => false,
            Some(Ending::Untouched) => true,
            Some(Ending::Committed | Ending::RolledBack) => {
                newer_commit && is_old(told.latest(), now)
            }
        };
        let releases = releases_of(told);
        seen_releases.extend(&releases);
        if may_go && told.state == State::Closed {
            retired.safety.extend(safety_of(told));
        } else {
            kept_releases.extend(releases);
        }
        newer_commit |= told.ending() == Some(Ending::Committed);
    }
    retired.releases = seen_releases.difference(&kept_releases).copied().collect();
    retired
}

/// A clock that went backwards makes nothing old.
fn is_old(at: i64, now: i64) -> bool {
    let keep = i64::try_from(KEEP_AT_LEAST.as_nanos()).unwrap_or(i64::MAX);
    now.saturating_sub(at) >= keep
}

/// The safety snapshot that a transaction took or meant to take.
pub(super) fn safety_of(told: &Told) -> Option<ObjectId> {
    told.armed().map(|armed| armed.safety.object()).or_else(|| {
        told.events.iter().find_map(|recorded| match &recorded.event {
            Event::Quiescing(quiescing) => quiescing.safety.map(|id| id.object()),
            _ => None,
        })
    })
}

/// The old and the new release of a transaction.
pub(super) fn releases_of(told: &Told) -> Vec<ObjectId> {
    match told.plan.as_ref().map(|plan| &plan.aim) {
        Some(Aim::Upgrade(release)) => {
            let base = release.base.map(|base| base.object());
            std::iter::once(release.snapshot.object()).chain(base).collect()
        }
        Some(Aim::Restore(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
