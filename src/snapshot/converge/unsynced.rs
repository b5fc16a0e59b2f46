//! Between the last change and its sync: the tree is as it is wanted for all who look, and not yet
//! for whoever comes after a power cut.

use std::path::PathBuf;

use super::ConvergeDone;
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

/// What was done, of which the disk may hold only a part.
#[derive(Debug)]
#[must_use = "a power cut may undo any part of it before it is synced"]
pub struct Unsynced {
    done: ConvergeDone,
    /// Where, and how that is called; none if there was nothing to do.
    changed: Option<(Dir, PathBuf)>,
}

impl Unsynced {
    pub(super) fn nothing() -> Self {
        Self { done: ConvergeDone::default(), changed: None }
    }

    pub(super) const fn of(done: ConvergeDone, root: Dir, path: PathBuf) -> Self {
        Self { done, changed: Some((root, path)) }
    }

    /// What was done.
    pub const fn done(&self) -> &ConvergeDone {
        &self.done
    }

    /// Has the disk hold all of it.
    pub fn sync(&self) -> Result<&ConvergeDone, SnapshotError> {
        if let Some((root, path)) = &self.changed {
            root.sync_file_system().map_err(TreeError::io("sync", path))?;
            reach(CrashPoint::ConvergeDone);
        }
        Ok(&self.done)
    }
}
