//! Empties what the profile calls nobody's and the tree does not cover: caches that a new release
//! would misread. What is covered is purged with the tree itself.

use std::io;

use crate::app::files::{Files, Live};
use crate::app::rules::Owner;
use crate::app::{App, AppError};
use crate::os::beneath::Dir;
use crate::tree::{Exclusions, TreePath};

/// Deletes the uncovered files that the profile purges; how many there were.
///
/// Nothing of it is ever part of a state, so a rollback does not bring it back: an application
/// makes its caches anew. One that cannot be deleted is reported by its error, with the others gone.
pub fn purge(app: &App, live: &Live, exclusions: &Exclusions) -> Result<usize, AppError> {
    let files: &dyn Files = live;
    let mut gone = 0;
    let mut failure = None;
    for pattern in app.profile.files.purge.iter().filter(|one| !one.as_str().starts_with('!')) {
        for path in files.matching(&pattern.fill_pattern(&app.vars)?)? {
            if app.rules.owner(&path) != Owner::Purge || !exclusions.is_untouchable(&path) {
                continue;
            }
            match remove(live.dir(), &path) {
                Ok(()) => gone += 1,
                Err(source) => {
                    let path = app.root.join(crate::app::files::as_path(&path));
                    failure.get_or_insert(AppError::Read { path, source });
                }
            }
        }
    }
    failure.map_or(Ok(gone), Err)
}

fn remove(root: &Dir, path: &TreePath) -> io::Result<()> {
    let parent = path.parent();
    let dir = parent.map_or_else(|| root.again(), |parent| root.open_beneath(parent.as_bytes()))?;
    match dir.stat_if_any(path.name())? {
        Some(stat) => dir.remove(path.name(), stat.inode),
        None => Ok(()),
    }
}
