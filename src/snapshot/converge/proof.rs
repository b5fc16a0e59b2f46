//! Looks at a tree again after it was converged: nothing may be left to do.
//!
//! What was touched is listed, looked at and, where stat tells of a change, read again; all else
//! counts as the plan found it a moment before. A file that was written counts as what it was
//! compared with right after, if its inode and the time of its last change say that it has stayed
//! so. While the cores look, the disk takes what it does not hold yet.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use super::plan::differences;
use super::{ConvergePlan, Deletes, DressedKind, Request, Unsynced, Work};
use crate::monitor::{Monitor, News};
use crate::os::crew::beside;
use crate::repository::{ObjectId, Repository};
use crate::snapshot::live::{After, Listing, Look};
use crate::snapshot::scan::{Keep, Made, Put, Workers};
use crate::snapshot::written::Proved;
use crate::snapshot::{SnapshotError, Trust};
use crate::tree::{Entry, TreePath};

/// What the look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The tree is what was wanted, but for what could not be put back: that is as the losses say.
    AsWanted,
    /// So many paths are closed to us as they are wanted, and were not looked at; all else is as above.
    Closed(u64),
    /// Something is left to do at this path, or cannot be read.
    Differs(String),
}

/// Syncs what was done, looks whether the tree is what was planned, and remembers it as what
/// `snapshot` holds if it is that and nothing else. `also` names directories in which somebody else
/// had work to do.
pub fn prove(
    repository: &Repository,
    request: &Request<'_>,
    (plan, unsynced): (&ConvergePlan, &Unsynced),
    also: &[TreePath],
    snapshot: ObjectId,
    monitor: &dyn Monitor,
) -> Result<Proof, SnapshotError> {
    let touched = plan.touched(also);
    let done = unsynced.done();
    let entries = plan.put();
    // All is read where all is to be read.
    let (nothing, reads_all) = (Proved::default(), request.memory.trust == Trust::Never);
    let files = if reads_all { &nothing } else { &done.proved };
    let put = Put { entries: &entries, files };
    let workers = Workers::new(Keep::Hash(repository), None);
    let look = Look {
        path: request.path,
        exclusions: request.exclusions,
        memory: request.memory,
        want: None,
        after: match &plan.listing {
            Some(listing) => After::Touched(listing, &touched, put),
            None if reads_all => After::Unknown,
            None => After::Made(Made { root: &plan.wanted, files }),
        },
    };
    let left = thread::scope(|scope| {
        let syncing = beside(scope, || unsynced.sync());
        let left = look
            .list(&workers, monitor)
            .and_then(|listing| differences(repository, request, Some(&done.losses), listing));
        let synced = syncing.map_or_else(
            || unsynced.sync(),
            |syncing| syncing.join().expect("a sync does not panic"),
        );
        // What the disk refused is not remembered as if it were there.
        synced.and(left)
    })?;
    let closed: BTreeSet<&Path> = left.problems.iter().map(|it| &*it.path).collect();
    if let Some(problem) = left.problems.iter().find(|it| !is_closed(&it.path)) {
        return Ok(Proof::Differs(format!("{}: {}", problem.path.display(), problem.what)));
    }
    let is_open = |path: &Option<TreePath>| {
        !left.full(path.as_ref()).ancestors().any(|dir| closed.contains(dir))
    };
    if let Some((word, path)) = left.lines().into_iter().find(|(_, path)| is_open(path)) {
        let path = path.map_or_else(|| ".".to_owned(), |path| path.to_string());
        return Ok(Proof::Differs(format!("{word} {path}")));
    }
    if !closed.is_empty() {
        return Ok(Proof::Closed(closed.len() as u64));
    }
    // What is kept beside the wanted is in no snapshot, and must not be remembered as if it were.
    let is_all_that_is_there = |listing: &Listing| {
        let is_whole =
            request.include.is_none() && left.kept.is_empty() && done.losses.counts.count() == 0;
        matches!(request.deletes, Deletes::All) && is_whole
            || listing.root.kind == request.wanted.entry.kind
    };
    if let Some(listing) = left.listing.as_ref().filter(|it| is_all_that_is_there(it))
        && let Err(error) = listing.remember(repository, request.memory, snapshot)
    {
        let what = format!("{} will be read again: {error}", request.path.display());
        monitor.tell(News::Warning { what });
    }
    Ok(Proof::AsWanted)
}

/// Whether something is there that its own mode keeps us from reading.
fn is_closed(path: &Path) -> bool {
    let is_there = path.symlink_metadata().is_ok();
    is_there
        && std::fs::File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

impl ConvergePlan {
    /// What is put where, in the order of the tree.
    fn put(&self) -> Vec<(&TreePath, &Entry)> {
        let Work::Differences(work) = &self.work else { return Vec::new() };
        work.items.iter().map(|item| (&item.path, &item.entry)).collect()
    }

    /// The directories in which something was to be done, with all above them.
    fn touched(&self, also: &[TreePath]) -> BTreeSet<Option<TreePath>> {
        let mut touched = BTreeSet::from([None]);
        let Work::Differences(work) = &self.work else { return touched };
        let mut touch = |mut path: Option<TreePath>| {
            // If it is there already, so is all above it.
            while !touched.contains(&path) {
                touched.insert(path.clone());
                path = path.and_then(|path| path.parent());
            }
        };
        let made = work.directories.iter().map(|item| &item.path);
        made.chain(work.touched.keys().flatten())
            .chain(also)
            .for_each(|dir| touch(Some(dir.clone())));
        for (path, dress) in &work.metadata {
            match dress.on {
                DressedKind::Directory => touch(path.clone()),
                _ => touch(path.as_ref().and_then(TreePath::parent)),
            }
        }
        let others = work.items.iter().map(|item| &item.path);
        let gone = work.deletes.iter().map(|goner| &goner.path);
        others.chain(gone).for_each(|path| touch(path.parent()));
        touched
    }
}
