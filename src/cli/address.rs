//! From what was typed to a snapshot and a place in it.

use std::os::unix::ffi::OsStrExt;

use crate::repository::Repository;
use crate::snapshot::{self, Root, Snapshot, SnapshotError};
use crate::tree::{Entry, TreePath, read};

use super::context::Context;
use super::failure::{Code, Failure};
use super::render;
use super::text::{self, Ink};

/// The snapshot that `typed` names, `:/path` apart, and that path.
pub(super) fn snapshot<'t>(
    cx: &Context<'_>,
    repository: &Repository,
    typed: &'t str,
) -> Result<(Snapshot, Option<&'t str>), Failure> {
    let (address, path) = snapshot::split_path(typed);
    let all = known(cx, repository, address)?;
    let found = snapshot::resolve(&all, &of_app(cx, address)).map_err(|e| meant(cx, &all, e))?;
    if found.partial_passed_over > 0 {
        let passed = render::counted(
            found.partial_passed_over as u64,
            "newer snapshot is partial and was passed over",
            "newer snapshots are partial and were passed over",
        );
        cx.out.insist(&format!("  {} {passed}\n", Ink::Warn.on('!')));
    }
    Ok((found.snapshot.clone(), path))
}

/// The snapshots to choose from. One that cannot be read may be the latest: then only an id says
/// which is meant.
fn known(
    cx: &Context<'_>,
    repository: &Repository,
    address: &str,
) -> Result<Vec<Snapshot>, Failure> {
    let snapshot::Listed { snapshots, mut unreadable } = snapshot::list_readable(repository)?;
    let Some(first) = unreadable.pop() else { return Ok(snapshots) };
    if address.starts_with("latest") {
        let newest = snapshots.last().map(|one| one.id.short()).unwrap_or_default();
        return Err(Failure::from(first.error).tip(format!(
            "which is the latest is not known; {newest} is the newest that is whole"
        )));
    }
    for one in unreadable.iter().chain([&first]) {
        cx.out.insist(&format!("  {} {}: {}\n", Ink::Warn.on('!'), one.object, one.error));
    }
    Ok(snapshots)
}

/// `latest` with `--app NAME` is `latest@NAME`.
fn of_app(cx: &Context<'_>, address: &str) -> String {
    match (&*cx.apps(), address.strip_prefix("latest")) {
        ([app], Some(rest)) if !rest.contains('@') => format!("latest@{app}{rest}"),
        _ => address.to_owned(),
    }
}

/// Adds what is known to the refusal of an address.
fn meant(cx: &Context<'_>, all: &[Snapshot], error: SnapshotError) -> Failure {
    let tip = match &error {
        SnapshotError::Ambiguous { candidates, .. } => {
            let shown: Vec<String> =
                candidates.iter().take(4).map(|id| id.to_string()[..12].to_owned()).collect();
            Some(format!("it may be {}", shown.join(", ")))
        }
        SnapshotError::NotFound { .. } if all.is_empty() => {
            Some("the repository holds no snapshot yet: snap backup".to_owned())
        }
        _ => None,
    };
    let flag = super::unlock::location(cx).map(|place| super::unlock::repo_flag(cx, &place));
    let failure = Failure::from(error).with("repo", flag.unwrap_or_default());
    match tip {
        Some(tip) => failure.tip(tip),
        None => failure,
    }
}

/// A place in a snapshot: a root, or an entry below one.
#[derive(Clone, Debug)]
pub(super) struct Place<'s> {
    /// The root that it is in.
    pub(super) root: &'s Root,
    /// Where in it; `None` is the root itself.
    pub(super) path: Option<TreePath>,
    /// What is there.
    pub(super) entry: Entry,
}

/// Finds the absolute `path`, as it was on the machine, in the snapshot.
pub(super) fn place<'s>(
    repository: &Repository,
    snapshot: &'s Snapshot,
    path: &str,
) -> Result<Place<'s>, Failure> {
    let missing = || {
        let short = snapshot.id.short();
        let roots: Vec<String> =
            snapshot.roots.iter().take(3).map(|root| text::path(&root.path)).collect();
        Failure::new(Code::E0203, format!("{path} is not in snapshot {short}"))
            .with("snapshot", short)
            .tip(format!("it covers {}", roots.join(", ")))
    };
    let (root, below) = snapshot.locate(path.as_bytes()).ok_or_else(missing)?;
    let entry = match &below {
        None => root.entry.clone(),
        Some(below) => read::find(repository, &root.entry, below)?.ok_or_else(missing)?,
    };
    Ok(Place { root, path: below, entry })
}

impl Place<'_> {
    /// As it was on the machine.
    pub(super) fn absolute(&self) -> String {
        match &self.path {
            None => text::path(&self.root.path),
            Some(path) => {
                text::path(&self.root.path.join(std::ffi::OsStr::from_bytes(path.as_bytes())))
            }
        }
    }
}
