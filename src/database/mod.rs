//! Dumps, loads and fingerprints databases.
//!
//! A database's state is a value, as a tree's is: definitions, rows and counters, kept by the
//! repository under one id. [`Database::restore`] converges a live database to such a value, and
//! the fingerprint proves it: it is equal exactly when the content is.

mod error;
pub mod rows;
pub mod state;
mod url;

use std::collections::BTreeMap;

pub use error::{DatabaseError, ObjectKind, Refusal};
pub use url::{Address, BadUrl, MYSQL_PORT, MySqlAddress};

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

/// What an operator should know about a state before relying on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A view or trigger runs as an account that does not exist.
    OrphanDefiner {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// The account.
        definer: String,
    },
    /// The server may lose the last second of committed transactions in a crash.
    CommitsNotFlushed,
    /// The server is a replica, or read-only: a restore would be refused or would diverge.
    NotWritable {
        /// `replica` or `read_only`.
        why: &'static str,
    },
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

    /// What moves when somebody writes, and who is connected. Two samples that differ mean that
    /// the database may not be quiet.
    fn activity(&mut self) -> Result<Activity, DatabaseError>;

    /// Ends the other sessions of the application's account, and waits until they are gone.
    fn end_sessions(&mut self) -> Result<(), DatabaseError>;

    /// The rows of `table` in which every column of `matching` has its value (`None` is NULL):
    /// the wanted `columns` of each, in the order of the table's key. `None` if there is no such
    /// table. For settings and lists of migrations: refused beyond 100,000 rows.
    fn read(
        &mut self,
        table: &str,
        columns: &[&str],
        matching: &[(&str, Option<&[u8]>)],
    ) -> Result<Option<Vec<Vec<Option<Vec<u8>>>>>, DatabaseError>;

    /// Sets one column in the rows that match, in one transaction; says how many matched.
    fn write(
        &mut self,
        table: &str,
        column: &str,
        value: Option<&[u8]>,
        matching: &[(&str, Option<&[u8]>)],
    ) -> Result<u64, DatabaseError>;
}
