//! Creates a whole tree where nothing is: everything in place at once, then one sync.
//!
//! The manifest is streamed: files are written in batches, in the order of the repository, so each
//! frame is decoded once and memory does not grow with the tree.

use std::collections::BTreeMap;
use std::mem;

use rayon::prelude::*;

use super::act::{Act, Lane};
use super::content::{Filling, Groups};
use super::relate::{directory_meta, is_directory, is_included, leads_to_included};
use super::{ConvergeDone, ConvergePlan};
use crate::monitor::Monitor;
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::file;
use crate::repository::Repository;
use crate::snapshot::SnapshotError;
use crate::tree::place;
use crate::tree::read::Entries;
use crate::tree::{Entry, Exclusions, Kind, Meta, Treatment, TreeError, TreePath};

/// So many files are written together.
const BATCH_FILES: usize = 16_384;

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
    pool: &rayon::ThreadPool,
    exists: bool,
    select: Select<'_>,
    monitor: &dyn Monitor,
) -> Result<ConvergeDone, SnapshotError> {
    if !matches!(plan.wanted.kind, Kind::Directory { .. }) {
        return create_file(repository, plan, monitor);
    }
    if !exists {
        file::create_dirs(&plan.base, 0o700).map_err(TreeError::io("make", &plan.base))?;
    }
    let act = act_in(repository, plan, &plan.base, monitor)?;
    let mut fresh = Fresh { act: &act, select, groups: BTreeMap::new(), links: Vec::new() };
    pool.install(|| fresh.make_all())?;
    fresh.link_all()?;
    reach(CrashPoint::ConvergeWritten);
    pool.install(|| fresh.put_directory_metadata())?;
    for (path, flags) in &plan.annex.flags {
        act.put_flags_of(path.as_ref(), *flags)?;
    }
    reach(CrashPoint::ConvergeMetadata);
    act.sync()?;
    reach(CrashPoint::ConvergeDone);
    Ok(ConvergeDone { counts: plan.counts, losses: act.into_losses() })
}

/// A root that is a file.
fn create_file(
    repository: &Repository,
    plan: &ConvergePlan,
    monitor: &dyn Monitor,
) -> Result<ConvergeDone, SnapshotError> {
    use std::os::unix::ffi::OsStrExt;
    let missing = || SnapshotError::RootChanged { path: plan.base.clone() };
    let dir = plan.base.parent().ok_or_else(missing)?;
    let name = plan.base.file_name().map(OsStrExt::as_bytes).ok_or_else(missing)?;
    let path = TreePath::parse(name).map_err(|_| missing())?;
    file::create_dirs(dir, 0o700).map_err(TreeError::io("make", dir))?;
    let act = act_in(repository, plan, dir, monitor)?;
    let filling = Filling { repository, annex: &plan.annex, frame: None };
    act.create(&act.root, name, &path, &plan.wanted, &filling)?;
    act.sync()?;
    Ok(ConvergeDone { counts: plan.counts, losses: act.into_losses() })
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
    /// The first name of each link group.
    groups: BTreeMap<TreePath, TreePath>,
    /// Further names, made once their first is.
    links: Vec<(TreePath, TreePath)>,
}

impl Fresh<'_> {
    fn entries(&self) -> Entries<'_> {
        Entries::below(self.act.repository, &self.act.plan.wanted)
    }

    /// Makes everything but further names, and directories without their metadata.
    fn make_all(&mut self) -> Result<(), SnapshotError> {
        let act = self.act;
        let mut lane = Lane::new(act);
        let mut batch = Vec::new();
        let mut entries = Entries::below(act.repository, &act.plan.wanted);
        while let Some(next) = entries.next() {
            let (path, entry) = next?;
            if !self.select.takes(&path, &entry) {
                entries.skip_inside();
                continue;
            }
            if is_directory(&entry.kind) || matches!(entry.kind, Kind::MountPoint) {
                let parent = lane.dir(path.parent().as_ref())?;
                parent.create_dir(path.name()).map_err(act.at("make", Some(&path)))?;
                continue;
            }
            if let Some(label) = &entry.link_group {
                if let Some(first) = self.groups.get(label) {
                    self.links.push((path, first.clone()));
                    continue;
                }
                self.groups.insert(label.clone(), path.clone());
            }
            batch.push((path, entry));
            if batch.len() == BATCH_FILES {
                self.write(&mem::take(&mut batch))?;
            }
        }
        self.write(&batch)
    }

    fn write(&self, batch: &[(TreePath, Entry)]) -> Result<(), SnapshotError> {
        let act = self.act;
        let numbered = batch.iter().enumerate().map(|(index, (_, entry))| (index, entry));
        let groups = Groups::new(act.repository, numbered)?;
        groups.all().into_par_iter().try_for_each(|group| {
            let place = group.first().and_then(|(place, _)| place.as_ref());
            let frame = place.and_then(|place| act.repository.frame(place).ok());
            let mut lane = Lane::new(act);
            for (place, index) in group {
                let (path, entry) = &batch[*index];
                let frame = frame.as_deref().zip(place.as_ref());
                let filling = Filling { repository: act.repository, annex: &act.plan.annex, frame };
                let dir = lane.dir(path.parent().as_ref())?;
                act.create(dir, path.name(), path, entry, &filling)?;
            }
            Ok(())
        })
    }

    fn link_all(&self) -> Result<(), SnapshotError> {
        for (path, first) in &self.links {
            let act = self.act;
            let mut from = Lane::new(act);
            let mut to = Lane::new(act);
            let from = from.dir(first.parent().as_ref())?;
            let to = to.dir(path.parent().as_ref())?;
            let linked = to.link_from(from, first.name(), path.name());
            linked.map_err(act.at("link", Some(path)))?;
        }
        Ok(())
    }

    /// The deepest first, for a directory may end up closed to us. Directories of one depth do not
    /// touch each other.
    fn put_directory_metadata(&self) -> Result<(), SnapshotError> {
        let mut levels: BTreeMap<usize, Vec<(TreePath, Entry)>> = BTreeMap::new();
        let mut entries = self.entries();
        while let Some(next) = entries.next() {
            let (path, entry) = next?;
            if !self.select.takes(&path, &entry) {
                entries.skip_inside();
            } else if is_directory(&entry.kind) || matches!(entry.kind, Kind::MountPoint) {
                levels.entry(path.parts().count()).or_default().push((path, entry));
            }
        }
        let annex = Some(&self.act.plan.annex);
        for level in levels.into_values().rev() {
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
            self.act.note(None, put.map_err(self.act.at("put metadata of", None))?);
        }
        Ok(())
    }

    fn put_directory_meta(&self, path: &TreePath, meta: &Meta) -> Result<(), SnapshotError> {
        let act = self.act;
        let dir = act.root.open_beneath(path.as_bytes()).map_err(act.at("open", Some(path)))?;
        let put = place::put_meta(dir.at(), meta);
        act.note(Some(path), put.map_err(act.at("put metadata of", Some(path)))?);
        Ok(())
    }
}
