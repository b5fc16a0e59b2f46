//! Removes what an interrupted converge left, known by the token of its transaction.

use std::io;
use std::path::Path;

use super::aside::{prefix, remove_if_any};
use crate::os::beneath::Dir;
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

/// Removes everything in `root` whose name carries `token`, and puts the root's time back; how many
/// names there were.
pub fn sweep(root: &Path, token: &str) -> Result<u64, SnapshotError> {
    let is_dir = root.is_dir();
    let base = if is_dir { root } else { root.parent().unwrap_or(root) };
    let swept = sweep_in(base, &prefix(token));
    Ok(swept.map_err(TreeError::io("clean up in", base))?)
}

fn sweep_in(base: &Path, prefix: &[u8]) -> io::Result<u64> {
    let dir = match Dir::open_root(base) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let before = dir.stat_self()?.mtime;
    let mut swept = 0;
    for name in dir.names()? {
        let rest = name.strip_prefix(prefix);
        if rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'-') {
            remove_if_any(&dir, &name)?;
            swept += 1;
        }
    }
    if swept > 0 {
        dir.at().set_mtime(before)?;
    }
    Ok(swept)
}
