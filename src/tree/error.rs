//! What can go wrong with files.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::TreePath;
use crate::repository::{ChunkId, RepositoryError};

/// A failure while listing, reading, storing or placing files.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// Said after "cannot".
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory object is not what this version wrote.
    #[error("directory object {object} is damaged: {what}")]
    BadDirectory {
        /// The object.
        object: ChunkId,
        /// What does not fit.
        what: BadObject,
    },
    /// An edit puts something below what is no directory.
    #[error("{} is no directory", Shown(path.as_ref()))]
    NoSuchDirectory {
        /// The path; `None` for the root.
        path: Option<TreePath>,
    },
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A pattern of paths cannot be understood.
    #[error("the pattern {pattern:?} is not one")]
    BadPattern {
        /// As it was written.
        pattern: String,
        /// Where it goes wrong.
        source: globset::Error,
    },
}

/// Why some bytes are not a directory object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// Something follows its end.
    #[error("something follows its end")]
    Long,
    /// Written by a later version.
    #[error("its layout {0} is unknown")]
    TooNew(u8),
    /// A number is out of its range, or not in its one form.
    #[error("a number in its {0} column is out of range")]
    Number(&'static str),
    /// Entries, owners or attributes are not in their one order.
    #[error("its {0} are not in order")]
    Order(&'static str),
    /// A name that no directory can hold.
    #[error("a name in it is none")]
    Name,
    /// A part names parts again.
    #[error("a part of it is no leaf")]
    Nested,
}

impl TreeError {
    /// Says what was being done to which path.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

struct Shown<'a>(Option<&'a TreePath>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("the root"),
            Some(path) => path.fmt(f),
        }
    }
}
