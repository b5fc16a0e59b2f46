//! Files of a stored tree: a safety snapshot's, or a release's.

use crate::app::AppError;
use crate::repository::Repository;
use crate::tree::read::{find, read_dir};
use crate::tree::{Entry, Kind, TreeError, TreePath};

use super::{Files, Found};

/// A tree in the repository.
#[derive(Clone)]
pub struct Stored<'a> {
    repository: &'a Repository,
    root: Entry,
    place: String,
}

impl<'a> Stored<'a> {
    /// The tree below `root`; messages call it `place`.
    pub fn new(repository: &'a Repository, root: &Entry, place: impl Into<String>) -> Self {
        Self { repository, root: root.clone(), place: place.into() }
    }

    fn entry(&self, path: &TreePath) -> Result<Option<Entry>, AppError> {
        find(self.repository, &self.root, path).map_err(|source| self.wrong(Some(path), source))
    }

    fn wrong(&self, path: Option<&TreePath>, source: impl Into<TreeError>) -> AppError {
        let path = path.map_or_else(|| ".".to_owned(), TreePath::to_string);
        AppError::ReadStored { path, place: self.place.clone(), source: source.into() }
    }
}

impl Files for Stored<'_> {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn look(&self, path: &TreePath) -> Result<Option<Found>, AppError> {
        Ok(self.entry(path)?.map(|entry| match entry.kind {
            Kind::File { size, .. } => Found::File {
                size,
                mode: entry.meta.mode,
                uid: entry.meta.uid,
                gid: entry.meta.gid,
            },
            Kind::Directory { .. } | Kind::SkippedDirectory | Kind::MountPoint => Found::Directory,
            Kind::Symlink { target } => Found::Link { target },
            Kind::Fifo
            | Kind::Socket
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Database { .. } => Found::Special,
        }))
    }

    fn bytes(&self, path: &TreePath, max_bytes: u64) -> Result<Vec<u8>, AppError> {
        let not_a_file =
            || AppError::NotAFile { path: path.to_string(), place: self.place.clone() };
        let entry = self.entry(path)?.ok_or_else(not_a_file)?;
        let Kind::File { size, content } = entry.kind else { return Err(not_a_file()) };
        if size > max_bytes {
            let (path, place) = (path.to_string(), self.place.clone());
            return Err(AppError::TooLarge { path, place, max_bytes });
        }
        let mut bytes = Vec::new();
        for piece in self.repository.pieces(&content) {
            let piece = piece.map_err(|error| self.wrong(Some(path), error))?;
            let plain = self.repository.get(&piece.id);
            bytes.extend(plain.map_err(|error| self.wrong(Some(path), error))?);
        }
        Ok(bytes)
    }

    fn names(&self, dir: Option<&TreePath>) -> Result<Vec<Box<[u8]>>, AppError> {
        let entry = match dir {
            None => Some(self.root.clone()),
            Some(dir) => self.entry(dir)?,
        };
        let Some(Kind::Directory { object }) = entry.map(|entry| entry.kind) else {
            return Ok(Vec::new());
        };
        let entries =
            read_dir(self.repository, &object).map_err(|source| self.wrong(dir, source))?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }
}
