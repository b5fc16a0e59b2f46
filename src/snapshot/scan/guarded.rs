//! What lies under a guarded path: its listing is hashed, its content is never read.

use std::io;
use std::sync::Arc;

use super::Scan;
use super::node::Node;
use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Stat};
use crate::snapshot::annex::Guarded;
use crate::tree::TreePath;

impl Scan<'_, '_> {
    /// Notes what lies under `name`, if it was left out because it is guarded.
    pub(super) fn note_guarded(&self, node: &Arc<Node>, dir: &Dir, name: &[u8]) {
        if self.task.exclusions.rules().guarded.is_empty() {
            return;
        }
        let path = Self::path_of(node, name);
        if !self.task.exclusions.is_guarded(&path) {
            return;
        }
        match self.list_guarded(dir, name) {
            Ok(guarded) => self.annex(|annex| {
                annex.guarded.insert(path, guarded);
            }),
            Err(error) => self.problem(Some(&path), &format!("cannot list it: {error}")),
        }
    }

    fn list_guarded(&self, dir: &Dir, name: &[u8]) -> io::Result<Guarded> {
        let mut hasher = self.repository().hasher("snap-backup guarded listing 1");
        let mut guarded = Guarded { entries: 1, bytes: 0, digest: [0; 32] };
        let top = dir.stat(name)?;
        note(&mut guarded, &mut hasher, b"", &top);
        // Paths from `name`, opened from there one at a time: the tree may be deep and is not ours.
        let mut open: Vec<Option<TreePath>> = vec![None];
        if top.kind != FileKind::Directory {
            open.clear();
        }
        let base = if open.is_empty() { None } else { Some(dir.open_dir(name)?) };
        while let (Some(path), Some(base)) = (open.pop(), &base) {
            let here = match &path {
                None => base.again()?,
                Some(path) => base.open_beneath(path.as_bytes())?,
            };
            for name in self.task.walker.names(&here)?.iter().rev() {
                let Some(stat) = here.stat_if_any(name)? else { continue };
                let path = TreePath::child(path.as_ref(), name).map_err(io::Error::other)?;
                guarded.entries += 1;
                note(&mut guarded, &mut hasher, path.as_bytes(), &stat);
                if stat.kind == FileKind::Directory && !self.is_elsewhere(&stat) {
                    open.push(Some(path));
                }
            }
        }
        guarded.digest = *hasher.finalize().as_bytes();
        Ok(guarded)
    }
}

fn note(guarded: &mut Guarded, hasher: &mut blake3::Hasher, path: &[u8], stat: &Stat) {
    if stat.kind == FileKind::File {
        guarded.bytes += stat.size;
    }
    hasher.update(&(path.len() as u64).to_le_bytes());
    hasher.update(path);
    hasher.update(format!("{:?}", stat.kind).as_bytes());
    hasher.update(&stat.size.to_le_bytes());
    hasher.update(&stat.mtime.secs.to_le_bytes());
    hasher.update(&stat.mtime.nanos.to_le_bytes());
}
