//! How much there is to make where nothing is, counted by all cores before anything is made: by then
//! it is known that the whole manifest can be read.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{ParallelBridge, ParallelIterator};

use super::relate::{bytes_of, is_directory, is_included, leads_to_included};
use super::{Counts, Request};
use crate::repository::Repository;
use crate::snapshot::SnapshotError;
use crate::tree::read::Entries;
use crate::tree::{Entry, Kind, Treatment, TreeError, TreePath};

/// A directory that lies so deep is counted by one thread, with all in it.
const SHARED_DEPTH: usize = 3;

/// What is to be made below the wanted root.
pub(super) fn count(
    repository: &Repository,
    request: &Request<'_>,
) -> Result<Counts, SnapshotError> {
    let census = Census { repository, request, groups: Mutex::default() };
    let shallow = Shallow { request, entries: Entries::below(repository, &request.wanted.entry) };
    let counted = shallow.par_bridge().map(|next| {
        let (path, entry) = next?;
        census.count(path, &entry)
    });
    counted.try_reduce(Counts::default, |some, more| Ok(some + more))
}

/// The wanted entries down to [`SHARED_DEPTH`].
struct Shallow<'a> {
    request: &'a Request<'a>,
    entries: Entries<'a>,
}

impl Iterator for Shallow<'_> {
    type Item = Result<(TreePath, Entry), TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.entries.next()?;
            let Ok((path, entry)) = &next else { return Some(next) };
            let is_wanted = is_wanted(self.request, path, entry);
            if !is_wanted || depth_of(path) == SHARED_DEPTH {
                self.entries.skip_inside();
            }
            if is_wanted {
                return Some(next);
            }
        }
    }
}

fn depth_of(path: &TreePath) -> usize {
    path.parts().count()
}

struct Census<'a> {
    repository: &'a Repository,
    request: &'a Request<'a>,
    /// The link groups that were met.
    groups: Mutex<BTreeSet<TreePath>>,
}

impl Census<'_> {
    /// An entry, and all in it if nobody else goes there.
    fn count(&self, path: TreePath, entry: &Entry) -> Result<Counts, SnapshotError> {
        let mut counts = Counts::default();
        self.tally(&mut counts, entry);
        let Kind::Directory { object } = entry.kind else { return Ok(counts) };
        if depth_of(&path) < SHARED_DEPTH {
            return Ok(counts);
        }
        let mut entries = Entries::inside(self.repository, path, object);
        while let Some(next) = entries.next() {
            let (path, entry) = next?;
            if is_wanted(self.request, &path, &entry) {
                self.tally(&mut counts, &entry);
            } else {
                entries.skip_inside();
            }
        }
        Ok(counts)
    }

    fn tally(&self, counts: &mut Counts, entry: &Entry) {
        let is_further = entry.link_group.as_ref().is_some_and(|label| {
            // A holder that panicked left the set whole.
            !self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(label.clone())
        });
        tally(counts, entry, is_further);
    }
}

/// Whether a wanted entry is made at all.
pub(super) fn is_wanted(request: &Request<'_>, path: &TreePath, entry: &Entry) -> bool {
    let is_meant = is_included(request.include, path)
        || is_directory(&entry.kind) && leads_to_included(request.include, path);
    let is_dir = is_directory(&entry.kind);
    is_meant
        && !matches!(entry.kind, Kind::Database { .. })
        && request.exclusions.treat(path, is_dir) != Treatment::LeftOut
}

/// Counts one entry that is to be made.
pub(super) fn tally(counts: &mut Counts, entry: &Entry, is_further_name: bool) {
    match entry.kind {
        Kind::Database { .. } => {}
        _ if is_further_name => counts.link += 1,
        Kind::File { .. } => {
            counts.write += 1;
            counts.write_bytes += bytes_of(entry);
        }
        _ => counts.make += 1,
    }
}
