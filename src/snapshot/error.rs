//! What can go wrong with a snapshot.

use std::path::PathBuf;

use super::record::BadRecord;
use crate::database::DatabaseError;
use crate::repository::{ObjectId, RepositoryError};
use crate::tree::TreeError;

/// A failure while taking, reading, comparing or restoring a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Files could not be listed, read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A database could not be dumped, read or restored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The annex of a snapshot is not what this version writes.
    #[error("the annex of the snapshot is damaged or too new")]
    BadAnnex,
    /// A root could not be read at all.
    #[error("{} cannot be read", path.display())]
    RootUnreadable {
        /// Where the root is.
        path: PathBuf,
    },
    /// A record is not what this version writes.
    #[error("the record of snapshot {id} is damaged or too new")]
    BadRecord {
        /// The snapshot.
        id: ObjectId,
        /// What does not fit.
        source: BadRecord,
    },
    /// A snapshot needs what is not in the repository: nothing is deleted while that is so.
    #[error("snapshot {} lacks something", id.short())]
    Incomplete {
        /// The snapshot.
        id: ObjectId,
        /// What it lacks.
        source: Box<SnapshotError>,
    },
    /// An archive cannot be taken in.
    #[error("the archive is refused: {entry}{}{what}", if entry.is_empty() { "" } else { ": " })]
    BadArchive {
        /// The entry, if it is one's fault.
        entry: String,
        /// What is wrong.
        what: String,
    },
    /// No snapshot has this address.
    #[error("no snapshot {address}")]
    NotFound {
        /// As it was typed.
        address: String,
    },
    /// Several snapshots begin like this.
    #[error("{address} fits {} snapshots", candidates.len())]
    Ambiguous {
        /// As it was typed.
        address: String,
        /// Those that fit.
        candidates: Vec<ObjectId>,
    },
    /// The address is not one.
    #[error("{address:?} is no address of a snapshot")]
    BadAddress {
        /// As it was typed.
        address: String,
    },
    /// The live root is of another kind than the snapshot's, or is not there.
    #[error("{} is not what it was when the snapshot was taken", path.display())]
    RootChanged {
        /// Where the root is.
        path: PathBuf,
    },
    /// A live tree is not changed while part of it cannot be read.
    #[error("{}: {what}", path.display())]
    LiveUnreadable {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// What was written could not be read back as it was meant: the disk or the memory is bad.
    #[error("{} was written, and reads differently", path.display())]
    WrittenWrong {
        /// Where it was to go. Nothing there was changed.
        path: PathBuf,
    },
    /// Somebody else replaced a file while we were at work.
    #[error("{} was replaced by somebody else meanwhile", path.display())]
    ChangedMeanwhile {
        /// The file. It was left as it is.
        path: PathBuf,
    },
}
