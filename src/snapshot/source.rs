//! What is covered, and what may be remembered about it.

use std::path::{Path, PathBuf};

use super::list::{is_listed, list_readable};
use crate::os::host;
use crate::repository::{ObjectId, Repository};
use crate::tree::Exclusions;
use crate::tree::statcache::{Origin, StatCache};

/// One root: a directory with all below it, or a single file.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the digest calls it; unique among the sources of a snapshot.
    pub label: String,
    /// Where it is. A link here is followed, once.
    pub path: PathBuf,
    /// What is left out.
    pub exclusions: Exclusions,
}

/// What the name of a place begins with; the rest tells root and repository.
pub(super) const PLACE_PREFIX: &str = "stat-";

/// How far stat data is believed, so that a file need not be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// If it was recorded since the machine started: after a crash inode and bytes may disagree.
    #[default]
    SameBoot,
    /// Not at all: everything is read.
    Never,
}

/// Where stat data is remembered, and how far it is believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory<'a> {
    /// A directory of ours; without one nothing is remembered.
    pub dir: Option<&'a Path>,
    /// How far what is found there is believed.
    pub trust: Trust,
}

impl Memory<'_> {
    /// The file that remembers the root at `path`, a resolved path.
    pub(super) fn place_of(&self, repository: &Repository, path: &Path) -> Option<PathBuf> {
        use std::fmt::Write as _;
        let mut name = PLACE_PREFIX.to_owned();
        for byte in &source_key(repository, path)[..12] {
            write!(name, "{byte:02x}").expect("a string takes every digit");
        }
        Some(self.dir?.join(name))
    }

    /// What is remembered of the root at `path` and may be believed.
    pub(super) fn recall(&self, repository: &Repository, path: &Path) -> Option<StatCache> {
        if self.trust == Trust::Never {
            return None;
        }
        let place = self.place_of(repository, path)?;
        let cache = StatCache::open(&place, &source_key(repository, path))?;
        (cache.origin().boot_id == host::boot_id()).then_some(cache)
    }

    /// The same, if the snapshot that it was taken with is still there, or another one of the
    /// same tree.
    pub(super) fn recall_listed(&self, repository: &Repository, path: &Path) -> Option<StatCache> {
        let cache = self.recall(repository, path)?;
        let snapshot = cache.origin().snapshot?;
        let is_listed = is_listed(repository, &snapshot).is_ok_and(|is_listed| is_listed);
        let holds = |object| {
            let listed = list_readable(repository).unwrap_or_default().snapshots;
            listed.iter().any(|snapshot| snapshot.root_objects().any(|root| root == object))
        };
        (is_listed || cache.root_object().is_some_and(holds)).then_some(cache)
    }
}

/// What a new cache of the root at `path` is of.
pub(super) fn origin(repository: &Repository, path: &Path, snapshot: Option<ObjectId>) -> Origin {
    let source = source_key(repository, path);
    Origin { snapshot, boot_id: host::boot_id(), source, root: path.to_owned() }
}

fn source_key(repository: &Repository, path: &Path) -> [u8; 32] {
    use std::os::unix::ffi::OsStrExt;
    let mut hasher = repository.hasher("snap-backup stat cache 1");
    hasher.update(path.as_os_str().as_bytes());
    *hasher.finalize().as_bytes()
}
