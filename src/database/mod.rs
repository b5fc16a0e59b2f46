//! Dumps, loads and fingerprints databases.
//!
//! A database's state is a value, as a tree's is: definitions, rows and counters, kept by the
//! repository under one id. [`Database::restore`] converges a live database to such a value, and
//! the fingerprint proves it: it is equal exactly when the content is.

mod error;
mod export;
mod fact;
mod fingerprint;
mod mysql;
mod reach;
pub mod rows;
mod sqlite;
pub mod state;
mod url;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::{DatabaseError, ObjectKind, Refusal, Said};
pub use export::{Native, native, write_native};
pub use fact::Fact;
pub use reach::visit_chunks;
pub use url::{Address, BadUrl, MYSQL_PORT, MySqlAddress};

use crate::monitor::Monitor;
use crate::repository::{ChunkId, Repository, Writer};

/// Which family a database belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatabaseKind {
    /// MySQL or MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl DatabaseKind {
    /// The word for it in URLs, records and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

/// A digest of everything a database state holds; comparable within one repository.
pub type Fingerprint = [u8; 32];

/// How far the tables of one dump belong to one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consistency {
    /// All of them, whoever writes meanwhile.
    OnePoint,
    /// Tables without transactions were read one after the other without a lock; if somebody wrote
    /// meanwhile, they may not fit each other. An upgrade refuses this unless nobody writes.
    PerTable,
}

/// What a dump has put into the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseState {
    /// The state's name: the id of its first chunk.
    pub state: ChunkId,
    /// The digest of all that it holds.
    pub fingerprint: Fingerprint,
    /// How many rows (none for SQLite, whose pages are kept).
    pub rows: u64,
    /// How many bytes of rows or pages.
    pub bytes: u64,
    /// Whether everything belongs to one instant.
    pub consistency: Consistency,
    /// What an operator should know.
    pub facts: Vec<Fact>,
}

/// How sure it is that a stored state can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Every chunk was read, decoded and counted.
    Verified,
    /// It was rebuilt, checked by the database itself, and its fingerprint is equal.
    Proved,
}

/// What belongs to opening a database beside its address.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Only tables whose names begin with this belong to the application. A dump refuses a schema
    /// that holds others; a restore leaves them alone.
    pub prefix: Option<String>,
    /// Where an image is built: a directory that only we can read, on a disk with space for it.
    pub scratch_dir: PathBuf,
    /// How long a lock is waited for, before the holder is named and we give up.
    pub lock_wait_s: u64,
}

impl OpenOptions {
    /// The usual options: a whole schema, and 30 s for a lock.
    pub fn new(scratch_dir: PathBuf) -> Self {
        Self { prefix: None, scratch_dir, lock_wait_s: 30 }
    }
}

/// The value of one written counter of the server, and the sessions of the application's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Sessions of the account that are not ours.
    pub sessions: Vec<Session>,
    /// Counters that move when anything is written, by name; our own writing left out.
    pub written: BTreeMap<String, u64>,
}

impl Activity {
    /// Whether nothing was written between `earlier` and this sample.
    ///
    /// `false` is not yet a finding: a server's counters also move when another application
    /// writes. Then the live fingerprint decides.
    pub fn is_quiet_since(&self, earlier: &Self) -> bool {
        !self.written.is_empty() && self.written == earlier.written
    }
}

/// One session of the application's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The server's number for it; for SQLite the process id.
    pub id: u64,
    /// Who and from where: `user@host`, for SQLite the process's name.
    pub who: String,
    /// What it does: the command, and for how long.
    pub doing: String,
}

/// A value as the database spells it; `None` is NULL.
pub type Value = Option<Vec<u8>>;

/// A column, and the value that it must have (`None` is NULL).
pub type Where<'a> = (&'a str, Option<&'a [u8]>);

/// How many rows [`Database::read`] returns at most.
pub const ROWS_READ_MAX: usize = 100_000;

/// One database, reached through an account that may read it and, to restore, write it.
///
/// Nothing here is done twice at once: every method takes `&mut self`, and a method that fails
/// leaves the connection to be opened again by the next one.
pub trait Database: Send {
    /// What the application's profile or the user calls it.
    fn name(&self) -> &str;

    /// Its family.
    fn kind(&self) -> DatabaseKind;

    /// Where it lives, as the user reads it: never with a password.
    fn address(&self) -> String;

    /// Which server this is, so that a state is not restored to another one by mistake.
    fn identity(&mut self) -> Result<String, DatabaseError>;

    /// Stores all that the database holds. Nothing of the database changes.
    ///
    /// What cannot be carried is refused by name before anything is stored. A dump that fails
    /// leaves chunks that nothing names.
    fn dump(
        &mut self,
        writer: &Writer<'_>,
        monitor: &dyn Monitor,
    ) -> Result<DatabaseState, DatabaseError>;

    /// The fingerprint of what is live now, read as `state` was read, so that the two are equal
    /// exactly when the content is.
    fn fingerprint(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
    ) -> Result<Fingerprint, DatabaseError>;

    /// Makes the live database what `state` holds: what it lacks is dropped, what is equal is left
    /// alone, the rest is replaced. Then everything is read again and compared; the fingerprint
    /// returned is that of the live database and equals the state's.
    ///
    /// On an error, or if the process dies, the database may be anything between. Called again it
    /// goes on from what it finds.
    fn restore(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Fingerprint, DatabaseError>;

    /// Shows how sure it is that `state` can be restored, without touching the live database.
    fn prove(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        scratch_dir: &Path,
    ) -> Result<Proof, DatabaseError>;

    /// How far a dump taken now would belong to one instant: judged by the account's rights and the
    /// kinds of the tables, without reading a row.
    fn consistency(&mut self) -> Result<Consistency, DatabaseError>;

    /// What moves when somebody writes, and who is connected. Two samples that differ mean that
    /// the database may not be quiet.
    fn activity(&mut self) -> Result<Activity, DatabaseError>;

    /// Ends the other sessions of the application's account, and waits until they are gone.
    fn end_sessions(&mut self) -> Result<(), DatabaseError>;

    /// The rows of `table` in which every column of `matching` has its value (`None` is NULL):
    /// the wanted `columns` of each, in the order of the table's key. `None` if there is no such
    /// table. For settings and lists of migrations: refused beyond [`ROWS_READ_MAX`] rows.
    fn read(
        &mut self,
        table: &str,
        columns: &[&str],
        matching: &[Where<'_>],
    ) -> Result<Option<Vec<Vec<Value>>>, DatabaseError>;

    /// How many rows `table` has; `None` if there is no such table.
    fn count(&mut self, table: &str) -> Result<Option<u64>, DatabaseError>;

    /// Sets one column in the rows that match, in one transaction; says how many matched.
    fn write(
        &mut self,
        table: &str,
        column: &str,
        value: Option<&[u8]>,
        matching: &[Where<'_>],
    ) -> Result<u64, DatabaseError>;
}

/// Makes a database of an address. Connects to nothing yet.
pub fn open(
    name: &str,
    address: &Address,
    options: &OpenOptions,
) -> Result<Box<dyn Database>, DatabaseError> {
    match address {
        Address::Sqlite(path) => Ok(Box::new(sqlite::Sqlite::new(name.to_owned(), path, options))),
        Address::MySql(mysql) => Ok(Box::new(mysql::MySql::new(name.to_owned(), mysql, options))),
    }
}
