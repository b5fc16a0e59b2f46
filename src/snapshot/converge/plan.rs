//! Decides what a converge will do: everything where nothing is, else only what differs.

use std::path::Path;

use super::compare::Planner;
use super::{ConvergePlan, Counts, Losses, Request, Work, census};
use crate::monitor::Monitor;
use crate::repository::Repository;
use crate::snapshot::SnapshotError;
use crate::snapshot::live::{After, Listing, Look};
use crate::snapshot::scan::{Keep, Workers};
use crate::tree::{Kind, TreeError, TreePath};

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
        counts = counts + census::count(repository, request)?;
    } else {
        census::tally(&mut counts, &request.wanted.entry, false);
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
