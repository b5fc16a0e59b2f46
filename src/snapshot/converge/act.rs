//! Does what a plan says. Dull: every decision was made before.

use std::collections::VecDeque;
use std::io;

use rayon::prelude::*;

use super::aside::{Aside, remove_if_any};
use super::{ConvergeDone, ConvergePlan, Differences, Goner, Item, Losses, Unsynced, Work, fresh};
use crate::monitor::{Monitor, Problem};
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::crew::Crew;
use crate::os::meta::{FileKind, Inode, InodeFlags, Stat, set_flags};
use crate::repository::Repository;
use crate::snapshot::SnapshotError;
use crate::snapshot::written::{Proved, Written};
use crate::tree::place::Loss;
use crate::tree::{Entry, TreeError, TreePath};

/// Makes the live tree what `plan` wants. `token` marks what lies about meanwhile: its first eight
/// digits are in every such name.
///
/// Killed or failed anywhere, the tree is between what it was and what is wanted, and nothing that
/// was to stay is lost: plan and act again. The last sync is left to the caller, who may have
/// something to do beside it.
pub fn act(
    repository: &Repository,
    plan: &ConvergePlan,
    token: &str,
    monitor: &dyn Monitor,
) -> Result<Unsynced, SnapshotError> {
    if let Some(problem) = plan.problems.first() {
        return Err(SnapshotError::LiveUnreadable {
            path: problem.path.clone(),
            what: problem.what.clone(),
        });
    }
    let pool = Crew::of_cores();
    match &plan.work {
        Work::Fresh { exists, include, exclusions } => {
            let select = fresh::Select { include: include.as_deref(), exclusions };
            fresh::create(repository, plan, &pool, *exists, select, monitor)
        }
        Work::Differences(work) if work.is_empty() => {
            clear(plan, token)?;
            Ok(Unsynced::nothing())
        }
        Work::Differences(work) => {
            let root = open(plan, None)?;
            let act = Act { repository, plan, root, losses: std::sync::Mutex::default(), monitor };
            let written = act.run(work, &pool, token)?;
            Ok(act.into_unsynced(written.into_proved()))
        }
    }
}

/// Removes what an earlier run left where there is nothing else to do.
fn clear(plan: &ConvergePlan, token: &str) -> Result<(), SnapshotError> {
    let cleared = || {
        let root = match Dir::open_root(&plan.base) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let before = root.stat_self()?.mtime;
        if Aside::clear(&root, token)? { root.at().set_mtime(before) } else { Ok(()) }
    };
    Ok(cleared().map_err(TreeError::io("clean up in", &plan.base))?)
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.directories.is_empty()
            && self.items.is_empty()
            && self.deletes.is_empty()
            && self.metadata.is_empty()
    }
}

fn open(plan: &ConvergePlan, path: Option<&TreePath>) -> Result<Dir, TreeError> {
    let root = Dir::open_root(&plan.base).map_err(TreeError::io("open", &plan.base))?;
    match path {
        None => Ok(root),
        Some(path) => {
            root.open_beneath(path.as_bytes()).map_err(TreeError::io("open", plan.full(Some(path))))
        }
    }
}

/// So many neighbours in the tree are put in place by one worker.
pub(super) const ITEMS_TOGETHER: usize = 64;

pub(super) struct Act<'a> {
    pub(super) repository: &'a Repository,
    pub(super) plan: &'a ConvergePlan,
    pub(super) root: Dir,
    pub(super) losses: std::sync::Mutex<Losses>,
    pub(super) monitor: &'a dyn Monitor,
}

impl ConvergePlan {
    pub(super) fn full(&self, path: Option<&TreePath>) -> std::path::PathBuf {
        use std::os::unix::ffi::OsStrExt;
        path.map_or_else(
            || self.base.clone(),
            |path| self.base.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
        )
    }
}

impl Act<'_> {
    /// Which files were compared, and put in place unchanged.
    fn run(&self, work: &Differences, pool: &Crew, token: &str) -> Result<Written, SnapshotError> {
        let before = self.root.stat_self();
        let aside = Aside::create(&self.root, token, pool.threads())
            .map_err(self.at("make the aside directory in", None))?;
        let spots = match pool.install(|| self.prepare(work, &aside)) {
            Ok(spots) => spots,
            Err(error) => {
                // Nothing of the tree was changed yet; what cannot be removed is swept later.
                let _ = aside.remove(&self.root);
                let _ = before.map(|before| self.root.at().set_mtime(before.mtime));
                return Err(error);
            }
        };
        let written = Written::default();
        let mut place = Lane::new(self);
        for item in &work.directories {
            self.make_directory(&mut place, &aside, item)?;
        }
        pool.install(|| {
            let parts = work.items.par_chunks(ITEMS_TOGETHER).zip(spots.par_chunks(ITEMS_TOGETHER));
            parts.try_for_each(|(items, spots)| {
                let mut place = Lane::new(self);
                let mut items = items.iter().zip(spots);
                items.try_for_each(|(item, spot)| {
                    let Some(spot) = *spot else { return Ok(()) };
                    let compared = self.compared_aside(&aside, item, spot)?;
                    self.put_in_place(&mut place, &aside, item, spot)?;
                    compared.map_or(Ok(()), |inode| {
                        self.note_written(&mut place, item, inode, &written)
                    })
                })
            })
        })?;
        for goner in work.deletes.iter().rev() {
            self.delete(&mut place, goner)?;
        }
        aside.remove(&self.root).map_err(self.at("remove the aside directory in", None))?;
        pool.install(|| self.put_metadata(work))?;
        Ok(written)
    }

    pub(super) fn at(
        &self,
        doing: &'static str,
        path: Option<&TreePath>,
    ) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
        let path = self.plan.full(path);
        move |source| TreeError::Io { doing, path, source }.into()
    }

    pub(super) fn sync(&self) -> Result<(), SnapshotError> {
        self.root.sync_file_system().map_err(self.at("sync", None))
    }

    /// Ends the work. `proved` was compared when it was written.
    pub(super) fn into_unsynced(self, proved: Proved) -> Unsynced {
        let losses = self.losses.into_inner().expect("no holder of this lock panics").settled();
        let done = ConvergeDone { counts: self.plan.counts, losses, proved };
        Unsynced::of(done, self.root, self.plan.base.clone())
    }

    /// Something of what is at `path` was lost; `entry` tells of which inode.
    pub(super) fn note(&self, path: Option<&TreePath>, entry: Option<&Entry>, losses: Vec<Loss>) {
        let inode = entry.and_then(|entry| entry.link_group.as_ref()).or(path);
        for loss in losses {
            let problem = Problem { path: self.plan.full(path), what: loss.to_string() };
            self.monitor.problem(problem.clone());
            let mut noted = self.losses.lock().expect("no holder of this lock panics");
            noted.add(inode, &loss, problem);
        }
    }

    fn make_directory(
        &self,
        place: &mut Lane<'_>,
        aside: &Aside,
        item: &Item,
    ) -> Result<(), SnapshotError> {
        let dir = place.dir(item.path.parent().as_ref())?;
        let name = item.path.name();
        if let Some(replaced) = item.replaces {
            let now = self.expect_inode(dir, item, replaced.inode)?;
            unlock(dir, name, &now);
            aside.displace(dir, name).map_err(self.at("move aside", Some(&item.path)))?;
        }
        dir.create_dir(name).map_err(self.at("make", Some(&item.path)))?;
        reach(CrashPoint::ConvergeRenamed);
        Ok(())
    }

    /// The thing under the name must still be the one that was compared.
    pub(super) fn expect_inode(
        &self,
        dir: &Dir,
        item: &Item,
        inode: Inode,
    ) -> Result<Stat, SnapshotError> {
        let now = dir.stat(item.path.name()).map_err(self.at("look at", Some(&item.path)))?;
        if now.inode == inode {
            return Ok(now);
        }
        Err(SnapshotError::ChangedMeanwhile { path: self.plan.full(Some(&item.path)) })
    }

    fn delete(&self, place: &mut Lane<'_>, goner: &Goner) -> Result<(), SnapshotError> {
        let (dir, name) = (place.dir(goner.path.parent().as_ref())?, goner.path.name());
        let now = match dir.stat_if_any(name).map_err(self.at("look at", Some(&goner.path)))? {
            Some(now) if now.inode == goner.inode => now,
            // Somebody else removed it, or put something else there, which is not ours to delete.
            _ => return Ok(()),
        };
        unlock(dir, name, &now);
        let gone = if goner.with_inside {
            remove_if_any(dir, name)
        } else {
            dir.remove(name, goner.inode)
        };
        gone.map_err(self.at("delete", Some(&goner.path)))?;
        place.forget(&goner.path);
        reach(CrashPoint::ConvergeDeleted);
        Ok(())
    }
}

/// Takes away what would keep a name from being replaced or removed. If it cannot be done, what
/// follows fails and says so.
pub(super) fn unlock(dir: &Dir, name: &[u8], now: &Stat) {
    if !now.flags.any() {
        return;
    }
    let none = InodeFlags::default();
    let _ = match now.kind {
        FileKind::Directory => dir.open_dir(name).and_then(|dir| set_flags(&dir, none)),
        FileKind::File => dir.open_file(name).and_then(|file| set_flags(&file, none)),
        _ => Ok(()),
    };
}

/// The directories that were used last: what follows is mostly in one of them.
pub(super) struct Lane<'a> {
    act: &'a Act<'a>,
    /// The one used last is the first.
    open: VecDeque<(Option<TreePath>, Dir)>,
}

/// So many directories stay open for each worker.
const DIRS_OPEN: usize = 8;

impl<'a> Lane<'a> {
    pub(super) fn new(act: &'a Act<'a>) -> Self {
        Self { act, open: VecDeque::new() }
    }

    /// Opens a directory, from the root and past no link.
    pub(super) fn dir(&mut self, path: Option<&TreePath>) -> Result<&Dir, SnapshotError> {
        match self.open.iter().position(|(open, _)| open.as_ref() == path) {
            Some(0) => {}
            Some(at) => {
                let found = self.open.remove(at).expect("it was found there");
                self.open.push_front(found);
            }
            None => {
                let dir = match path {
                    None => self.act.root.again(),
                    Some(path) => self.act.root.open_beneath(path.as_bytes()),
                };
                let dir = dir.map_err(self.act.at("open", path))?;
                self.open.truncate(DIRS_OPEN - 1);
                self.open.push_front((path.cloned(), dir));
            }
        }
        Ok(&self.open[0].1)
    }

    /// A directory is gone: its name, and all below it, may mean another one from now on.
    fn forget(&mut self, path: &TreePath) {
        self.open.retain(|(open, _)| !open.as_ref().is_some_and(|open| open.is_within(path)));
    }
}
