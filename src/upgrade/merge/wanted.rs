//! From fates to entries: what the wanted tree holds instead of what T0 held.
//!
//! Taken content has its bytes and its x-bit from the release, its time from the archive, and its
//! owner, mode and attributes from the file it replaces, else from the directory it comes to. What
//! is kept is not mentioned: it stays whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Entry, Kind, Meta, TreePath, Xattr};

use super::{Fate, Fates, Side, Sides, Verdict};

/// What changes at one path of T0's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// A directory that was not there, still without entries.
    Directory(Meta),
    /// Anything else, in the place of what was there.
    Entry(Box<Entry>),
    /// Nothing any more.
    Nothing,
}

/// A fate that cannot be carried out on this tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaceable {
    /// Somebody has to decide about a path first.
    #[error("{0} is undecided")]
    Undecided(TreePath),
    /// The release has a file where a directory still holds something of nobody's release.
    #[error("{dir} cannot become a file: it still holds {holds}")]
    NotEmpty {
        /// The directory.
        dir: TreePath,
        /// One of the entries in it that stay.
        holds: TreePath,
    },
}

/// Everything that changes, in path order. `names` lists what T0 holds directly in a directory.
pub fn compose<E: From<Unplaceable>>(
    fates: &Fates,
    sides: Sides<'_>,
    root: &Meta,
    mut names: impl FnMut(&TreePath) -> Result<Vec<Box<[u8]>>, E>,
) -> Result<BTreeMap<TreePath, Placed>, E> {
    let mut placed = BTreeMap::new();
    for (path, fate) in fates {
        match fate.verdict() {
            Verdict::Keep => {}
            Verdict::Stop => return Err(Unplaceable::Undecided(path.clone()).into()),
            Verdict::Delete => {
                placed.insert(path.clone(), Placed::Nothing);
            }
            Verdict::Take => {
                let Some(theirs) = sides.theirs.get(path) else { continue };
                let parent = meta_above(path, &placed, sides.mine, root);
                let taken = take(theirs, sides.mine.get(path), &parent);
                placed.insert(path.clone(), taken);
            }
        }
    }
    // Deepest first, so that a directory is judged after all that is in it.
    for path in fates.keys().rev() {
        let was_dir = sides.mine.get(path).is_some_and(is_directory);
        let Some(change) = placed.get(path).filter(|_| was_dir) else { continue };
        let becomes_file = matches!(change, Placed::Entry(_));
        let stays = names(path)?.into_iter().find_map(|name| {
            let inside = path.join(&name).ok()?;
            (placed.get(&inside) != Some(&Placed::Nothing)).then_some(inside)
        });
        match stays {
            Some(holds) if becomes_file => {
                return Err(Unplaceable::NotEmpty { dir: path.clone(), holds }.into());
            }
            Some(_) => {
                placed.remove(path);
            }
            None => {}
        }
    }
    Ok(placed)
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Directory { .. } | Kind::SkippedDirectory)
}

/// The metadata of the directory that holds `path`, as it will be.
fn meta_above(
    path: &TreePath,
    placed: &BTreeMap<TreePath, Placed>,
    mine: &Side,
    root: &Meta,
) -> Meta {
    let Some(dir) = path.parent() else { return root.clone() };
    match (placed.get(&dir), mine.get(&dir)) {
        (Some(Placed::Directory(meta)), _) => meta.clone(),
        (_, Some(entry)) => entry.meta.clone(),
        (_, None) => meta_above(&dir, placed, mine, root),
    }
}

fn take(theirs: &Entry, mine: Option<&Entry>, parent: &Meta) -> Placed {
    let owner = mine.map_or(parent, |mine| &mine.meta);
    let same_kind = mine.filter(|mine| is_file(mine) && is_file(theirs));
    let mode = match (&theirs.kind, same_kind) {
        (Kind::Directory { .. } | Kind::SkippedDirectory, _) => parent.mode,
        (Kind::Symlink { .. }, _) => 0o777,
        (_, Some(mine)) => with_x_of(mine.meta.mode, theirs.meta.mode),
        (_, None) => with_x_of(parent.mode & 0o666, theirs.meta.mode),
    };
    let xattrs = match (&theirs.kind, same_kind) {
        (Kind::Directory { .. } | Kind::SkippedDirectory, _) => parent.xattrs.clone(),
        (Kind::Symlink { .. }, _) | (_, None) => labels(&parent.xattrs),
        (_, Some(mine)) => mine.meta.xattrs.clone(),
    };
    let meta = Meta { mode, uid: owner.uid, gid: owner.gid, mtime: theirs.meta.mtime, xattrs };
    if is_directory(theirs) {
        return Placed::Directory(meta);
    }
    let entry =
        Entry { name: theirs.name.clone(), meta, kind: theirs.kind.clone(), link_group: None };
    Placed::Entry(Box::new(entry))
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File { .. })
}

/// Who may read may run, if the release says that it runs at all.
const fn with_x_of(mode: u32, release: u32) -> u32 {
    match (release & 0o111 != 0, mode & 0o111 != 0) {
        (true, true) => mode,
        (true, false) => mode | (mode & 0o444) >> 2,
        (false, _) => mode & !0o111,
    }
}

/// A directory's ACLs say who may list it: only its other attributes (labels) suit what is in it.
fn labels(xattrs: &[Xattr]) -> Vec<Xattr> {
    let suits = |xattr: &&Xattr| {
        xattr.name.starts_with(b"security.") && &*xattr.name != b"security.capability"
    };
    xattrs.iter().filter(suits).cloned().collect()
}

/// Names the link groups anew that lose a member: a group is called by its first path that stays.
///
/// `linked` is every entry of T0 that is in a group, in path order.
pub fn regroup(linked: &Side, placed: &mut BTreeMap<TreePath, Placed>) {
    let mut groups: BTreeMap<&TreePath, (Vec<&TreePath>, bool)> = BTreeMap::new();
    let gone: BTreeSet<&TreePath> = linked
        .keys()
        .filter(|path| placed.contains_key(*path) || is_under_a_change(path, placed))
        .collect();
    for (path, entry) in linked {
        let Some(group) = &entry.link_group else { continue };
        let (stay, lost) = groups.entry(group).or_default();
        if gone.contains(path) {
            *lost = true;
        } else {
            stay.push(path);
        }
    }
    let mut renamed = Vec::new();
    for (stay, lost) in groups.into_values() {
        let Some(first) = stay.first().filter(|_| lost) else { continue };
        let group = (stay.len() > 1).then(|| (*first).clone());
        renamed.extend(stay.iter().map(|path| ((*path).clone(), group.clone())));
    }
    for (path, link_group) in renamed {
        let entry = Entry { link_group, ..linked[&path].clone() };
        placed.insert(path, Placed::Entry(Box::new(entry)));
    }
}

/// Whether a directory above was removed, or became something else.
fn is_under_a_change(path: &TreePath, placed: &BTreeMap<TreePath, Placed>) -> bool {
    let mut above = path.parent();
    while let Some(dir) = above {
        if matches!(placed.get(&dir), Some(Placed::Nothing | Placed::Entry(_))) {
            return true;
        }
        above = dir.parent();
    }
    false
}

/// How many paths have each fate, for the plan's summary.
pub fn count(fates: &Fates) -> BTreeMap<Fate, usize> {
    let mut counts = BTreeMap::new();
    for fate in fates.values() {
        *counts.entry(*fate).or_default() += 1;
    }
    counts
}
