//! Which ways back may go: pure.
//!
//! A safety snapshot stays pinned while its transaction is open, then until the application's next
//! successful upgrade *and* for seven days at least. One whose transaction changed nothing guards
//! nothing. A release stays while it is the base of what is installed, or of a way back that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::repository::ObjectId;

use super::event::{Ending, Event};
use super::history::Told;
use super::journal::Number;
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

/// Why a transaction needs a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It is not settled: without the snapshot there is no way back.
    Open,
    /// It is its way back, and no later upgrade has proved itself for long enough.
    WayBack,
    /// It is a release that a way back, or what is installed, is made of.
    Release,
}

/// Which transaction needs a snapshot, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The transaction.
    pub transaction: Number,
    /// Its application.
    pub app: String,
    /// Why.
    pub need: Need,
}

/// Every snapshot that a transaction of this machine needs. `transactions` are of all applications,
/// newest first; `now` is in nanoseconds since 1970.
pub fn needed(transactions: Vec<Told>, now: i64) -> BTreeMap<ObjectId, Needed> {
    let mut of_apps: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    for told in transactions {
        of_apps.entry(told.header.app.clone()).or_default().push(told);
    }
    let mut needed = BTreeMap::new();
    for told in of_apps.into_values() {
        let retired = installed(&told).map(|release| retire(&told, Some(release), now));
        let retired = retired.unwrap_or_default();
        for one in &told {
            let open = one.ending().is_none() || one.state != State::Closed;
            let safety = safety_of(one).filter(|id| open || !retired.safety.contains(id));
            let releases =
                releases_of(one).into_iter().filter(|id| open || !retired.releases.contains(id));
            let way_back = safety.map(|id| (id, Need::WayBack));
            for (id, need) in way_back.into_iter().chain(releases.map(|id| (id, Need::Release))) {
                let need = if open { Need::Open } else { need };
                let (transaction, app) = (one.header.number, one.header.app.clone());
                let found = Needed { transaction, app, need };
                let known: &mut Needed = needed.entry(id).or_insert_with(|| found.clone());
                if found.need < known.need {
                    *known = found;
                }
            }
        }
    }
    needed
}

/// The release an application is made of, as far as its transactions tell.
fn installed(newest_first: &[Told]) -> Option<ObjectId> {
    let told = newest_first.iter().find(|told| told.ending().is_some())?;
    match (&told.plan.as_ref()?.aim, told.ending()?) {
        (Aim::Upgrade(release), Ending::Committed) => Some(release.snapshot.object()),
        (Aim::Upgrade(release), _) => release.base.map(|base| base.object()),
        (Aim::Restore(_), _) => None,
    }
}

#[cfg(test)]
mod tests;
