//! Makes a live tree what a manifest says, touching only what differs.
//!
//! ```text
//! plan (pure, but for looking):  live tree × wanted manifest, directory by directory, equal
//!     subtrees skipped by one compare  →  keep · metadata · write · link · make · delete
//! act:  write all aside, on the same file system · one syncfs, and read it again and compare ·
//!     directories and renames · deletes last · metadata, the deepest first
//! prove:  look at all that was touched, beside the last syncfs
//! ```
//! Killed anywhere and called again, it ends the same: a plan is made of what is there now. A file
//! is never changed in place, for it may have names elsewhere; nothing is deleted before all that
//! is to come is durable; no link is followed; and what the exclusions name, what is mounted, and
//! databases are not touched.

mod act;
mod aside;
mod census;
mod compare;
mod content;
mod early;
mod fresh;
mod groups;
mod losses;
mod metadata;
mod placing;
mod plan;
mod prepare;
mod proof;
mod relate;
mod removal;
mod sweep;
mod unsynced;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests build their own worlds")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::annex::RootAnnex;
use super::live::Listing;
use super::record::Root;
use super::source::Memory;
use super::written::Proved;
use crate::monitor::Problem;
use crate::os::meta::{Inode, Stamp};
use crate::tree::{Entry, Exclusions, Kind, Meta, TreePath};

pub use act::act;
pub use aside::LONE;
pub(super) use aside::remove_if_any;
pub use losses::{LossCounts, Losses};
pub use plan::plan;
pub use proof::{Proof, prove};
pub use sweep::{give_room_back, hold_room, sweep};
pub use unsynced::Unsynced;

/// Which live paths that the manifest lacks may go.
#[derive(Clone, Copy, Debug)]
pub enum Deletes<'a> {
    /// All: afterwards the tree is the manifest.
    All,
    /// None: what is there besides stays.
    None,
    /// These: an upgrade deletes what its verdicts say, and not what appeared meanwhile.
    Only(&'a BTreeSet<TreePath>),
}

/// What is wanted, and how far one may go for it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The manifest.
    pub wanted: &'a Root,
    /// What the snapshot carries beside it, if it is to be put back too.
    pub annex: Option<&'a RootAnnex>,
    /// Where the live tree is; it may be missing or empty.
    pub path: &'a std::path::Path,
    /// What is never touched.
    pub exclusions: &'a Exclusions,
    /// What may be deleted.
    pub deletes: Deletes<'a>,
    /// A live link where a directory is wanted is kept and reported, as an overwrite does it;
    /// otherwise it is replaced.
    pub keep_links_to_directories: bool,
    /// Only these paths and what is below them; `None`: everything.
    pub include: Option<&'a [TreePath]>,
    /// What is remembered of the live tree's stat data.
    pub memory: Memory<'a>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live entries that stay as they are.
    pub keep: u64,
    /// Entries whose mode, owner, time or attributes change in place.
    pub metadata: u64,
    /// Files written.
    pub write: u64,
    /// Bytes of them.
    pub write_bytes: u64,
    /// Further names of files.
    pub link: u64,
    /// Directories, links and special files made.
    pub make: u64,
    /// Entries deleted.
    pub delete: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            keep: self.keep + more.keep,
            metadata: self.metadata + more.metadata,
            write: self.write + more.write,
            write_bytes: self.write_bytes + more.write_bytes,
            link: self.link + more.link,
            make: self.make + more.make,
            delete: self.delete + more.delete,
        }
    }
}

impl Counts {
    /// Whether the tree is as it is wanted.
    pub const fn is_nothing_to_do(&self) -> bool {
        self.metadata + self.write + self.link + self.make + self.delete == 0
    }
}

/// Something that stays otherwise than it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: TreePath,
    /// Why.
    pub why: WhyKept,
}

/// Why a path stays otherwise than it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyKept {
    /// Something is mounted there.
    MountPoint,
    /// A link stands where a directory is wanted: its target is not covered.
    LinkToDirectory,
    /// A directory stands where something else is wanted, and what is in it may not go.
    DirectoryInTheWay,
    /// A directory that should go holds something that may not go.
    HoldsMore,
}

impl WhyKept {
    /// In words.
    pub const fn says(self) -> &'static str {
        match self {
            Self::MountPoint => "something is mounted there",
            Self::LinkToDirectory => "a link stands there, and its target is not covered",
            Self::DirectoryInTheWay => "a directory stands there, and what is in it may not go",
            Self::HoldsMore => "it holds something that may not go",
        }
    }
}

/// What will be done, decided before anything is touched.
#[derive(Debug)]
pub struct ConvergePlan {
    /// The directory in which everything happens, without a link; for a root that is a file, the
    /// directory that holds it.
    base: PathBuf,
    wanted: Entry,
    annex: RootAnnex,
    /// How much there is to do.
    pub counts: Counts,
    /// What stays otherwise than it is wanted.
    pub kept: Vec<Kept>,
    /// What of the live tree could not be read; a tree that cannot be read is not converged.
    pub problems: Vec<Problem>,
    /// The live tree that the plan was made of; none where nothing is.
    listing: Option<Listing>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// Nothing is there: everything is created in place.
    Fresh { exists: bool, include: Option<Vec<TreePath>>, exclusions: Exclusions },
    /// Only what differs.
    Differences(Differences),
}

#[derive(Debug, Default)]
struct Differences {
    /// Directories to make, parents first.
    directories: Vec<Item>,
    /// Files, links and specials, in the order of the tree.
    items: Vec<Item>,
    /// Names that go, in the order of the tree.
    deletes: Vec<Goner>,
    /// Metadata to put, in the order of the tree. `None` is the root.
    metadata: Vec<(Option<TreePath>, Dress)>,
    /// The time that each directory has afterwards in which a name changes.
    touched: BTreeMap<Option<TreePath>, Stamp>,
}

impl Differences {
    /// Whether what is at `path` is made, or given other metadata.
    fn changes(&self, path: Option<&TreePath>) -> bool {
        let is_made = |items: &[Item], path: &TreePath| {
            items.binary_search_by(|item| item.path.cmp(path)).is_ok()
        };
        self.dresses(path)
            || path
                .is_some_and(|path| is_made(&self.items, path) || is_made(&self.directories, path))
    }

    /// Whether what is at `path` is given metadata by itself.
    fn dresses(&self, path: Option<&TreePath>) -> bool {
        self.metadata.binary_search_by(|(at, _)| at.as_ref().cmp(&path)).is_ok()
    }
}

/// Metadata that something is to have. There may be one for each entry of a tree: no more is held
/// than is needed.
#[derive(Debug)]
struct Dress {
    meta: Meta,
    on: DressedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DressedKind {
    Directory,
    Link,
    Other,
}

impl Dress {
    fn of(entry: Entry) -> Self {
        let on = match entry.kind {
            Kind::Symlink { .. } => DressedKind::Link,
            Kind::Directory { .. } | Kind::SkippedDirectory | Kind::MountPoint => {
                DressedKind::Directory
            }
            _ => DressedKind::Other,
        };
        Self { meta: entry.meta, on }
    }
}

/// Something to be made at a path.
#[derive(Debug)]
struct Item {
    path: TreePath,
    /// Without its name, which the path ends with.
    entry: Entry,
    /// What is there now.
    replaces: Option<Replaced>,
    /// It becomes another name of what is at this path afterwards.
    link_to: Option<TreePath>,
}

#[derive(Clone, Copy, Debug)]
struct Replaced {
    inode: Inode,
    is_directory: bool,
}

/// Something that goes.
#[derive(Debug)]
struct Goner {
    path: TreePath,
    inode: Inode,
    /// A directory that was listed without its inside: that goes with it.
    with_inside: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvergeDone {
    /// What the plan counted, all of it done.
    pub counts: Counts,
    /// What could not be put back exactly, for want of a right or of a feature.
    pub losses: Losses,
    /// The files that were compared, byte by byte, after they were written where they are.
    pub proved: Proved,
}

impl ConvergePlan {
    /// Where it happens.
    pub fn path(&self) -> &std::path::Path {
        &self.base
    }

    /// The paths that will be written, made, linked, changed or deleted, in the order of the tree,
    /// each with a word for it. Nothing for a tree that is made from scratch.
    pub fn lines(&self) -> Vec<(&'static str, Option<TreePath>)> {
        let Work::Differences(work) = &self.work else { return Vec::new() };
        let mut lines: Vec<(Option<TreePath>, &'static str)> = Vec::new();
        for item in work.directories.iter().chain(&work.items) {
            let word = match (&item.link_to, &item.entry.kind) {
                (Some(_), _) => "link",
                (None, Kind::File { .. }) => "write",
                _ => "make",
            };
            lines.push((Some(item.path.clone()), word));
        }
        lines.extend(work.metadata.iter().map(|(path, _)| (path.clone(), "metadata")));
        lines.extend(work.deletes.iter().map(|goner| (Some(goner.path.clone()), "delete")));
        lines.sort();
        lines.into_iter().map(|(path, word)| (word, path)).collect()
    }
}
