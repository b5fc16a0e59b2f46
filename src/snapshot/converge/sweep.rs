//! Removes what an interrupted converge left, known by the token of its transaction.

use std::io;
use std::path::Path;

use super::aside::{prefix, remove_if_any};
use crate::os::beneath::Dir;
use crate::os::file;
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

/// Removes everything in `root` whose name carries `token`, and puts the root's time back; how many
/// names there were. Durable on return.
pub fn sweep(root: &Path, token: &str) -> Result<u64, SnapshotError> {
    let base = base(root);
    let swept = sweep_in(base, &prefix(token));
    Ok(swept.map_err(TreeError::io("clean up in", base))?)
}

/// Takes `bytes` of the disk under `root`, under a name that [`sweep`] knows: whatever fills the
/// disk then leaves as much for the way back. What cannot be taken is not.
pub fn hold_room(root: &Path, token: &str, bytes: u64) -> Result<(), SnapshotError> {
    let base = base(root);
    let held = || {
        let dir = Dir::open_root(base)?;
        let before = dir.stat_self()?.mtime;
        let name = held_name(token);
        remove_if_any(&dir, &name)?;
        let taken = file::take_room(&dir.create_file(&name)?, bytes);
        if taken.is_err() {
            remove_if_any(&dir, &name)?;
        }
        dir.at().set_mtime(before)
    };
    Ok(held().map_err(TreeError::io("hold room in", base))?)
}

/// Gives back what [`hold_room`] took, if it did.
pub fn give_room_back(root: &Path, token: &str) -> Result<(), SnapshotError> {
    let base = base(root);
    let given = || {
        let dir = Dir::open_root(base)?;
        let before = dir.stat_self()?.mtime;
        remove_if_any(&dir, &held_name(token))?;
        dir.at().set_mtime(before)
    };
    Ok(given().map_err(TreeError::io("give back room in", base))?)
}

fn held_name(token: &str) -> Vec<u8> {
    [&prefix(token)[..], b"-room"].concat()
}

/// The directory that what is made beside or in `root` lies in.
fn base(root: &Path) -> &Path {
    if root.is_dir() { root } else { root.parent().unwrap_or(root) }
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
        // Whoever swept notes that it is done, and nobody looks for it again.
        file::sync_names(base)?;
    }
    Ok(swept)
}
