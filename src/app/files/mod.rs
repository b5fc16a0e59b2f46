//! One way to read an application's files, wherever they are.
//!
//! The live tree, the safety snapshot and a staged release are read by the same code, so what was
//! found in one is found in the others. Links are followed only while they stay below the root.

mod live;
mod stored;

use crate::app::AppError;
use crate::tree::TreePath;

pub use live::Live;
pub use stored::Stored;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file.
    File {
        /// In bytes.
        size: u64,
        /// The low 12 bits of its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A directory.
    Directory,
    /// A link, not followed.
    Link {
        /// Where it points.
        target: Box<[u8]>,
    },
    /// A device, pipe or socket.
    Special,
}

/// Files below one root. The three methods take paths as they are and follow no link.
pub trait Files {
    /// What messages call the place: a path, `snapshot 4f1c09`.
    fn place(&self) -> String;
    /// What lies at `path`; `None` if nothing does.
    fn look(&self, path: &TreePath) -> Result<Option<Found>, AppError>;
    /// The content of a regular file of at most `max_bytes`.
    fn bytes(&self, path: &TreePath, max_bytes: u64) -> Result<Vec<u8>, AppError>;
    /// The names in a directory (`None`: the root), sorted.
    fn names(&self, dir: Option<&TreePath>) -> Result<Vec<Box<[u8]>>, AppError>;
}

/// How many links may lead to one file.
const LINKS_MAX: usize = 40;

/// Configuration files are small; whatever is larger is not one.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;

impl dyn Files + '_ {
    /// What lies at `path` once links are followed, and its true path.
    pub fn find(&self, path: &TreePath) -> Result<Option<(TreePath, Found)>, AppError> {
        let mut wanted: Vec<Box<[u8]>> = path.parts().rev().map(Into::into).collect();
        let mut at: Option<TreePath> = None;
        let mut links = 0;
        let mut found = Found::Directory;
        while let Some(part) = wanted.pop() {
            if found != Found::Directory {
                return Ok(None); // a file has nothing below it
            }
            match &*part {
                b"" | b"." => continue,
                b".." => {
                    at = at.ok_or_else(|| self.leads_out(path))?.parent();
                    continue;
                }
                _ => {}
            }
            let next = TreePath::child(at.as_ref(), &part).map_err(|_| self.leads_out(path))?;
            let Some(here) = self.look(&next)? else { return Ok(None) };
            if let Found::Link { target } = &here {
                links += 1;
                if target.starts_with(b"/") || links > LINKS_MAX {
                    return Err(self.leads_out(path));
                }
                wanted.extend(target.split(|byte| *byte == b'/').rev().map(Into::into));
                continue;
            }
            found = here;
            at = Some(next);
        }
        Ok(at.map(|at| (at, found)))
    }

    fn leads_out(&self, path: &TreePath) -> AppError {
        AppError::LeadsOut { path: path.to_string(), place: self.place() }
    }

    /// The content of the file at `path`, links followed; `None` if there is none.
    pub fn read(&self, path: &TreePath, max_bytes: u64) -> Result<Option<Vec<u8>>, AppError> {
        match self.find(path)? {
            None => Ok(None),
            Some((path, Found::File { size, .. })) if size <= max_bytes => {
                self.bytes(&path, max_bytes).map(Some)
            }
            Some((path, Found::File { .. })) => {
                Err(AppError::TooLarge { path: path.to_string(), place: self.place(), max_bytes })
            }
            Some((path, _)) => {
                Err(AppError::NotAFile { path: path.to_string(), place: self.place() })
            }
        }
    }

    /// Whether `path` exists; one that ends in `/` must be a directory.
    pub fn has(&self, path: &str) -> Result<bool, AppError> {
        let bare = path.trim_end_matches('/');
        let Ok(tree_path) = TreePath::parse(bare.as_bytes()) else { return Ok(false) };
        Ok(self
            .find(&tree_path)?
            .is_some_and(|(_, found)| found == Found::Directory || bare.len() == path.len()))
    }

    /// The regular files that a pattern names, in path order. Only directories that the pattern
    /// can reach are listed; links are not followed.
    pub fn matching(&self, pattern: &str) -> Result<Vec<TreePath>, AppError> {
        let glob = globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|source| AppError::BadPattern { pattern: pattern.to_owned(), source })?
            .compile_matcher();
        let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
        let fixed: Vec<&str> = fixed.collect();
        let depth_max =
            if pattern.contains("**") { usize::MAX } else { pattern.split('/').count() };
        if fixed.len() == pattern.split('/').count() {
            let path = TreePath::parse(pattern.as_bytes()).map_err(|_| self.no_path(pattern))?;
            let is_file = matches!(self.look(&path)?, Some(Found::File { .. }));
            return Ok(is_file.then_some(path).into_iter().collect());
        }
        let start = match fixed.join("/") {
            root if root.is_empty() => None,
            dir => Some(TreePath::parse(dir.as_bytes()).map_err(|_| self.no_path(pattern))?),
        };
        let mut matches = Vec::new();
        if let Some(dir) = &start
            && self.look(dir)? != Some(Found::Directory)
        {
            return Ok(matches);
        }
        let mut todo = vec![start];
        while let Some(dir) = todo.pop() {
            for name in self.names(dir.as_ref())? {
                let Ok(path) = TreePath::child(dir.as_ref(), &name) else { continue };
                match self.look(&path)? {
                    Some(Found::Directory) if path.parts().count() < depth_max => {
                        todo.push(Some(path));
                    }
                    Some(Found::File { .. }) if glob.is_match(as_path(&path)) => matches.push(path),
                    _ => {}
                }
            }
        }
        matches.sort();
        Ok(matches)
    }

    fn no_path(&self, path: &str) -> AppError {
        AppError::LeadsOut { path: path.to_owned(), place: self.place() }
    }
}

/// As libraries want a path.
pub(crate) fn as_path(path: &TreePath) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests build the trees they read")]
mod tests;
