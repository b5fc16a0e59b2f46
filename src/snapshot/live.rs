//! Looks at live trees without storing anything: what they are now, by content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SnapshotError;
use super::annex::{Annex, RootAnnex};
use super::digest::files_digest;
use super::record::{Counts, Root, Snapshot};
use super::scan::{Keep, Made, Put, Task, Workers, scan};
use super::source::{Memory, Source, origin};
use super::take::resolve;
use crate::monitor::{Monitor, Problem};
use crate::os::file;
use crate::repository::{ObjectId, Repository};
use crate::tree::statcache::{self, Listed, Mark, ROOT_KEY, StatCache, StatCacheWriter};
use crate::tree::walk::Walker;
use crate::tree::{Entry, Exclusions, Kind, TreeError, TreePath};

/// The digest of live roots, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDigest {
    /// Comparable with [`Snapshot::files_digest`](super::Snapshot::files_digest).
    pub digest: [u8; 32],
    /// The roots, as a snapshot would hold them.
    pub roots: Vec<Root>,
    /// Files whose content was read for it.
    pub files_read: u64,
    /// Files that count as they were recorded: nothing that stat tells has changed.
    pub files_unchanged: u64,
    /// What could not be read. With any, the digest proves nothing.
    pub problems: Vec<Problem>,
}

/// Computes what the files digest of `sources` is now.
pub fn live_digest(
    repository: &Repository,
    sources: &[Source],
    memory: Memory<'_>,
    monitor: &dyn Monitor,
) -> Result<LiveDigest, SnapshotError> {
    let workers = Workers::new(Keep::Hash(repository), None);
    let mut roots = Vec::new();
    let mut counts = Counts::default();
    let mut problems = Vec::new();
    for source in sources {
        let look = Look {
            path: &source.path,
            exclusions: &source.exclusions,
            memory,
            want: None,
            after: After::Unknown,
        };
        let listing = look.list(&workers, monitor)?;
        counts = counts.plus(&listing.counts);
        problems.extend(listing.problems);
        roots.push(Root {
            label: source.label.clone(),
            path: listing.path,
            entry: listing.root,
            rules: source.exclusions.rules().clone(),
        });
    }
    roots.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(LiveDigest {
        digest: files_digest(repository, &roots),
        roots,
        files_read: counts.files_read,
        files_unchanged: counts.files_unchanged,
        problems,
    })
}

/// Computes what the files digest of `sources` is now, for comparing it with that of `snapshot`:
/// where that left out the time of a directory, it is left out here.
pub fn digest_like(
    repository: &Repository,
    snapshot: &Snapshot,
    sources: &[Source],
    memory: Memory<'_>,
    monitor: &dyn Monitor,
) -> Result<LiveDigest, SnapshotError> {
    let annex = Annex::read(repository, &snapshot.annex)?;
    let like = |source: &Source| {
        let recorded = annex.roots.get(&source.label).map(RootAnnex::recorded);
        let exclusions = source.exclusions.clone().as_recorded(recorded.unwrap_or_default());
        Source { exclusions, ..source.clone() }
    };
    let sources: Vec<_> = sources.iter().map(like).collect();
    live_digest(repository, &sources, memory, monitor)
}

/// The live entries that are wanted, with the ids of their content; directories only if wanted.
/// Files that are not wanted are not read.
pub fn survey(
    repository: &Repository,
    source: &Source,
    memory: Memory<'_>,
    want: &(dyn Fn(&TreePath) -> bool + Sync),
    monitor: &dyn Monitor,
) -> Result<BTreeMap<TreePath, Entry>, SnapshotError> {
    let workers = Workers::new(Keep::Hash(repository), None);
    let (path, exclusions) = (&source.path, &source.exclusions);
    let look = Look { path, exclusions, memory, want: Some(want), after: After::Unknown };
    let listing = look.list(&workers, monitor)?;
    let mut found = BTreeMap::new();
    let mut open = vec![None];
    while let Some(dir) = open.pop() {
        for listed in listing.dir(dir.as_ref()).into_iter().flatten() {
            let (entry, _) = listed.map_err(TreeError::io("list", &listing.path))?;
            let path = TreePath::child(dir.as_ref(), &entry.name)
                .expect("a listed name is a part of a path");
            if matches!(entry.kind, Kind::Directory { .. }) {
                open.push(Some(path.clone()));
            }
            if want(&path) {
                found.insert(path, entry);
            }
        }
    }
    Ok(found)
}

/// What to look at.
pub(super) struct Look<'a> {
    pub(super) path: &'a Path,
    pub(super) exclusions: &'a Exclusions,
    pub(super) memory: Memory<'a>,
    pub(super) want: Option<&'a (dyn Fn(&TreePath) -> bool + Sync)>,
    pub(super) after: After<'a>,
}

/// What was done to a tree right before it is looked at.
#[derive(Clone, Copy)]
pub(super) enum After<'a> {
    /// Anything: only what is remembered is known.
    Unknown,
    /// It was listed, and something was done in these directories, with all above them: only those
    /// are looked at.
    Touched(&'a Listing, &'a BTreeSet<Option<TreePath>>, Put<'a>),
    /// It was made.
    Made(Made<'a>),
}

/// A live tree as it was found: to be asked directory by directory, kept outside the memory of
/// the process.
#[derive(Debug)]
pub(super) struct Listing {
    /// Where it is, without a link.
    pub(super) path: PathBuf,
    pub(super) root: Entry,
    pub(super) counts: Counts,
    pub(super) problems: Vec<Problem>,
    pub(super) annex: RootAnnex,
    cache: Arc<StatCache>,
    /// Whether there is an inode with several names.
    has_links: bool,
    /// What was found before, and the directories whose inside counts as it is there.
    settled: Option<(Arc<StatCache>, BTreeSet<TreePath>)>,
}

impl Look<'_> {
    pub(super) fn list(
        &self,
        workers: &Workers<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Listing, SnapshotError> {
        let path = resolve(self.path)?;
        if self.memory.dir.is_some()
            && let Ok(file) = nameless(self.memory.dir)
            && let Ok(listing) = self.list_into(file, &path, workers, monitor)?
        {
            return Ok(listing);
        }
        // A full or read-only disk under the cache stands in no way back: memory does as well.
        let file = file::anonymous().map_err(TreeError::io("list", &path))?;
        let listing = self.list_into(file, &path, workers, monitor)?;
        Ok(listing.map_err(TreeError::io("list", &path))?)
    }

    /// The inner error is that of `file` alone.
    fn list_into(
        &self,
        file: std::fs::File,
        path: &Path,
        workers: &Workers<'_>,
        monitor: &dyn Monitor,
    ) -> Result<std::io::Result<Listing>, SnapshotError> {
        let repository = workers.repository();
        let (mut seen, mut put, mut made, mut old) = (None, None, None, None);
        match self.after {
            After::Unknown => old = self.memory.recall_listed(repository, path).map(Arc::new),
            After::Touched(listing, touched, files) => {
                (seen, put) = (Some((listing, touched)), Some(files));
                old = Some(Arc::clone(&listing.cache));
            }
            After::Made(tree) => made = Some(tree),
        }
        let new = StatCacheWriter::after(old, file);
        let task = Task {
            path,
            exclusions: self.exclusions,
            walker: Walker::Fast,
            new: &new,
            want: self.want,
            // Names of one inode are only found together if all directories are looked at.
            touched: seen.and_then(|(seen, touched)| (!seen.has_links).then_some(touched)),
            made,
            put,
        };
        let mut found = scan(workers, task, monitor)?;
        let settled = seen.map(|(seen, _)| {
            let untimed = seen.annex.directory_mtimes.iter();
            let untimed = untimed.filter(|(path, _)| is_below(&found.settled, path.as_ref()));
            let untimed = untimed.map(|(path, mtime)| (path.clone(), *mtime));
            found.annex.directory_mtimes.extend(untimed);
            (Arc::clone(&seen.cache), std::mem::take(&mut found.settled))
        });
        let cache = match new.unchanged() {
            Some(old) => Ok(Arc::clone(old)),
            None => new.into_cache(&origin(repository, path, None)).map(Arc::new),
        };
        Ok(cache.map(|cache| Listing {
            cache,
            path: path.to_owned(),
            root: found.root,
            counts: found.counts,
            problems: found.problems,
            annex: found.annex,
            has_links: found.has_links,
            settled,
        }))
    }
}

impl Listing {
    /// The entries of a directory and what stat said of them; `None` is the root. Nothing where
    /// there is no such directory.
    pub(super) fn dir(&self, path: Option<&TreePath>) -> Option<Listed<'_>> {
        let key = path.map_or(&b""[..], TreePath::as_bytes);
        let is_settled = |settled: &BTreeSet<TreePath>| is_below(settled, path);
        self.cache.list(key).or_else(|| match &self.settled {
            Some((before, settled)) if is_settled(settled) => before.list(key),
            _ => None,
        })
    }

    /// Remembers it as what `snapshot` holds, so that the next look need not read it again.
    pub(super) fn remember(
        &self,
        repository: &Repository,
        memory: Memory<'_>,
        snapshot: ObjectId,
    ) -> std::io::Result<()> {
        let Some(place) = memory.place_of(repository, &self.path) else { return Ok(()) };
        let (file, temp) = statcache::create_beside(&place)?;
        let new = StatCacheWriter::new(file);
        let before = self.settled.as_ref().map(|(before, _)| &**before);
        let mut caches = [Some(&*self.cache), before].into_iter().flatten();
        // Of a directory that went meanwhile a block may stay: no inode will ever fit it.
        let copied = caches.try_for_each(|cache| new.adopt(cache));
        let copied = copied.and_then(|()| {
            new.finish(&origin(repository, &self.path, Some(snapshot)))?;
            file::rename_over(&temp, &place)
        });
        if copied.is_err() {
            file::remove(&temp)?;
        }
        copied
    }

    /// What stat said of the root itself.
    pub(super) fn root_mark(&self) -> Option<Mark> {
        let (_, mark) = self.cache.list(ROOT_KEY)?.next()?.ok()?;
        Some(mark)
    }
}

/// Whether a path is one of `settled` or lies below one.
fn is_below(settled: &BTreeSet<TreePath>, path: Option<&TreePath>) -> bool {
    let mut at = path.cloned();
    while let Some(path) = at {
        if settled.contains(&path) {
            return true;
        }
        at = path.parent();
    }
    false
}

/// A file that has no name any more: beside what is remembered, or in memory.
fn nameless(dir: Option<&Path>) -> std::io::Result<std::fs::File> {
    let Some(dir) = dir else { return file::anonymous() };
    file::create_dirs(dir, 0o700)?;
    let (file, temp) = statcache::create_beside(&dir.join("listing"))?;
    file::remove(&temp)?;
    Ok(file)
}
