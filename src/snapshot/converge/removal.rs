//! Which names below a live path that is not wanted may go. Pure over a listing.

use std::collections::BTreeSet;

use super::{Deletes, Goner};
use crate::snapshot::live::Listing;
use crate::tree::statcache::Mark;
use crate::tree::{Entry, Kind, TreeError, TreePath};

/// What becomes of a live path, and all below it, that the manifest lacks.
pub(super) struct Removal {
    /// Names that go, in the order of the tree.
    pub(super) goners: Vec<Goner>,
    /// Directories that should go and stay, for something in them stays.
    pub(super) stay: Vec<(TreePath, Mark)>,
    /// Whether everything goes.
    pub(super) is_whole: bool,
}

pub(super) fn removal(
    listing: &Listing,
    deletes: Deletes<'_>,
    path: TreePath,
    entry: Entry,
    mark: Mark,
) -> Result<Removal, TreeError> {
    let mut met = Vec::new();
    let mut open = vec![(path, entry, mark)];
    while let Some((path, entry, mark)) = open.pop() {
        if matches!(entry.kind, Kind::Directory { .. })
            && let Some(inside) = listing.dir(Some(&path))
        {
            let first = open.len();
            for listed in inside {
                let (entry, mark) = listed.map_err(TreeError::io("list", &listing.path))?;
                let path = path.join(&entry.name).expect("a listed name is a part of a path");
                open.push((path, entry, mark));
            }
            open[first..].reverse();
        }
        met.push((path, entry, mark));
    }
    // From the end, so that all that lies in a directory is decided before it.
    let mut stays = BTreeSet::new();
    let mut goners = Vec::new();
    let mut stay = Vec::new();
    let mut is_whole = true;
    for (path, entry, mark) in met.into_iter().rev() {
        let holds_more = stays.contains(&path) || holds_left_out(listing, &path, &entry);
        if may_go(deletes, &path, &entry) && !holds_more {
            let with_inside = matches!(entry.kind, Kind::SkippedDirectory);
            goners.push(Goner { path, inode: mark.inode, with_inside });
            continue;
        }
        is_whole = false;
        stays.extend(path.parent());
        if matches!(entry.kind, Kind::Directory { .. }) {
            stay.push((path, mark));
        }
    }
    goners.reverse();
    Ok(Removal { goners, stay, is_whole })
}

fn may_go(deletes: Deletes<'_>, path: &TreePath, entry: &Entry) -> bool {
    if matches!(entry.kind, Kind::MountPoint | Kind::Database { .. }) {
        return false;
    }
    match deletes {
        Deletes::All => true,
        Deletes::None => false,
        Deletes::Only(set) => set.contains(path),
    }
}

/// Names that are left out are in no listing; that there are some shows in the directory's time.
fn holds_left_out(listing: &Listing, path: &TreePath, entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Directory { .. })
        && listing.annex.directory_mtimes.contains_key(&Some(path.clone()))
}
