//! What can go wrong with a repository.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::format::FeatureClass;
use super::id::ChunkId;

/// What went wrong with a repository. Variants say what happened; advice is given elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no repository there.
    #[error("there is no repository at {}", location.display())]
    NotFound {
        /// Where we looked.
        location: PathBuf,
    },
    /// A new repository was to be made where something already is.
    #[error("{} is not empty", location.display())]
    AlreadyExists {
        /// Where it was to be.
        location: PathBuf,
    },
    /// A repository without any way to open it was asked for.
    #[error("a repository needs a passphrase or a key file")]
    NoKey,
    /// No key slot opens with this passphrase or key.
    #[error("this key does not open the repository at {}", location.display())]
    WrongKey {
        /// The repository.
        location: PathBuf,
    },
    /// The key file is not one of ours, or cannot be used as it lies there.
    #[error("the key file {} cannot be used: {what}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// A key slot that was named is not there, or is the last one.
    #[error("the key slot {slot} cannot be removed: {what}")]
    KeySlot {
        /// As the user named it.
        slot: String,
        /// Why.
        what: &'static str,
    },
    /// Somebody holds a lease that excludes us.
    #[error("the repository is in use by {holder}")]
    Locked {
        /// Host and process.
        holder: String,
    },
    /// Our lease was removed while we worked: what we wrote may be treated as garbage.
    #[error("the lease of this run was taken away")]
    LeaseLost,
    /// The repository uses something that this version does not know.
    #[error("the repository needs the feature {feature} to {class}, which version {version} has")]
    UnknownFeature {
        /// What it is needed for.
        class: FeatureClass,
        /// Its name.
        feature: String,
        /// The first version that knows it.
        version: String,
    },
    /// An object has a newer layout than this version reads.
    #[error("{object} has format {version}, which is newer than this version reads")]
    TooNew {
        /// Kind and name.
        object: String,
        /// The number found.
        version: u16,
    },
    /// An object is not what was written.
    #[error("{object} is damaged: {what}")]
    Damaged {
        /// Kind and name.
        object: String,
        /// What was found.
        what: String,
    },
    /// A segment of the index is damaged: what only it names would be taken for garbage.
    #[error("the index is not sound: {what}")]
    UnsoundIndex {
        /// The segment, and what is wrong with it.
        what: String,
    },
    /// A chunk is wanted that no index segment names.
    #[error("chunk {id} is not in the repository")]
    MissingChunk {
        /// The chunk.
        id: ChunkId,
    },
    /// A chunk was to be stored that is longer than the format allows.
    #[error("a chunk of {bytes} bytes is longer than the format allows")]
    ChunkTooLong {
        /// Its length.
        bytes: u64,
    },
    /// An earlier failure, or a bundle that was dropped unfinished, makes this run useless.
    #[error("this run cannot be completed: {what}")]
    RunFailed {
        /// The cause, in one line.
        what: String,
    },
    /// What was to be stored could not be read.
    #[error("cannot read what is to be stored")]
    Source(#[source] io::Error),
    /// The disk is full.
    #[error("no space left to {doing} {}", path.display())]
    NoSpace {
        /// What we were doing.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, or what stands in its place, refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RepositoryError {
    /// An I/O error, with what we were doing to which path; a full disk is told apart.
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            let full = [Errno::NOSPC, Errno::DQUOT]
                .iter()
                .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()));
            if full {
                Self::NoSpace { doing, path, source }
            } else {
                Self::Io { doing, path, source }
            }
        }
    }

    /// The error as one line with its causes, for a run that others must be told has failed.
    pub(super) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
