//! How a live entry relates to the wanted one. Pure.

use crate::os::meta::Stamp;
use crate::snapshot::annex::RootAnnex;
use crate::tree::statcache::Mark;
use crate::tree::{Content, Entry, Kind, Meta, Mtime, TreePath};

/// Whether both are the same thing: kind and bytes, target or device; not metadata.
pub(super) fn is_same_thing(wanted: &Kind, live: &Kind) -> bool {
    match (wanted, live) {
        (Kind::Directory { .. }, Kind::Directory { .. }) => true,
        _ => wanted == live,
    }
}

/// Whether a live entry is the wanted one, down to all that no manifest holds of it: most are.
pub(super) fn is_untouched(wanted: &Entry, (live, mark): &(Entry, Mark)) -> bool {
    wanted == live
        && wanted.link_group.is_none()
        && match wanted.kind {
            Kind::File { .. } | Kind::Symlink { .. } => true,
            // What the manifest does not say of its time, the annex may.
            Kind::Directory { .. } => {
                wanted.meta.mtime != Mtime::default()
                    && Mtime::from(mark.mtime) == wanted.meta.mtime
            }
            _ => false,
        }
}

/// Whether it is a directory of any sort.
pub(super) const fn is_directory(kind: &Kind) -> bool {
    matches!(kind, Kind::Directory { .. } | Kind::SkippedDirectory)
}

/// The metadata that is wanted of a directory, with the time it is to have; a time that neither
/// the manifest nor the annex knows stays as it is.
pub(super) fn directory_meta(
    path: Option<&TreePath>,
    wanted: &Entry,
    annex: Option<&RootAnnex>,
    live: Option<&Mark>,
) -> Meta {
    let now = live.map(|mark| Mtime::from(mark.mtime));
    let mtime = if matches!(wanted.kind, Kind::SkippedDirectory) && now.is_some() {
        // The inside is not ours, and its changes make this time.
        now
    } else if wanted.meta.mtime == Mtime::default() {
        let in_annex = annex.and_then(|annex| annex.directory_mtimes.get(&path.cloned()));
        in_annex.copied().or(now)
    } else {
        Some(wanted.meta.mtime)
    };
    Meta { mtime: mtime.unwrap_or_default(), ..wanted.meta.clone() }
}

/// The bytes that a file will take.
pub(super) const fn bytes_of(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, content: Content::Chunk(_) | Content::List(_) } => size,
        _ => 0,
    }
}

/// The time that a directory has after names in it have changed.
pub(super) fn time_after(meta: &Meta) -> Stamp {
    meta.mtime.into()
}

/// Whether `path` is meant: it is one of `include` or lies below one.
pub(super) fn is_included(include: Option<&[TreePath]>, path: &TreePath) -> bool {
    include.is_none_or(|list| list.iter().any(|included| path.is_within(included)))
}

/// Whether `path` is a directory on the way to what is meant.
pub(super) fn leads_to_included(include: Option<&[TreePath]>, path: &TreePath) -> bool {
    include.is_some_and(|list| list.iter().any(|included| included.is_within(path)))
}
