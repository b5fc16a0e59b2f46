//! Which processes have a file open.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::database::Session;

/// Processes other than ours that have `path`, or a file that belongs to it, open.
///
/// Found by inode, so a second name or another mount of the same file does not hide anybody. Of
/// other users' processes only root sees what they have open.
pub(super) fn of(paths: &[&Path]) -> Vec<Session> {
    let inodes: Vec<_> = paths
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|meta| (meta.dev(), meta.ino()))
        .collect();
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if pid == own || !holds(&process.path(), &inodes) {
            continue;
        }
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        found.push(Session {
            id: pid.into(),
            who: name.trim_end().to_owned(),
            doing: "has the file open".to_owned(),
        });
    }
    found
}

fn holds(process: &Path, inodes: &[(u64, u64)]) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    // Follows the link: the inode behind it, also if its name is gone.
    let opened = open.flatten().filter_map(|fd| fs::metadata(fd.path()).ok());
    opened.map(|meta| (meta.dev(), meta.ino())).any(|inode| inodes.contains(&inode))
}

/// `NAME (PID)` of each.
pub(super) fn named(holders: &[Session]) -> Vec<String> {
    holders.iter().map(|one| format!("{} ({})", one.who, one.id)).collect()
}
