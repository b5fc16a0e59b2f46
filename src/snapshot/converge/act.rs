//! Does what a plan says. Dull: every decision was made before.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rayon::prelude::*;

use super::aside::{Aside, Spot, remove_if_any};
use super::content::{Filling, Groups, WriteError};
use super::{ConvergeDone, ConvergePlan, Differences, Goner, Item, Work, fresh};
use crate::monitor::{Counter, Monitor, Problem};
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::meta::{At, FileKind, Inode, InodeFlags, Stamp, Stat, set_flags};
use crate::repository::{Extent, Repository};
use crate::snapshot::SnapshotError;
use crate::tree::place::{self, Loss};
use crate::tree::{Entry, Kind, TreeError, TreePath};

/// Makes the live tree what `plan` wants. `token` marks what lies about meanwhile: its first eight
/// digits are in every such name.
///
/// Killed or failed anywhere, the tree is between what it was and what is wanted, and nothing that
/// was to stay is lost: plan and act again.
pub fn act(
    repository: &Repository,
    plan: &ConvergePlan,
    token: &str,
    monitor: &dyn Monitor,
) -> Result<ConvergeDone, SnapshotError> {
    if let Some(problem) = plan.problems.first() {
        return Err(SnapshotError::LiveUnreadable {
            path: problem.path.clone(),
            what: problem.what.clone(),
        });
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build();
    let pool = pool.map_err(|error| SnapshotError::Threads(io::Error::other(error)))?;
    match &plan.work {
        Work::Fresh { exists, include, exclusions } => {
            let select = fresh::Select { include: include.as_deref(), exclusions };
            fresh::create(repository, plan, &pool, *exists, select, monitor)
        }
        Work::Differences(work) if work.is_empty() => Ok(ConvergeDone::default()),
        Work::Differences(work) => {
            let root = open(plan, None)?;
            let act = Act { repository, plan, root, losses: std::sync::Mutex::default(), monitor };
            act.run(work, &pool, token)?;
            Ok(ConvergeDone { counts: plan.counts, losses: act.into_losses() })
        }
    }
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

pub(super) struct Act<'a> {
    pub(super) repository: &'a Repository,
    pub(super) plan: &'a ConvergePlan,
    pub(super) root: Dir,
    pub(super) losses: std::sync::Mutex<Vec<Problem>>,
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
    fn run(
        &self,
        work: &Differences,
        pool: &rayon::ThreadPool,
        token: &str,
    ) -> Result<(), SnapshotError> {
        let before = self.root.stat_self();
        let aside = Aside::create(&self.root, token, pool.current_num_threads())
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
        let mut place = Lane::new(self);
        for item in &work.directories {
            self.make_directory(&mut place, &aside, item)?;
        }
        for (item, spot) in work.items.iter().zip(&spots) {
            self.put_in_place(&mut place, &aside, item, *spot)?;
        }
        for goner in work.deletes.iter().rev() {
            self.delete(&mut place, goner)?;
        }
        aside.remove(&self.root).map_err(self.at("remove the aside directory in", None))?;
        self.put_metadata(work, &mut place)?;
        self.sync()?;
        reach(CrashPoint::ConvergeDone);
        Ok(())
    }

    /// Writes aside all that is to come, makes it durable, and reads it again.
    fn prepare(
        &self,
        work: &Differences,
        aside: &Aside,
    ) -> Result<Vec<Option<Spot>>, SnapshotError> {
        let spots = self.write_all(work, aside)?;
        reach(CrashPoint::ConvergeWritten);
        self.sync()?;
        reach(CrashPoint::ConvergeSynced);
        self.compare_all(work, aside, &spots)?;
        Ok(spots)
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

    pub(super) fn into_losses(self) -> Vec<Problem> {
        let mut losses = self.losses.into_inner().expect("no holder of this lock panics");
        losses.sort_by(|a, b| a.path.cmp(&b.path));
        losses
    }

    pub(super) fn note(&self, path: Option<&TreePath>, losses: Vec<Loss>) {
        for loss in losses {
            let problem = Problem { path: self.plan.full(path), what: loss.to_string() };
            self.monitor.problem(problem.clone());
            self.losses.lock().expect("no holder of this lock panics").push(problem);
        }
    }

    /// Writes everything that is to come into the aside directory; where each item is. What could
    /// not be made for want of a right has no place.
    fn write_all(
        &self,
        work: &Differences,
        aside: &Aside,
    ) -> Result<Vec<Option<Spot>>, SnapshotError> {
        let own = work.items.iter().enumerate().filter(|(_, item)| item.link_to.is_none());
        let groups = Groups::new(self.repository, own.map(|(index, item)| (index, &item.entry)))?;
        let written: Result<Vec<_>, SnapshotError> = groups
            .all()
            .into_par_iter()
            .map(|group| {
                let place = group.first().and_then(|(place, _)| place.as_ref());
                // If the frame cannot be had, each file says so, or finds another copy.
                let frame = place.and_then(|place| self.repository.frame(place).ok());
                let mut spots = Vec::with_capacity(group.len());
                for (place, index) in group {
                    let frame = frame.as_deref().zip(place.as_ref());
                    let item = &work.items[*index];
                    spots.push((*index, self.write_aside(aside, item, frame)?));
                }
                Ok(spots)
            })
            .collect();
        let mut spots = vec![None; work.items.len()];
        for (index, spot) in written?.into_iter().flatten() {
            spots[index] = spot;
        }
        self.link_all(work, aside, &mut spots)?;
        Ok(spots)
    }

    fn write_aside(
        &self,
        aside: &Aside,
        item: &Item,
        frame: Option<(&crate::repository::Frame, &crate::repository::Place)>,
    ) -> Result<Option<Spot>, SnapshotError> {
        let spot = aside.spot();
        let filling = Filling { repository: self.repository, annex: &self.plan.annex, frame };
        let is_made =
            self.create(aside.dir(spot), &spot.name(), &item.path, &item.entry, &filling)?;
        Ok(is_made.then_some(spot))
    }

    /// Creates an entry with all its metadata; whether it could be made at all.
    pub(super) fn create(
        &self,
        dir: &Dir,
        name: &[u8],
        path: &TreePath,
        entry: &Entry,
        filling: &Filling<'_>,
    ) -> Result<bool, SnapshotError> {
        let mut failure = None;
        let made = place::create(dir, name, entry, |file| {
            filling.write(file, Some(path), entry).map_err(|error| match error {
                WriteError::Io(error) => error,
                WriteError::Repository(error) => {
                    failure = Some(error);
                    io::Error::other("its content cannot be had")
                }
            })
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let losses = made.map_err(self.at("write", Some(path)))?;
        let is_made = !losses.contains(&Loss::Special);
        self.note(Some(path), losses);
        if let Kind::File { size, .. } = entry.kind {
            self.monitor.count(Counter::FilesWritten, 1);
            self.monitor.count(Counter::BytesWritten, size);
        }
        Ok(is_made)
    }

    /// Further names: of what was just written, or of what is live and stays.
    fn link_all(
        &self,
        work: &Differences,
        aside: &Aside,
        spots: &mut [Option<Spot>],
    ) -> Result<(), SnapshotError> {
        let mut written: BTreeMap<&TreePath, Spot> = BTreeMap::new();
        for (item, spot) in work.items.iter().zip(&*spots) {
            if let (None, Some(spot)) = (&item.link_to, spot) {
                written.insert(&item.path, *spot);
            }
        }
        let mut place = Lane::new(self);
        for (index, item) in work.items.iter().enumerate() {
            let Some(source) = &item.link_to else { continue };
            let spot = aside.spot();
            let (from, name) = if let Some(written) = written.get(source) {
                (aside.dir(*written), written.name())
            } else {
                (place.dir(source.parent().as_ref())?, source.name().to_vec())
            };
            let linked = aside.dir(spot).link_from(from, &name, &spot.name());
            linked.map_err(self.at("link", Some(&item.path)))?;
            spots[index] = Some(spot);
        }
        Ok(())
    }

    /// Reads again what was written aside: what the disk took must be what is wanted.
    fn compare_all(
        &self,
        work: &Differences,
        aside: &Aside,
        spots: &[Option<Spot>],
    ) -> Result<(), SnapshotError> {
        work.items.par_iter().zip(spots).try_for_each_init(
            || self.repository.content_hasher(),
            |hasher, (item, spot)| {
                let (Kind::File { size, content }, None, Some(spot)) =
                    (&item.entry.kind, &item.link_to, spot)
                else {
                    return Ok(());
                };
                let file = aside.dir(*spot).open_file(&spot.name());
                let mut file = file.map_err(self.at("read again", Some(&item.path)))?;
                let found = hasher.hash(&mut file, Extent::ToEnd)?;
                if found == (*content, *size) {
                    return Ok(());
                }
                Err(SnapshotError::WrittenWrong { path: self.plan.full(Some(&item.path)) })
            },
        )
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

    fn put_in_place(
        &self,
        place: &mut Lane<'_>,
        aside: &Aside,
        item: &Item,
        spot: Option<Spot>,
    ) -> Result<(), SnapshotError> {
        let Some(spot) = spot else { return Ok(()) };
        let dir = place.dir(item.path.parent().as_ref())?;
        let (from, name, new_name) = (aside.dir(spot), spot.name(), item.path.name());
        let Some(replaced) = item.replaces else {
            let renamed = from.rename_to_free(&name, dir, new_name);
            renamed.map_err(self.at("put in place", Some(&item.path)))?;
            reach(CrashPoint::ConvergeRenamed);
            return Ok(());
        };
        let now = self.expect_inode(dir, item, replaced.inode)?;
        unlock(dir, new_name, &now);
        if replaced.is_directory {
            self.displace_directory(aside, dir, item)?;
        }
        let renamed = from.rename_over(&name, dir, new_name);
        renamed.map_err(self.at("put in place", Some(&item.path)))?;
        reach(CrashPoint::ConvergeRenamed);
        Ok(())
    }

    fn displace_directory(
        &self,
        aside: &Aside,
        dir: &Dir,
        item: &Item,
    ) -> Result<(), SnapshotError> {
        let moved = aside.displace(dir, item.path.name());
        let moved = match moved {
            // A directory of an overlay's lower layer cannot be moved; what is in it may go.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                remove_if_any(dir, item.path.name())
            }
            other => other,
        };
        moved.map_err(self.at("move aside", Some(&item.path)))
    }

    /// The thing under the name must still be the one that was compared.
    fn expect_inode(&self, dir: &Dir, item: &Item, inode: Inode) -> Result<Stat, SnapshotError> {
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

    /// Metadata, the deepest first: a directory may end up closed to us.
    fn put_metadata(&self, work: &Differences, place: &mut Lane<'_>) -> Result<(), SnapshotError> {
        let mut paths: Vec<_> = work.metadata.keys().chain(work.touched.keys()).collect();
        paths.sort();
        paths.dedup();
        for path in paths.into_iter().rev() {
            match (work.metadata.get(path), work.touched.get(path)) {
                (Some(entry), _) => self.put_meta_of(place, path.as_ref(), entry)?,
                (None, Some(mtime)) => self.put_time_of(path.as_ref(), *mtime)?,
                (None, None) => {}
            }
            reach(CrashPoint::ConvergeMetadata);
        }
        self.put_flags(work)
    }

    fn put_meta_of(
        &self,
        place: &mut Lane<'_>,
        path: Option<&TreePath>,
        entry: &Entry,
    ) -> Result<(), SnapshotError> {
        let Some(inside) = path else {
            let done = place::put_meta(self.root.at(), &entry.meta);
            self.note(None, done.map_err(self.at("put metadata of", None))?);
            return Ok(());
        };
        let handle = place.dir(inside.parent().as_ref())?.handle(inside.name());
        let handle = handle.map_err(self.at("open", path))?;
        let done = match entry.kind {
            Kind::Symlink { .. } => place::put_link_meta(At::Handle(&handle), &entry.meta),
            _ => place::put_meta(At::Handle(&handle), &entry.meta),
        };
        self.note(path, done.map_err(self.at("put metadata of", path))?);
        Ok(())
    }

    fn put_time_of(&self, path: Option<&TreePath>, mtime: Stamp) -> Result<(), SnapshotError> {
        let dir = match path {
            None => self.root.again(),
            Some(path) => self.root.open_beneath(path.as_bytes()),
        };
        let done = match dir {
            // A directory that was to stay may have gone meanwhile with what was in it.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(dir) => dir.at().set_mtime(mtime),
        };
        done.map_err(self.at("put the time of", path))
    }

    /// `chattr +i` and `+a` last: nothing can be done to such a file afterwards.
    fn put_flags(&self, work: &Differences) -> Result<(), SnapshotError> {
        let made = work.items.iter().chain(&work.directories).map(|item| Some(item.path.clone()));
        let made: std::collections::BTreeSet<_> =
            made.chain(work.metadata.keys().cloned()).collect();
        for (path, flags) in &self.plan.annex.flags {
            if made.contains(path) {
                self.put_flags_of(path.as_ref(), *flags)?;
            }
        }
        Ok(())
    }

    pub(super) fn put_flags_of(
        &self,
        path: Option<&TreePath>,
        flags: InodeFlags,
    ) -> Result<(), SnapshotError> {
        let set = match path {
            None => set_flags(&self.root, flags),
            Some(path) => {
                let parent = match path.parent() {
                    None => self.root.again(),
                    Some(parent) => self.root.open_beneath(parent.as_bytes()),
                };
                let parent = parent.map_err(self.at("open", Some(path)))?;
                match parent.open_file(path.name()) {
                    Ok(file) => set_flags(file.as_fd(), flags),
                    Err(error) => Err(error),
                }
            }
        };
        if set.is_err() {
            self.note(path, vec![Loss::Flags]);
        }
        Ok(())
    }
}

/// Takes away what would keep a name from being replaced or removed. If it cannot be done, what
/// follows fails and says so.
fn unlock(dir: &Dir, name: &[u8], now: &Stat) {
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

/// The directory that was used last: what follows is mostly in the same one.
pub(super) struct Lane<'a> {
    act: &'a Act<'a>,
    last: Option<(Option<TreePath>, Dir)>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(act: &'a Act<'a>) -> Self {
        Self { act, last: None }
    }

    /// Opens a directory, from the root and past no link.
    pub(super) fn dir(&mut self, path: Option<&TreePath>) -> Result<&Dir, SnapshotError> {
        let is_open = self.last.as_ref().is_some_and(|(open, _)| open.as_ref() == path);
        if !is_open {
            let dir = match path {
                None => self.act.root.again(),
                Some(path) => self.act.root.open_beneath(path.as_bytes()),
            };
            let dir = dir.map_err(self.act.at("open", path))?;
            self.last = Some((path.cloned(), dir));
        }
        let (_, dir) = self.last.as_ref().expect("it was just opened");
        Ok(dir)
    }

    /// A directory is gone: its name may mean another one from now on.
    fn forget(&mut self, path: &TreePath) {
        if self.last.as_ref().is_some_and(|(open, _)| open.as_ref() == Some(path)) {
            self.last = None;
        }
    }
}
