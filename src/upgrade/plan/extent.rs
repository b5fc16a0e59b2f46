//! How much an application is, and whether all of it is the caller's.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use walkdir::WalkDir;

use crate::os::meta;
use crate::snapshot::Source;
use crate::tree::TreePath;

/// What a look at every covered entry shows, without reading any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of regular files.
    pub(super) bytes: u64,
    /// Entries of every kind.
    pub(super) entries: u64,
    /// The first entry of somebody else, if the caller is not root.
    pub(super) foreign: Option<PathBuf>,
    /// Top-level names that carry the token of a transaction of ours.
    pub(super) leftovers: Vec<PathBuf>,
}

/// Looks at all that `source` covers.
pub(super) fn extent(source: &Source) -> Extent {
    let mut extent = Extent::default();
    let caller = rustix::process::geteuid().as_raw();
    let may_all = meta::is_root();
    let walk = WalkDir::new(&source.path).same_file_system(true).into_iter();
    let walk = walk.filter_entry(|entry| {
        let Ok(below) = entry.path().strip_prefix(&source.path) else { return true };
        let below = std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str());
        let Ok(path) = TreePath::parse(below) else { return true };
        crate::tree::is_ours(path.name()) || !source.exclusions.is_untouchable(&path)
    });
    // What cannot be listed here is met again by the snapshot, and stops the upgrade there.
    for entry in walk.flatten() {
        use std::os::unix::ffi::OsStrExt;
        if crate::tree::is_ours(entry.file_name().as_bytes()) {
            extent.leftovers.push(entry.into_path());
            continue;
        }
        let Ok(meta) = entry.metadata() else { continue };
        extent.entries += 1;
        if meta.is_file() {
            extent.bytes += meta.len();
        }
        if !may_all && meta.uid() != caller && extent.foreign.is_none() {
            extent.foreign = Some(entry.into_path());
        }
    }
    extent
}
