//! Where objects lie. Eight methods, such that a directory, an object store or SFTP can do them:
//! names are used once, nothing is renamed or appended to, a list is complete or an error.

mod local;
mod opened;
mod temp;

pub use local::Local;

use super::error::RepositoryError;
use super::object::ObjectKind;

/// A part of an object, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From the first byte to the last.
    All,
    /// So many bytes, from there on. Fewer is an error.
    Part {
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: usize,
    },
    /// So many bytes, up to the end; all if it has fewer.
    Tail {
        /// How many.
        bytes: usize,
    },
}

/// How near to the medium a read must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A cache may answer.
    Cached,
    /// Past every cache of this machine: what is read is what would be there after a power cut.
    Medium,
}

/// What a backend can promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// It lies on a file system of this machine.
    pub is_local: bool,
    /// What was synced survives a power cut, as far as is known by now.
    pub syncs: bool,
    /// A put never replaces an object of that name, also when two race.
    pub creates_only: bool,
}

/// Holds objects. Every error is final for the object it concerns: nothing is retried here.
pub trait Backend: Send + Sync {
    /// Creates the object with all its bytes; an object of that name is an error. Durable after
    /// the next [`Self::sync`].
    fn put(&self, kind: ObjectKind, name: &str, bytes: &[u8]) -> Result<(), RepositoryError>;
    /// Begins a long object, which exists once its writer is finished.
    fn writer(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Box<dyn ObjectWriter>, RepositoryError>;
    /// Reads `range` into `into`, whose former content goes.
    fn read(
        &self,
        kind: ObjectKind,
        name: &str,
        range: Range,
        freshness: Freshness,
        into: &mut Vec<u8>,
    ) -> Result<(), RepositoryError>;
    /// The names of all objects of a kind, in order; complete, or an error.
    fn list(&self, kind: ObjectKind) -> Result<Vec<String>, RepositoryError>;
    /// The length of an object; `None` if there is none.
    fn stat(&self, kind: ObjectKind, name: &str) -> Result<Option<u64>, RepositoryError>;
    /// Removes an object; whether there was one.
    fn remove(&self, kind: ObjectKind, name: &str) -> Result<bool, RepositoryError>;
    /// Returns once everything put or finished before is durable, names included.
    fn sync(&self, kind: ObjectKind) -> Result<(), RepositoryError>;
    /// What it can promise.
    fn traits(&self) -> Traits;
}

/// Writes one long object. Dropped unfinished, it leaves nothing that [`Backend::list`] shows.
pub trait ObjectWriter: Send + Sync {
    /// Writes `bytes` at `offset`. Every byte is written once, from several threads, nearly in
    /// order: an object store fills its parts from it.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError>;
    /// Makes the bytes durable, then gives the object its name. Called once, after all writes.
    fn finish(&self) -> Result<(), RepositoryError>;
}
