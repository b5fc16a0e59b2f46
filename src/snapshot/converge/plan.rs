//! Decides what a converge will do: everything where nothing is, else only what differs.

use std::collections::BTreeSet;
use std::path::Path;

use super::compare::Planner;
use super::relate::{bytes_of, is_directory, is_included, leads_to_included};
use super::{ConvergePlan, Counts, Losses, Request, Work};
use crate::monitor::Monitor;
use crate::repository::Repository;
use crate::snapshot::SnapshotError;
use crate::snapshot::live::{After, Listing, Look};
use crate::snapshot::scan::{Keep, Workers};
use crate::tree::read::Entries;
use crate::tree::{Entry, Kind, Treatment, TreeError, TreePath};

/// Decides what must happen to make the live tree the wanted one.
pub fn plan(
    repository: &Repository,
    request: &Request<'_>,
    monitor: &dyn Monitor,
) -> Result<ConvergePlan, SnapshotError> {
    let is_tree = matches!(request.wanted.entry.kind, Kind::Directory { .. });
    match request.path.metadata() {
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {
            return fresh(repository, request, is_tree, false);
        }
        Err(error) => return Err(TreeError::io("look at", request.path)(error).into()),
        Ok(live) if live.is_dir() != is_tree => {
            return Err(SnapshotError::RootChanged { path: request.path.to_owned() });
        }
        Ok(live) if live.is_dir() && is_empty(request.path)? => {
            return fresh(repository, request, is_tree, true);
        }
        Ok(_) => {}
    }
    let workers = Workers::new(Keep::Hash(repository), None);
    let look = Look {
        path: request.path,
        exclusions: request.exclusions,
        memory: request.memory,
        want: None,
        after: After::Unknown,
    };
    let listing = look.list(&workers, monitor)?;
    differences(repository, request, None, listing)
}

/// What must happen to make the tree that was listed the wanted one, but for what is `excused`.
pub(super) fn differences(
    repository: &Repository,
    request: &Request<'_>,
    excused: Option<&Losses>,
    listing: Listing,
) -> Result<ConvergePlan, SnapshotError> {
    let is_tree = matches!(request.wanted.entry.kind, Kind::Directory { .. });
    let mut planner = Planner::new(repository, request, excused, &listing);
    let base = if is_tree { planner.compare_tree()? } else { planner.compare_file()? };
    let plan = planner.into_plan(base)?;
    Ok(ConvergePlan { listing: Some(listing), ..plan })
}

fn is_empty(path: &Path) -> Result<bool, TreeError> {
    let mut names = path.read_dir().map_err(TreeError::io("list", path))?;
    Ok(names.next().is_none())
}

/// Nothing is there: everything is made.
fn fresh(
    repository: &Repository,
    request: &Request<'_>,
    is_tree: bool,
    exists: bool,
) -> Result<ConvergePlan, SnapshotError> {
    let mut counts = Counts::default();
    if is_tree {
        counts.make += u64::from(!exists);
        counts.metadata += u64::from(exists);
        let mut entries = Entries::below(repository, &request.wanted.entry);
        let mut groups = BTreeSet::new();
        while let Some(entry) = entries.next() {
            let (path, entry) = entry?;
            if !is_wanted(request, &path, &entry) {
                entries.skip_inside();
                continue;
            }
            let is_further =
                entry.link_group.as_ref().is_some_and(|label| !groups.insert(label.clone()));
            tally(&mut counts, &entry, is_further);
        }
    } else {
        tally(&mut counts, &request.wanted.entry, false);
    }
    Ok(ConvergePlan {
        base: request.path.to_owned(),
        wanted: request.wanted.entry.clone(),
        annex: request.annex.cloned().unwrap_or_default(),
        counts,
        kept: Vec::new(),
        problems: Vec::new(),
        listing: None,
        work: Work::Fresh {
            exists,
            include: request.include.map(<[TreePath]>::to_vec),
            exclusions: request.exclusions.clone(),
        },
    })
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
