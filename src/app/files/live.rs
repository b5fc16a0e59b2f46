//! Files of an installed tree, reached from its opened root.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::app::AppError;
use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Stat};
use crate::tree::TreePath;

use super::{Files, Found};

/// An installed tree.
#[derive(Debug)]
pub struct Live {
    root: PathBuf,
    dir: Dir,
}

impl Live {
    /// Opens the tree at `root`.
    pub fn open(root: &Path) -> Result<Self, AppError> {
        let dir = Dir::open_root(root)
            .map_err(|source| AppError::Read { path: root.to_owned(), source })?;
        Ok(Self { root: root.to_owned(), dir })
    }

    /// The opened root.
    pub const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The directory that holds `path`, if it is there.
    fn parent(&self, path: &TreePath) -> io::Result<Option<Dir>> {
        let opened = match path.parent() {
            None => self.dir.again(),
            Some(parent) => self.dir.open_beneath(parent.as_bytes()),
        };
        match opened {
            Ok(dir) => Ok(Some(dir)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn wrong(&self, path: Option<&TreePath>) -> impl FnOnce(io::Error) -> AppError {
        let path =
            path.map_or_else(|| self.root.clone(), |path| self.root.join(super::as_path(path)));
        move |source| AppError::Read { path, source }
    }
}

impl Files for Live {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn look(&self, path: &TreePath) -> Result<Option<Found>, AppError> {
        let look = || -> io::Result<Option<Found>> {
            let Some(parent) = self.parent(path)? else { return Ok(None) };
            let Some(stat) = parent.stat_if_any(path.name())? else { return Ok(None) };
            Ok(Some(match stat.kind {
                FileKind::File => {
                    let Stat { size, mode, uid, gid, .. } = stat;
                    Found::File { size, mode, uid, gid }
                }
                FileKind::Directory => Found::Directory,
                FileKind::Symlink => Found::Link { target: parent.read_link(path.name())? },
                _ => Found::Special,
            }))
        };
        look().map_err(self.wrong(Some(path)))
    }

    fn bytes(&self, path: &TreePath, max_bytes: u64) -> Result<Vec<u8>, AppError> {
        let read = || -> io::Result<Vec<u8>> {
            let parent = self.parent(path)?.ok_or(io::ErrorKind::NotFound)?;
            let file = parent.open_file(path.name())?;
            if Stat::of(&file)?.kind != FileKind::File {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut bytes = Vec::new();
            // One more than allowed, so that a file that grew meanwhile is noticed.
            file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > max_bytes {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(bytes)
        };
        read().map_err(self.wrong(Some(path)))
    }

    fn names(&self, dir: Option<&TreePath>) -> Result<Vec<Box<[u8]>>, AppError> {
        let names = || -> io::Result<Vec<Box<[u8]>>> {
            let opened = match dir {
                None => self.dir.again()?,
                Some(dir) => self.dir.open_beneath(dir.as_bytes())?,
            };
            let mut names = opened.names()?;
            names.sort();
            Ok(names)
        };
        names().map_err(self.wrong(dir))
    }
}
