//! A release that lies in a directory. It is read through directory handles; no link is followed.

use std::io;
use std::path::Path;

use crate::app::AppError;
use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Stat};
use crate::repository::RepositoryError;
use crate::tree::{Mtime, TreePath};

use super::ReleaseError;
use super::collect::{Collection, bad};

/// Reads the directory at `path` into `collection`.
pub(super) fn read(path: &Path, collection: &mut Collection<'_, '_>) -> Result<(), AppError> {
    let root = Dir::open_root(path)
        .map_err(|source| ReleaseError::NotFound { path: path.to_owned(), source })?;
    let mut todo: Vec<Option<TreePath>> = vec![None];
    while let Some(dir) = todo.pop() {
        let unreadable = |source| {
            let inner = dir
                .as_ref()
                .map_or_else(|| path.to_owned(), |dir| path.join(crate::app::files::as_path(dir)));
            AppError::from(ReleaseError::Unreadable { path: inner, source })
        };
        let open = match &dir {
            None => root.again(),
            Some(dir) => root.open_beneath(dir.as_bytes()),
        }
        .map_err(unreadable)?;
        let mut names = open.names().map_err(unreadable)?;
        names.sort();
        for name in names {
            // A work tree's own repository is none of the release's.
            if dir.is_none() && &*name == b".git" {
                collection.warnings.push(".git is left out of the release".to_owned());
                continue;
            }
            let raw = dir
                .as_ref()
                .map_or_else(|| name.to_vec(), |dir| [dir.as_bytes(), b"/", &name].concat());
            let entry = collection.path(&raw)?.ok_or_else(|| bad(&raw, "it is no path"))?;
            if let Some(inside) = take(&open, &name, entry, collection, &unreadable)? {
                todo.push(Some(inside));
            }
        }
    }
    Ok(())
}

/// Takes one entry; gives back its path if it is a directory to look into.
fn take(
    dir: &Dir,
    name: &[u8],
    path: TreePath,
    collection: &mut Collection<'_, '_>,
    unreadable: &dyn Fn(io::Error) -> AppError,
) -> Result<Option<TreePath>, AppError> {
    let stat = dir.stat(name).map_err(unreadable)?;
    let mtime = Mtime { secs: stat.mtime.secs, nanos: stat.mtime.nanos };
    let refuse = |what| Err(bad(path.as_bytes(), what));
    match stat.kind {
        FileKind::Directory => {
            collection.directory(path.clone(), mtime)?;
            return Ok(Some(path));
        }
        FileKind::File if stat.mode & 0o6000 != 0 => {
            return refuse("it would run with another account's rights");
        }
        FileKind::File => {
            let mut file = dir.open_file(name).map_err(unreadable)?;
            let opened = Stat::of(&file).map_err(unreadable)?;
            if opened.inode != stat.inode || opened.kind != FileKind::File {
                return refuse("it changed while it was read");
            }
            let shown = path.clone();
            let kept = collection.file(path, &mut file, opened.size, stat.mode & 0o100 != 0, mtime);
            kept.map_err(|error| match error {
                AppError::Repository(RepositoryError::Source(error)) => unreadable(error),
                other => other,
            })?;
            let after = Stat::of(&file).map_err(unreadable)?;
            if (after.size, after.ctime) != (opened.size, opened.ctime) {
                return Err(bad(shown.as_bytes(), "it changed while it was read"));
            }
        }
        FileKind::Symlink => {
            let target = dir.read_link(name).map_err(unreadable)?;
            collection.link(path, &target, mtime)?;
        }
        FileKind::Fifo => return refuse("it is a pipe"),
        FileKind::Socket => return refuse("it is a socket"),
        FileKind::CharDevice | FileKind::BlockDevice => return refuse("it is a device"),
    }
    Ok(None)
}
