//! Whether two trees are the same, by walkdir, stat and an unkeyed hash: nothing of any program
//! under test takes part.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An entry as it counts: kind and mode, owner, time, and content or target.
type Entry = (u32, u32, u32, i64, i64, blake3::Hash);

/// A whole tree.
pub(crate) type Seen = BTreeMap<PathBuf, Entry>;

/// Every entry of the tree at `root`.
pub(crate) fn look(root: &Path) -> Result<Seen, String> {
    let mut seen = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.map_err(|why| why.to_string())?;
        let told = |why: std::io::Error| format!("{}: {why}", entry.path().display());
        let meta = entry.path().symlink_metadata().map_err(told)?;
        let mut hasher = blake3::Hasher::new();
        if meta.is_file() {
            hasher.update_reader(std::fs::File::open(entry.path()).map_err(told)?).map_err(told)?;
        } else if meta.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(told)?;
            hasher.update(target.as_os_str().as_encoded_bytes());
        }
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
        let times = (meta.mtime(), meta.mtime_nsec());
        let one = (meta.mode(), meta.uid(), meta.gid(), times.0, times.1, hasher.finalize());
        seen.insert(path, one);
    }
    Ok(seen)
}

/// How many entries differ between what was seen of two trees.
pub(crate) fn differing(a: &Seen, b: &Seen) -> usize {
    let missing = a.iter().filter(|(path, seen)| b.get(*path) != Some(seen)).count();
    missing + b.keys().filter(|path| !a.contains_key(*path)).count()
}

/// The same, for a program that keeps whole seconds only.
pub(crate) fn in_whole_seconds(seen: &Seen) -> Seen {
    let whole = |(path, entry): (&PathBuf, &Entry)| {
        let (mode, uid, gid, secs, _, hash) = *entry;
        (path.clone(), (mode, uid, gid, secs, 0, hash))
    };
    seen.iter().map(whole).collect()
}

/// All bytes of the files below `root`: what a repository takes.
pub(crate) fn stored_bytes(root: &Path) -> u64 {
    let files = walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok);
    let metas = files.filter_map(|entry| entry.metadata().ok());
    metas.filter(std::fs::Metadata::is_file).map(|meta| meta.len()).sum()
}
