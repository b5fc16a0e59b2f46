//! Looks at a live tree with all cores, and makes its directory objects: stored, or only hashed.
//!
//! ```text
//! a directory, one worker start to finish:
//!     open it from the root · list, unless its own times say that no name came or went ·
//!     for each name: stat, compare with what is remembered;
//!     if it differs: open, read once, put into the worker's own bundle
//!     directories below and large files become work of their own, nearest first
//! a directory with nothing pending is whole:
//!     its object is what it was, or is encoded and put; then its parent has one thing less to do
//! ```
//! Nothing recurses on the stack, and no directory stays open while others are worked on.

mod before;
mod directory;
mod guarded;
mod inode;
mod links;
mod node;
mod slots;
mod tally;
mod whole;
mod workers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::Scope;

use self::before::Before;
use self::inode::Found;
use self::links::Links;
use self::node::{Node, Slot};
use self::tally::Tally;
use self::workers::Hands;
pub(super) use self::workers::{Keep, Workers};
use super::SnapshotError;
use super::annex::RootAnnex;
use super::record::Counts;
use super::written::Proved;
use crate::monitor::{Counter, Monitor, Problem};
use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Inode, Stamp, Stat};
use crate::os::{clock, volume};
use crate::repository::{ChunkId, Repository};
use crate::tree::edit::ROOT_NAME;
use crate::tree::statcache::{Block, Mark, ROOT_KEY, Recalled, StatCacheWriter};
use crate::tree::walk::Walker;
use crate::tree::{Entry, Exclusions, Kind, TreeError, TreePath};

/// The clock of the file system may lag behind ours by a tick, and by nothing worse.
const TICK_NS: i64 = 20_000_000;

/// What to look at.
pub(super) struct Task<'a> {
    /// The root, without a link in it.
    pub(super) path: &'a Path,
    pub(super) exclusions: &'a Exclusions,
    pub(super) walker: Walker,
    /// What is remembered of it, and where that is from now on.
    pub(super) new: &'a StatCacheWriter,
    /// Entries that are no directories are wanted only if this says so. `None`: all.
    pub(super) want: Option<&'a (dyn Fn(&TreePath) -> bool + Sync)>,
    /// The directories that may differ from what is remembered, with all above them. The inside of
    /// any other counts as it is there, if stat says the same of the directory itself. `None`: all
    /// are looked at.
    pub(super) touched: Option<&'a BTreeSet<Option<TreePath>>>,
    /// What was made here a moment ago, instead of what is remembered.
    pub(super) made: Option<Made<'a>>,
    /// What was put here a moment ago, besides what is remembered.
    pub(super) put: Option<Put<'a>>,
}

/// A tree that was made, and which of its files were compared byte by byte since.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) root: &'a Entry,
    pub(super) files: &'a Proved,
}

/// Files that were put in place, and which of them were compared byte by byte before.
#[derive(Clone, Copy)]
pub(super) struct Put<'a> {
    /// What was put where, in the order of the tree.
    pub(super) entries: &'a [(&'a TreePath, &'a Entry)],
    pub(super) files: &'a Proved,
}

impl<'a> Put<'a> {
    fn at(&self, path: &TreePath) -> Option<&'a Entry> {
        let found = self.entries.binary_search_by_key(&path, |(path, _)| *path).ok()?;
        Some(self.entries[found].1)
    }
}

/// What was found.
pub(super) struct Scanned {
    /// The root itself, named as every root is.
    pub(super) root: Entry,
    pub(super) counts: Counts,
    pub(super) problems: Vec<Problem>,
    pub(super) annex: RootAnnex,
    /// Which users and groups own something.
    pub(super) owners: BTreeSet<(u32, u32)>,
    /// Directories that were not listed, for nothing in them was touched.
    pub(super) settled: BTreeSet<TreePath>,
    /// Whether there is an inode with several names.
    pub(super) has_links: bool,
}

/// One scan under way.
struct Scan<'a, 'w> {
    workers: &'a Workers<'w>,
    task: Task<'a>,
    root: Dir,
    root_inode: Inode,
    /// The time of a directory is known to change with every name in it.
    tells_names: bool,
    /// What changes after this may not be told from what changed right before.
    began: Stamp,
    monitor: &'a dyn Monitor,
    links: Links,
    /// Directories, slices and large files that are not done.
    outstanding: AtomicUsize,
    is_stopped: AtomicBool,
    failure: Mutex<Option<SnapshotError>>,
    whole: Mutex<Slot>,
    tally: Tally,
    annex: Mutex<RootAnnex>,
    owners: Mutex<BTreeSet<(u32, u32)>>,
    problems: Mutex<Vec<Problem>>,
    settled: Mutex<BTreeSet<TreePath>>,
    has_links: AtomicBool,
}

/// A snapshot keeps so many problems by name; the rest are counted.
const PROBLEMS_KEPT: usize = 100;

/// Looks at one root.
pub(super) fn scan(
    workers: &Workers<'_>,
    task: Task<'_>,
    monitor: &dyn Monitor,
) -> Result<Scanned, SnapshotError> {
    let path = task.path;
    let began = Stamp::from_nanos(clock::now().0 - TICK_NS);
    let is_dir = path.is_dir();
    let open = if is_dir { path } else { path.parent().unwrap_or(path) };
    let root = Dir::open_root(open).map_err(TreeError::io("open", open))?;
    let stat = root.stat_self().map_err(TreeError::io("look at", open))?;
    let scan = Scan {
        workers,
        task,
        root,
        root_inode: stat.inode,
        tells_names: volume::at(open).is_ok_and(|volume| volume.is_known),
        began,
        monitor,
        links: Links::default(),
        outstanding: AtomicUsize::new(1),
        is_stopped: AtomicBool::new(false),
        failure: Mutex::default(),
        whole: Mutex::default(),
        tally: Tally::default(),
        annex: Mutex::default(),
        owners: Mutex::default(),
        problems: Mutex::default(),
        settled: Mutex::default(),
        has_links: AtomicBool::new(false),
    };
    if is_dir {
        let node = Node::new(None, None);
        workers.pool.scope(|scope| scan.directory(scope, &node, None));
    } else {
        let name = path.file_name().unwrap_or_default();
        workers.pool.install(|| scan.single_file(std::os::unix::ffi::OsStrExt::as_bytes(name)));
    }
    scan.into_scanned()
}

impl<'w> Scan<'_, 'w> {
    fn repository(&self) -> &Repository {
        self.workers.keep.repository()
    }

    fn with_hands<T>(&self, work: impl FnOnce(&mut Hands<'w>) -> T) -> T {
        self.workers.with_hands(work)
    }

    fn annex(&self, note: impl FnOnce(&mut RootAnnex)) {
        note(&mut self.annex.lock().expect("no holder of this lock panics"));
    }

    /// Something could not be taken: the work goes on, and the snapshot is partial.
    fn problem(&self, path: Option<&TreePath>, what: &str) {
        let problem = Problem { path: self.full_path(path), what: what.to_owned() };
        self.tally.problems.add(1);
        let mut kept = self.problems.lock().expect("no holder of this lock panics");
        if kept.len() < PROBLEMS_KEPT {
            kept.push(problem.clone());
        }
        drop(kept);
        self.monitor.problem(problem);
    }

    fn full_path(&self, path: Option<&TreePath>) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        path.map_or_else(
            || self.task.path.to_owned(),
            |path| self.task.path.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
        )
    }

    fn count(&self, entry: &Entry, is_unchanged: bool) {
        match &entry.kind {
            Kind::File { size, .. } => {
                self.tally.files.add(1);
                self.tally.bytes.add(*size);
                self.tally.files_unchanged.add(u64::from(is_unchanged));
            }
            _ => self.tally.others.add(1),
        }
    }

    /// Ends the scan with `error`; the first one counts.
    fn fail(&self, error: SnapshotError) {
        let mut failure = self.failure.lock().expect("no holder of this lock panics");
        failure.get_or_insert(error);
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// A piece of work will be done by whichever worker is free first.
    fn spawn<'s>(
        &'s self,
        scope: &Scope<'s>,
        work: impl FnOnce(&'s Self, &Scope<'s>) -> Result<(), SnapshotError> + Send + 's,
    ) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        scope.spawn(move |scope| {
            if !self.is_stopped() {
                work(self, scope).unwrap_or_else(|error| self.fail(error));
            }
            self.one_done();
        });
    }

    /// A piece of work is done; after the last, names that are missing lie outside the root.
    fn one_done(&self) {
        if self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_stopped() {
            for group in self.links.settle_all() {
                self.settle(group).unwrap_or_else(|error| self.fail(error));
            }
        }
    }

    /// Puts the entries of a link group where they belong.
    fn settle(&self, group: links::Group) -> Result<(), SnapshotError> {
        for (number, (member, slot)) in group.slots().into_iter().enumerate() {
            // The inode was counted when it was read; further names are files of their own.
            match &slot {
                Some((entry, _)) if number > 0 => match entry.kind {
                    Kind::File { .. } => self.tally.files.add(1),
                    _ => self.tally.others.add(1),
                },
                _ => {}
            }
            let place = Self::place(&member.node, slot);
            self.put(&member.node, [(member.slot, place)]);
            self.release(member.node)?;
        }
        Ok(())
    }

    /// A root that is no directory.
    fn single_file(&self, name: &[u8]) {
        if let Err(error) = self.try_single_file(name) {
            self.fail(error);
        }
    }

    fn try_single_file(&self, name: &[u8]) -> Result<(), SnapshotError> {
        let stat = self.root.stat(name).map_err(TreeError::io("look at", self.task.path))?;
        let before = self.task.new.old().and_then(|old| old.list(ROOT_KEY)?.next()?.ok());
        let before = before.as_ref();
        let before = before.map(|(entry, mark)| Before { entry, mark: *mark, number: None });
        let found = Found { dir: &self.root, name, stat: &stat, file: None, before };
        let slot = self.take_inode(found, &|| None)?;
        *self.whole.lock().expect("no holder of this lock panics") = slot;
        Ok(())
    }

    fn into_scanned(self) -> Result<Scanned, SnapshotError> {
        const UNPOISONED: &str = "no holder of this lock panics";
        if let Some(error) = self.failure.into_inner().expect(UNPOISONED) {
            return Err(error);
        }
        let whole = self.whole.into_inner().expect(UNPOISONED);
        let path = self.task.path.to_owned();
        let (mut root, mark): (Entry, Mark) =
            whole.ok_or(SnapshotError::RootUnreadable { path: path.clone() })?;
        root.name = ROOT_NAME.into();
        let object = match root.kind {
            Kind::Directory { object } => object,
            _ => ChunkId::from_bytes([0; 32]),
        };
        let block =
            Block { object, entries: vec![root.clone()], marks: vec![mark], holds_all: false };
        remember_root(self.task.new, &block);
        let mut problems = self.problems.into_inner().expect(UNPOISONED);
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Scanned {
            root,
            counts: self.tally.counts(),
            problems,
            annex: self.annex.into_inner().expect(UNPOISONED),
            owners: self.owners.into_inner().expect(UNPOISONED),
            settled: self.settled.into_inner().expect(UNPOISONED),
            has_links: self.has_links.into_inner(),
        })
    }

    fn is_elsewhere(&self, stat: &Stat) -> bool {
        // On an overlay the files of lower layers have another device than the directories.
        stat.is_mount || stat.kind == FileKind::Directory && stat.inode.dev != self.root_inode.dev
    }

    fn saw(&self, entries: usize) {
        self.monitor.count(Counter::Entries, entries as u64);
    }

    /// The full path of a name, or the reason that there is none is our bug.
    fn path_of(dir: &Node, name: &[u8]) -> TreePath {
        TreePath::child(dir.path.as_ref(), name).expect("the kernel lists names only")
    }
}

fn remember_root(new: &StatCacheWriter, root: &Block) {
    let same = new.old().and_then(|old| match old.recall(ROOT_KEY)? {
        Recalled::Whole(held) => held.place.filter(|_| held.into_block() == *root),
        Recalled::Wide(_) => None,
    });
    match same {
        Some(place) => new.add_again(place),
        None => new.add(ROOT_KEY, root),
    }
}
