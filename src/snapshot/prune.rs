//! Makes room: which snapshots are wanted, and what they lead to.
//!
//! Wanted is every snapshot that is not forgotten, and every one that is pinned or that a
//! transaction needs, forgotten or not. How what nobody wants goes is for the repository to know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SnapshotError;
use super::label::drop_labels;
use super::list::open;
use super::reach::reach;
use super::record::{Class, Snapshot};
use crate::monitor::{Counter, Monitor, News};
use crate::os::clock;
use crate::repository::{
    ObjectId, PruneMode, PrunePlan, Pruned, Pruner, RecordKind, Repository, Thrift,
};

/// What is asked for.
pub struct PruneRequest<'a> {
    /// Whether to do it.
    pub mode: PruneMode,
    /// How much waste may stay.
    pub thrift: Thrift,
    /// How long to wait for those who began before.
    pub wait: Duration,
    /// Snapshots that transactions need: they stay, forgotten or not.
    pub needed: &'a BTreeSet<ObjectId>,
    /// Asked once, when it is known what would be done.
    pub agree: &'a dyn Fn(&PruneReport) -> bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// What was to be done.
    pub plan: PrunePlan,
    /// Snapshots that stay.
    pub kept: u64,
    /// Forgotten snapshots that are to go for good.
    pub forgotten: Vec<ObjectId>,
    /// What was done; none if it was a dry run, or nobody agreed.
    pub pruned: Option<Pruned>,
}

impl PruneReport {
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        let plan = &self.plan;
        self.forgotten.is_empty()
            && plan.unneeded_packs + plan.condemned_packs == 0
            && plan.sparse_packs + plan.scattered_packs + plan.small_packs == 0
    }
}

/// Snapshots as they are wanted at one moment.
struct Roots {
    wanted: BTreeMap<ObjectId, Snapshot>,
    unwanted: BTreeSet<ObjectId>,
}

impl Roots {
    /// A record that cannot be read ends it: what it needs would be taken for garbage.
    fn list(repository: &Repository, needed: &BTreeSet<ObjectId>) -> Result<Self, SnapshotError> {
        let forgotten: BTreeSet<ObjectId> =
            repository.forgotten()?.into_iter().map(|mark| mark.snapshot).collect();
        let pinned: BTreeSet<ObjectId> =
            repository.pins()?.into_iter().map(|mark| mark.snapshot).collect();
        let mut roots = Self { wanted: BTreeMap::new(), unwanted: BTreeSet::new() };
        for id in repository.record_ids(RecordKind::Snapshot)? {
            if forgotten.contains(&id) && !pinned.contains(&id) && !needed.contains(&id) {
                roots.unwanted.insert(id);
            } else if let Some(snapshot) = open(repository, &id)? {
                roots.wanted.insert(id, snapshot);
            }
        }
        Ok(roots)
    }

    fn exists(&self, id: &ObjectId) -> bool {
        self.wanted.contains_key(id) || self.unwanted.contains(id)
    }

    /// The newest of each series, then the others, newest first; with whether it is one of the
    /// newest.
    fn in_order(&self) -> Vec<(&Snapshot, bool)> {
        let mut newest: BTreeMap<(&str, &str), &Snapshot> = BTreeMap::new();
        for one in self.wanted.values().filter(|one| one.class == Class::User) {
            let best = newest.entry((&one.host, &one.source)).or_insert(one);
            if (one.sequence, one.time) > (best.sequence, best.time) {
                *best = one;
            }
        }
        let hot: BTreeSet<ObjectId> = newest.values().map(|one| one.id).collect();
        let mut all: Vec<(&Snapshot, bool)> =
            self.wanted.values().map(|one| (one, hot.contains(&one.id))).collect();
        all.sort_by_key(|(one, hot)| (!hot, std::cmp::Reverse(one.time), one.id));
        all
    }
}

/// Makes room. Where there is none to write packs anew, only what nobody needs at all goes.
///
/// After an error or a kill the repository is whole; the next prune does the rest.
pub fn prune(
    repository: &Repository,
    request: &PruneRequest<'_>,
    monitor: &dyn Monitor,
) -> Result<PruneReport, SnapshotError> {
    match attempt(repository, request, monitor) {
        Err(error) if lacks_room(&error) && request.thrift != Thrift::NOTHING_ANEW => {
            let what = "no room to write packs anew: only those that nobody needs go".to_owned();
            monitor.tell(News::Warning { what });
            // Whoever had to agree has: nothing is written before.
            let (thrift, agree) = (Thrift::NOTHING_ANEW, &|_: &PruneReport| true);
            let frugal = PruneRequest { thrift, agree, ..*request };
            // If that fails too, the first failure says more.
            attempt(repository, &frugal, monitor).map_err(|_| error)
        }
        done => done,
    }
}

/// Whether that may be for want of room: a run that failed in a thread only tells that it did.
fn lacks_room(error: &SnapshotError) -> bool {
    use crate::repository::RepositoryError as E;
    matches!(error, SnapshotError::Repository(E::NoSpace { .. } | E::RunFailed { .. }))
}

fn attempt(
    repository: &Repository,
    request: &PruneRequest<'_>,
    monitor: &dyn Monitor,
) -> Result<PruneReport, SnapshotError> {
    let mut pruner = repository.begin_prune(request.mode)?;
    let roots = Roots::list(repository, request.needed)?;
    stage(monitor, "what is needed", || {
        pruner.begin_marks()?;
        mark(repository, &pruner, &roots.in_order(), monitor)?;
        Ok(((), format!("{} snapshots", roots.wanted.len())))
    })?;
    let mut report = PruneReport {
        plan: pruner.plan(&request.thrift)?,
        kept: roots.wanted.len() as u64,
        forgotten: roots.unwanted.iter().copied().collect(),
        pruned: None,
    };
    if request.mode == PruneMode::DryRun || !(request.agree)(&report) {
        return Ok(report);
    }
    pruner.drop_stray_marks(&|id| roots.exists(id))?;
    stage(monitor, "packs", || {
        pruner.condemn(report.forgotten.clone(), monitor)?;
        let plan = &report.plan;
        let rewritten =
            plan.sparse_packs + plan.scattered_packs + plan.small_packs + plan.condemned_packs;
        Ok(((), format!("{rewritten} written anew, {} not needed", plan.unneeded_packs)))
    })?;
    let pruned = stage(monitor, "room", || {
        let alone = pruner.wait(request.wait)?;
        let now = Roots::list(repository, request.needed)?;
        if alone {
            rescue(repository, &mut pruner, &roots, &now, monitor)?;
        }
        let may_go = |id: &ObjectId| now.unwanted.contains(id);
        let pruned = pruner.purge(&may_go, monitor)?;
        drop_labels(repository, &|id| now.exists(id))?;
        let note = format!("packs deleted: {}", pruned.packs_removed);
        Ok((pruned, note))
    })?;
    report.pruned = Some(pruned);
    Ok(report)
}

/// Saves what snapshots that came since need of what is condemned.
fn rescue(
    repository: &Repository,
    pruner: &mut Pruner<'_>,
    before: &Roots,
    now: &Roots,
    monitor: &dyn Monitor,
) -> Result<(), SnapshotError> {
    let new = now.in_order().into_iter().filter(|(one, _)| !before.wanted.contains_key(&one.id));
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Ok(());
    }
    pruner.begin_marks()?;
    mark(repository, pruner, &new, monitor)?;
    Ok(pruner.rescue(monitor)?)
}

/// Marks what the newest snapshots need, and after that what only others do.
fn mark(
    repository: &Repository,
    pruner: &Pruner<'_>,
    snapshots: &[(&Snapshot, bool)],
    monitor: &dyn Monitor,
) -> Result<(), SnapshotError> {
    for hot in [true, false] {
        let these = snapshots.iter().filter(|(_, is_hot)| *is_hot == hot);
        let these: Vec<&Snapshot> = these.map(|(snapshot, _)| *snapshot).collect();
        reach(repository, &these, &|id| {
            monitor.count(Counter::Entries, 1);
            pruner.mark(id, hot)
        })?;
    }
    Ok(())
}

fn stage<T>(
    monitor: &dyn Monitor,
    name: &str,
    work: impl FnOnce() -> Result<(T, String), SnapshotError>,
) -> Result<T, SnapshotError> {
    let (number, name, watch) = (0, name.to_owned(), clock::stopwatch());
    monitor.tell(News::StepStarted { number, name: name.clone() });
    let done = work();
    let took = watch.elapsed();
    match done {
        Ok((done, note)) => {
            monitor.tell(News::StepDone { number, name, took, note });
            Ok(done)
        }
        Err(error) => {
            let cause = error.to_string();
            monitor.tell(News::StepFailed { number, name, took, cause });
            Err(error)
        }
    }
}
