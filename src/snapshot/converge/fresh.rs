//! Creates a whole tree where nothing is: everything in place at once.
//!
//! The manifest is streamed: files are written in batches, in the order of the repository, so each
//! frame is decoded once and memory does not grow with the tree.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::act::{Act, Lane};
use super::content::{COMPARE_BYTES, Filling, Group, Groups, Room};
use super::early::{self, Early};
use super::prepare::Comparing;
use super::relate::{directory_meta, is_directory, is_included, leads_to_included};
use super::{ConvergePlan, Unsynced};
use crate::monitor::Monitor;
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::crew::Crew;
use crate::os::file;
use crate::repository::{BaseFrames, Repository};
use crate::snapshot::SnapshotError;
use crate::snapshot::written::{Proved, Written};
use crate::tree::place;
use crate::tree::read::Entries;
use crate::tree::{Entry, Exclusions, Kind, Meta, Treatment, TreeError, TreePath};

/// So many files are written together; as many more are gathered meanwhile.
const BATCH_FILES: usize = 8_192;

/// Which entries are made.
#[derive(Clone, Copy)]
pub(super) struct Select<'a> {
    pub(super) include: Option<&'a [TreePath]>,
    pub(super) exclusions: &'a Exclusions,
}

impl Select<'_> {
    fn takes(&self, path: &TreePath, entry: &Entry) -> bool {
        let is_dir = is_directory(&entry.kind);
        let is_meant =
            is_included(self.include, path) || is_dir && leads_to_included(self.include, path);
        is_meant
            && !matches!(entry.kind, Kind::Database { .. })
            && self.exclusions.treat(path, is_dir) != Treatment::LeftOut
    }
}

pub(super) fn create(
    repository: &Repository,
    plan: &ConvergePlan,
    pool: &Crew,
    exists: bool,
    select: Select<'_>,
    monitor: &dyn Monitor,
) -> Result<Unsynced, SnapshotError> {
    if !matches!(plan.wanted.kind, Kind::Directory { .. }) {
        return create_file(repository, plan, monitor);
    }
    if !exists {
        file::create_dirs(&plan.base, 0o700).map_err(TreeError::io("make", &plan.base))?;
    }
    let act = act_in(repository, plan, &plan.base, monitor)?;
    let written = Written::default();
    early::syncing(&act, |early| {
        let fresh = Fresh { act: &act, select, written: &written, early, exists };
        let made = pool.install(|| fresh.make_all())?;
        fresh.link_all(&made.links)?;
        reach(CrashPoint::ConvergeWritten);
        pool.install(|| fresh.put_directory_metadata(made.directories))?;
        for (path, flags) in &plan.annex.flags {
            act.put_flags_of(path.as_ref(), *flags)?;
        }
        reach(CrashPoint::ConvergeMetadata);
        Ok(())
    })?;
    Ok(act.into_unsynced(written.into_proved()))
}

/// A root that is a file.
fn create_file(
    repository: &Repository,
    plan: &ConvergePlan,
    monitor: &dyn Monitor,
) -> Result<Unsynced, SnapshotError> {
    use std::os::unix::ffi::OsStrExt;
    let missing = || SnapshotError::RootChanged { path: plan.base.clone() };
    let dir = plan.base.parent().ok_or_else(missing)?;
    let name = plan.base.file_name().map(OsStrExt::as_bytes).ok_or_else(missing)?;
    let path = TreePath::parse(name).map_err(|_| missing())?;
    file::create_dirs(dir, 0o700).map_err(TreeError::io("make", dir))?;
    let act = act_in(repository, plan, dir, monitor)?;
    let filling = Filling { repository, annex: &plan.annex, frame: None };
    act.create(&act.root, name, &path, &plan.wanted, &filling)?;
    Ok(act.into_unsynced(Proved::default()))
}

fn act_in<'a>(
    repository: &'a Repository,
    plan: &'a ConvergePlan,
    dir: &std::path::Path,
    monitor: &'a dyn Monitor,
) -> Result<Act<'a>, SnapshotError> {
    let root = Dir::open_root(dir).map_err(TreeError::io("open", dir))?;
    Ok(Act { repository, plan, root, losses: std::sync::Mutex::default(), monitor })
}

struct Fresh<'a> {
    act: &'a Act<'a>,
    select: Select<'a>,
    written: &'a Written,
    early: &'a Early,
    /// The root was there before.
    exists: bool,
}

/// The manifest on its way: directories are made as they are met, all else is handed out.
struct Gather<'a> {
    act: &'a Act<'a>,
    select: Select<'a>,
    entries: Entries<'a>,
    lane: Lane<'a>,
    made: Made,
    /// The first name of each link group.
    groups: BTreeMap<TreePath, TreePath>,
}

/// What is finished when all files are there.
#[derive(Default)]
struct Made {
    /// Directories, by how deep they lie.
    directories: BTreeMap<usize, Vec<(TreePath, Entry)>>,
    /// Further names, and the first of the same file.
    links: Vec<(TreePath, TreePath)>,
}

impl Gather<'_> {
    /// The next files, links and specials; none at the end.
    fn batch(&mut self) -> Result<Vec<(TreePath, Entry)>, SnapshotError> {
        let act = self.act;
        let mut batch = Vec::new();
        while let Some(next) = self.entries.next() {
            let (path, entry) = next?;
            if !self.select.takes(&path, &entry) {
                self.entries.skip_inside();
                continue;
            }
            if is_directory(&entry.kind) || matches!(entry.kind, Kind::MountPoint) {
                let parent = self.lane.dir(path.parent().as_ref())?;
                parent.create_dir(path.name()).map_err(act.at("make", Some(&path)))?;
                let depth = path.parts().count();
                self.made.directories.entry(depth).or_default().push((path, entry));
                continue;
            }
            if let Some(label) = &entry.link_group {
                if let Some(first) = self.groups.get(label) {
                    self.made.links.push((path, first.clone()));
                    continue;
                }
                self.groups.insert(label.clone(), path.clone());
            }
            // Its path ends with it.
            batch.push((path, Entry { name: Box::default(), ..entry }));
            if batch.len() == BATCH_FILES {
                break;
            }
        }
        Ok(batch)
    }
}

impl Fresh<'_> {
    /// Makes everything but further names, and directories without their metadata. While a batch
    /// is written, the directories of the next are made.
    fn make_all(&self) -> Result<Made, SnapshotError> {
        let act = self.act;
        let mut gather = Gather {
            act,
            select: self.select,
            entries: Entries::below(act.repository, &act.plan.wanted),
            lane: Lane::new(act),
            made: Made::default(),
            groups: BTreeMap::new(),
        };
        let mut bases = BaseFrames::default();
        let mut batch = gather.batch()?;
        while !batch.is_empty() {
            let (written, next) = rayon::join(|| self.write(&batch, &mut bases), || gather.batch());
            written?;
            batch = next?;
        }
        Ok(gather.made)
    }

    fn write(
        &self,
        batch: &[(TreePath, Entry)],
        bases: &mut BaseFrames,
    ) -> Result<(), SnapshotError> {
        let act = self.act;
        let numbered = batch.iter().enumerate().map(|(index, (_, entry))| (index, entry));
        let groups = Groups::new(act.repository, bases, numbered)?;
        let own = || (vec![0; COMPARE_BYTES], Lane::new(act));
        let groups = groups.families().into_par_iter().flat_map_iter(|family| family);
        groups.try_for_each_init(own, |(room, lane), group| {
            self.write_group(batch, group, lane, room)
        })
    }

    fn write_group(
        &self,
        batch: &[(TreePath, Entry)],
        group: &Group,
        lane: &mut Lane<'_>,
        room: &mut Room,
    ) -> Result<(), SnapshotError> {
        let act = self.act;
        let place = group.first().and_then(|(place, _)| place.as_ref());
        let frame = place.and_then(|place| act.repository.frame(place).ok());
        // In the order of the tree, for the next is mostly in the same directory.
        let mut group: Vec<_> = group.iter().collect();
        group.sort_by_key(|(_, index)| *index);
        let mut bytes = 0;
        for (place, index) in group {
            let (path, entry) = &batch[*index];
            let frame = frame.as_deref().zip(place.as_ref());
            let filling = Filling { repository: act.repository, annex: &act.plan.annex, frame };
            let parent = path.parent();
            let (dir, name) = (lane.dir(parent.as_ref())?, path.name());
            if let Kind::File { size, .. } = entry.kind {
                let written = self.written_in(parent.as_ref());
                let comparing = written.map(|written| Comparing { written, room });
                act.create_file(dir, name, path, entry, &filling, comparing)?;
                bytes += size;
            } else {
                act.create(dir, name, path, entry, &filling)?;
            }
        }
        self.early.wrote(bytes);
        Ok(())
    }

    /// Where a file is noted as compared. Somebody else could change it within the tick of the clock
    /// in which it was, and no time would tell: not in a directory of ours, which nobody but its
    /// owner may enter until all is written, but perhaps in one that was there before.
    fn written_in(&self, parent: Option<&TreePath>) -> Option<&Written> {
        let is_ours = !self.exists || parent.is_some();
        is_ours.then_some(self.written)
    }

    fn link_all(&self, links: &[(TreePath, TreePath)]) -> Result<(), SnapshotError> {
        let act = self.act;
        let (mut from, mut to) = (Lane::new(act), Lane::new(act));
        for (path, first) in links {
            let from = from.dir(first.parent().as_ref())?;
            let to = to.dir(path.parent().as_ref())?;
            let linked = to.link_from(from, first.name(), path.name());
            linked.map_err(act.at("link", Some(path)))?;
        }
        Ok(())
    }

    /// The deepest first, for a directory may end up closed to us. Directories of one depth do not
    /// touch each other.
    fn put_directory_metadata(
        &self,
        directories: BTreeMap<usize, Vec<(TreePath, Entry)>>,
    ) -> Result<(), SnapshotError> {
        let annex = Some(&self.act.plan.annex);
        for level in directories.into_values().rev() {
            level.par_iter().try_for_each(|(path, entry)| {
                let meta = match entry.kind {
                    Kind::MountPoint => Meta { mode: 0o755, ..Meta::default() },
                    _ => directory_meta(Some(path), entry, annex, None),
                };
                self.put_directory_meta(path, &meta)
            })?;
        }
        if self.select.include.is_none() {
            let meta = directory_meta(None, &self.act.plan.wanted, annex, None);
            let put = place::put_meta(self.act.root.at(), &meta);
            self.act.note(None, None, put.map_err(self.act.at("put metadata of", None))?);
        }
        Ok(())
    }

    fn put_directory_meta(&self, path: &TreePath, meta: &Meta) -> Result<(), SnapshotError> {
        let act = self.act;
        let dir = act.root.open_beneath(path.as_bytes()).map_err(act.at("open", Some(path)))?;
        let put = place::put_meta(dir.at(), meta);
        act.note(Some(path), None, put.map_err(act.at("put metadata of", Some(path)))?);
        Ok(())
    }
}
