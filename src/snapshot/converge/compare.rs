//! Compares a live tree with the wanted manifest, directory by directory. Looks; never touches.

use std::path::PathBuf;

use rayon::prelude::*;

use super::census::{is_wanted, tally};
use super::groups::{Groups, Member, Standing};
use super::relate::{
    directory_meta, is_directory, is_included, is_same_thing, is_untouched, time_after,
};
use super::removal::{Removal, removal};
use super::{
    ConvergePlan, Counts, Deletes, Differences, Dress, Item, Kept, Losses, Replaced, Request,
    WhyKept, Work,
};
use crate::os::beneath::Dir;
use crate::os::meta::Stamp;
use crate::repository::{ChunkId, Repository};
use crate::snapshot::SnapshotError;
use crate::snapshot::live::Listing;
use crate::tree::read::{DirEntries, find};
use crate::tree::statcache::{Listed, Mark};
use crate::tree::{Entry, Kind, Meta, TreeError, TreePath};

pub(super) struct Planner<'a> {
    repository: &'a Repository,
    request: &'a Request<'a>,
    /// What could not be put back a moment ago, and is not asked for again.
    excused: Option<&'a Losses>,
    listing: &'a Listing,
    work: Differences,
    groups: Groups,
    counts: Counts,
    kept: Vec<Kept>,
    open: Vec<Pair>,
    /// The time of the directory in which it all happens: the aside directory comes and goes there.
    base_time: Stamp,
}

/// A directory to be compared: wanted, and live if it is there.
struct Pair {
    path: Option<TreePath>,
    object: ChunkId,
    is_live: bool,
    /// The time it has once names in it have changed.
    after: Stamp,
}

/// Both sides of a pair, name by name: of a wide directory only a part is held.
struct Sides<'a> {
    wanted: DirEntries<'a>,
    live: Option<Listed<'a>>,
}

type Live = (Entry, Mark);

/// So many directories are read by all cores before they are compared, one after another.
const PAIRS_LOADED: usize = 256;

impl<'a> Planner<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        request: &'a Request<'a>,
        excused: Option<&'a Losses>,
        listing: &'a Listing,
    ) -> Self {
        Self {
            repository,
            request,
            excused,
            listing,
            work: Differences::default(),
            groups: Groups::default(),
            counts: Counts::default(),
            kept: Vec::new(),
            open: Vec::new(),
            base_time: Stamp::default(),
        }
    }

    /// Compares the whole tree; the directory in which it all happens.
    pub(super) fn compare_tree(&mut self) -> Result<PathBuf, SnapshotError> {
        let wanted = self.request.wanted.entry.clone();
        let mark = self.listing.root_mark().unwrap_or_else(Mark::nothing);
        let live = self.listing.root.clone();
        let meta = directory_meta(None, &wanted, self.request.annex, Some(&mark));
        self.base_time = time_after(&meta);
        self.both_directories(None, wanted, (live, mark));
        while !self.open.is_empty() {
            // Those met first lie at the end.
            let few = self.open.split_off(self.open.len().saturating_sub(PAIRS_LOADED));
            let loaded = few.into_par_iter().rev().map(|pair| self.load(pair));
            for (pair, sides) in loaded.collect::<Result<Vec<_>, _>>()? {
                self.compare(&pair, sides)?;
            }
        }
        Ok(self.listing.path.clone())
    }

    /// A root that is a file, by its name in the directory that holds it.
    pub(super) fn compare_file(&mut self) -> Result<PathBuf, SnapshotError> {
        use std::os::unix::ffi::OsStrExt;
        let path = &self.listing.path;
        let missing = || SnapshotError::RootChanged { path: path.clone() };
        let name = path.file_name().map(OsStrExt::as_bytes).ok_or_else(missing)?;
        let name = TreePath::parse(name).map_err(|_| missing())?;
        let base = path.parent().ok_or_else(missing)?.to_owned();
        let held = Dir::open_root(&base)
            .and_then(|dir| dir.stat_self())
            .map_err(TreeError::io("look at", &base))?;
        let mark = self.listing.root_mark().unwrap_or_else(Mark::nothing);
        let wanted = Entry { link_group: None, ..self.request.wanted.entry.clone() };
        // The directory is not ours: its time is put back to what it was.
        self.base_time = held.mtime;
        let pair = Pair {
            path: None,
            object: ChunkId::from_bytes([0; 32]),
            is_live: true,
            after: held.mtime,
        };
        self.both_others(&pair, name, wanted, (self.listing.root.clone(), mark));
        Ok(base)
    }

    /// Reads both sides of a pair: most of what comparing costs.
    fn load(&self, pair: Pair) -> Result<(Pair, Sides<'a>), SnapshotError> {
        let wanted = DirEntries::of(self.repository, &pair.object)?;
        let live = if pair.is_live { self.listing.dir(pair.path.as_ref()) } else { None };
        Ok((pair, Sides { wanted, live }))
    }

    fn compare(&mut self, pair: &Pair, sides: Sides<'a>) -> Result<(), SnapshotError> {
        let Sides { wanted, live } = sides;
        let listing = self.listing;
        let unreadable = |error| TreeError::io("list", &listing.path)(error);
        let mut live = live.into_iter().flatten();
        let mut next_live = || live.next().transpose().map_err(unreadable);
        let mut at = next_live()?;
        let opened = self.open.len();
        for wanted in wanted {
            let wanted = wanted?;
            while let Some(before) = at.take_if(|(entry, _)| entry.name < wanted.name) {
                self.live_only(pair, before)?;
                at = next_live()?;
            }
            let twin = at.take_if(|(entry, _)| entry.name == wanted.name);
            if twin.is_some() {
                at = next_live()?;
            }
            if twin.as_ref().is_some_and(|twin| is_untouched(&wanted, twin)) {
                continue;
            }
            let path = child(pair.path.as_ref(), &wanted);
            if !is_wanted(self.request, &path, &wanted) {
                continue;
            }
            match twin {
                Some(twin) => self.both(pair, path, wanted, twin)?,
                None => self.wanted_only(pair, path, wanted),
            }
        }
        while let Some(after) = at {
            self.live_only(pair, after)?;
            at = next_live()?;
        }
        // What was opened here is met in the order of the tree.
        self.open[opened..].reverse();
        Ok(())
    }

    fn both(
        &mut self,
        pair: &Pair,
        path: TreePath,
        wanted: Entry,
        live: Live,
    ) -> Result<(), SnapshotError> {
        match (&wanted.kind, &live.0.kind) {
            (Kind::MountPoint | Kind::Database { .. }, _) | (_, Kind::Database { .. }) => {}
            (_, Kind::MountPoint) => self.keep(path, WhyKept::MountPoint),
            (wanted_kind, live_kind) => {
                match (is_directory(wanted_kind), is_directory(live_kind)) {
                    (true, true) => self.both_directories(Some(path), wanted, live),
                    (true, false) => self.directory_for_other(pair, path, wanted, &live),
                    (false, true) => self.other_for_directory(pair, path, wanted, live)?,
                    (false, false) => self.both_others(pair, path, wanted, live),
                }
            }
        }
        Ok(())
    }

    fn both_directories(&mut self, path: Option<TreePath>, wanted: Entry, (live, mark): Live) {
        let meta = directory_meta(path.as_ref(), &wanted, self.request.annex, Some(&mark));
        let after = time_after(&meta);
        let include = self.request.include;
        let is_meant = path.as_ref().map_or(include.is_none(), |path| is_included(include, path));
        let is_as_wanted = || {
            let live = Meta { mtime: mark.mtime.into(), ..live.meta.clone() };
            live == meta || self.excuse(path.as_ref(), &meta, &live)
        };
        if is_meant && !is_as_wanted() {
            self.counts.metadata += 1;
            let entry = Entry { meta, ..wanted.clone() };
            self.work.metadata.push((path.clone(), Dress::of(entry)));
        }
        if let (Kind::Directory { object }, Kind::Directory { object: same }) =
            (wanted.kind, live.kind)
            && object != same
        {
            self.open.push(Pair { path, object, is_live: true, after });
        }
    }

    /// The live thing is moved out of the way, and a directory made.
    fn directory_for_other(
        &mut self,
        pair: &Pair,
        path: TreePath,
        wanted: Entry,
        (live, mark): &Live,
    ) {
        if self.request.keep_links_to_directories && matches!(live.kind, Kind::Symlink { .. }) {
            return self.keep(path, WhyKept::LinkToDirectory);
        }
        let replaces = Some(Replaced { inode: mark.inode, is_directory: false });
        self.make_directory(pair, path, wanted, replaces);
    }

    fn other_for_directory(
        &mut self,
        pair: &Pair,
        path: TreePath,
        wanted: Entry,
        live: Live,
    ) -> Result<(), SnapshotError> {
        let (entry, mark) = live;
        // What may stand in the way of a release is decided by its verdicts, like any delete.
        let deletes = self.request.deletes;
        let Removal { is_whole, .. } =
            removal(self.listing, self.inside_too(deletes, &path), path.clone(), entry, mark)?;
        if is_whole {
            let replaces = Some(Replaced { inode: mark.inode, is_directory: true });
            self.put(pair, path, wanted, replaces);
        } else {
            self.keep(path, WhyKept::DirectoryInTheWay);
        }
        Ok(())
    }

    /// The directory in the way goes itself, for something else is wanted under its name; what is
    /// in it goes only if it may. An empty directory is never in the way.
    fn inside_too<'d>(&self, deletes: Deletes<'d>, path: &TreePath) -> Deletes<'d> {
        let is_empty =
            self.listing.dir(Some(path)).is_some_and(|mut inside| inside.next().is_none());
        if is_empty { Deletes::All } else { deletes }
    }

    fn both_others(&mut self, pair: &Pair, path: TreePath, wanted: Entry, (live, mark): Live) {
        let is_same = is_same_thing(&wanted.kind, &live.kind);
        let has_meta = wanted.meta == live.meta || {
            let inode = wanted.link_group.as_ref().unwrap_or(&path);
            self.excuse(Some(inode), &wanted.meta, &live.meta)
        };
        let replaces = Some(Replaced { inode: mark.inode, is_directory: false });
        if let Some(label) = wanted.link_group.clone() {
            let is_as_wanted = is_same && has_meta;
            let standing = if is_as_wanted && live.link_group == wanted.link_group {
                Standing::Member
            } else if is_as_wanted && mark.links == 1 {
                Standing::Alone
            } else {
                Standing::Stranger
            };
            if standing != Standing::Member {
                self.touch(pair);
            }
            self.groups.add(label, Member { path, entry: wanted, replaces, standing });
            return;
        }
        if is_same && has_meta && live.link_group.is_none() {
            return;
        }
        // An inode with other names is never changed in place: they may be outside the tree.
        let may_change = is_same && live.link_group.is_none() && mark.links <= 1;
        if may_change {
            self.counts.metadata += 1;
            self.work.metadata.push((Some(path), Dress::of(wanted)));
        } else {
            self.put(pair, path, wanted, replaces);
        }
    }

    fn wanted_only(&mut self, pair: &Pair, path: TreePath, wanted: Entry) {
        let inode = wanted.link_group.as_ref().unwrap_or(&path);
        if self.excused.is_some_and(|losses| losses.excuse_absence(Some(inode))) {
            return;
        }
        if is_directory(&wanted.kind) || matches!(wanted.kind, Kind::MountPoint) {
            self.make_directory(pair, path, wanted, None);
        } else if let Some(label) = wanted.link_group.clone() {
            self.touch(pair);
            let member =
                Member { path, entry: wanted, replaces: None, standing: Standing::Stranger };
            self.groups.add(label, member);
        } else {
            self.put(pair, path, wanted, None);
        }
    }

    fn live_only(&mut self, pair: &Pair, (entry, mark): Live) -> Result<(), SnapshotError> {
        let path = child(pair.path.as_ref(), &entry);
        if !is_included(self.request.include, &path) {
            return Ok(());
        }
        let gone = removal(self.listing, self.request.deletes, path, entry, mark)?;
        if !gone.goners.is_empty() {
            self.touch(pair);
        }
        self.counts.delete += gone.goners.len() as u64;
        for (path, mark) in gone.stay {
            self.work.touched.insert(Some(path.clone()), mark.mtime);
            if matches!(self.request.deletes, Deletes::All) {
                self.keep(path, WhyKept::HoldsMore);
            }
        }
        self.work.deletes.extend(gone.goners);
        Ok(())
    }

    fn put(&mut self, pair: &Pair, path: TreePath, entry: Entry, replaces: Option<Replaced>) {
        self.touch(pair);
        let entry = Entry { name: Box::default(), ..entry };
        self.work.items.push(Item { path, entry, replaces, link_to: None });
    }

    fn make_directory(
        &mut self,
        pair: &Pair,
        path: TreePath,
        wanted: Entry,
        replaces: Option<Replaced>,
    ) {
        self.touch(pair);
        self.counts.make += 1;
        let meta = if matches!(wanted.kind, Kind::MountPoint) {
            Meta { mode: 0o755, ..wanted.meta.clone() }
        } else {
            directory_meta(Some(&path), &wanted, self.request.annex, None)
        };
        let after = time_after(&meta);
        let entry = Entry { meta, ..wanted };
        self.work.metadata.push((Some(path.clone()), Dress::of(entry.clone())));
        if let Kind::Directory { object } = entry.kind {
            self.open.push(Pair { path: Some(path.clone()), object, is_live: false, after });
        }
        self.work.directories.push(Item { path, entry, replaces, link_to: None });
    }

    fn excuse(&self, inode: Option<&TreePath>, wanted: &Meta, live: &Meta) -> bool {
        self.excused.is_some_and(|losses| losses.excuse(inode, wanted, live))
    }

    fn touch(&mut self, pair: &Pair) {
        self.work.touched.insert(pair.path.clone(), pair.after);
    }

    fn keep(&mut self, path: TreePath, why: WhyKept) {
        self.kept.push(Kept { path, why });
    }

    pub(super) fn into_plan(self, base: PathBuf) -> Result<ConvergePlan, SnapshotError> {
        let Self {
            repository,
            request,
            listing,
            mut work,
            groups,
            mut counts,
            kept,
            base_time,
            ..
        } = self;
        let root = &request.wanted.entry;
        let linked = groups.settle(|label| {
            let found = find(repository, root, label)?;
            Ok::<_, TreeError>(found.is_some_and(|entry| entry.link_group.as_ref() == Some(label)))
        })?;
        work.items.extend(linked);
        if !work.is_empty() {
            work.touched.entry(None).or_insert(base_time);
        }
        work.items.sort_by(|a, b| a.path.cmp(&b.path));
        work.metadata.sort_by(|a, b| a.0.cmp(&b.0));
        work.directories.sort_by(|a, b| a.path.cmp(&b.path));
        work.deletes.sort_by(|a, b| a.path.cmp(&b.path));
        for item in &work.items {
            tally(&mut counts, &item.entry, item.link_to.is_some());
        }
        let live = listing.counts;
        let replaced = work.items.iter().chain(&work.directories);
        let replaced = replaced.filter(|item| item.replaces.is_some()).count() as u64;
        let in_place = work.metadata.len() as u64 - work.directories.len() as u64;
        let changed = replaced + in_place + counts.delete;
        counts.keep = (live.files + live.directories + live.others).saturating_sub(changed);
        Ok(ConvergePlan {
            base,
            wanted: request.wanted.entry.clone(),
            annex: request.annex.cloned().unwrap_or_default(),
            counts,
            kept,
            problems: listing.problems.clone(),
            listing: None,
            work: Work::Differences(work),
        })
    }
}

fn child(parent: Option<&TreePath>, entry: &Entry) -> TreePath {
    TreePath::child(parent, &entry.name).expect("a listed name is a part of a path")
}
