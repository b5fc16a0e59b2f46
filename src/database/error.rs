//! What can go wrong with a database, named for what happened.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::repository::RepositoryError;

/// What a schema can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// The schema itself: its default character set and collation.
    Schema,
    /// A base table.
    Table,
    /// A view.
    View,
    /// A trigger.
    Trigger,
    /// A stored procedure.
    Procedure,
    /// A stored function.
    Function,
    /// A package (MariaDB's Oracle mode).
    Package,
    /// An event.
    Event,
    /// A sequence (MariaDB).
    Sequence,
    /// The pages of a SQLite file.
    Image,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::Table => "table",
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Procedure => "procedure",
            Self::Function => "function",
            Self::Package => "package",
            Self::Event => "event",
            Self::Sequence => "sequence",
            Self::Image => "image",
        })
    }
}

/// One object that cannot be carried, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name within the schema.
    pub name: String,
    /// The reason, in a few words.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.why)
    }
}

/// What the driver or the server said, without the driver's own wrapping.
#[derive(Debug)]
pub struct Said(mysql::Error);

impl Said {
    /// The server's error number; `None` if it is the connection that failed.
    pub fn code(&self) -> Option<u16> {
        match &self.0 {
            mysql::Error::MySqlError(server) => Some(server.code),
            _ => None,
        }
    }
}

impl From<mysql::Error> for Said {
    fn from(error: mysql::Error) -> Self {
        Self(error)
    }
}

/// As `Access denied for user 'a'@'localhost' (1045)`.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            mysql::Error::MySqlError(server) => write!(f, "{} ({})", server.message, server.code),
            mysql::Error::IoError(error) => error.fmt(f),
            mysql::Error::DriverError(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Said {}

/// What went wrong with a database.
///
/// Until a restore begins nothing of the database has been changed. A restore that fails may have
/// left it anywhere between; it is called again and ends as if it had never failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The server does not answer, or went away.
    #[error("cannot reach the database at {address}")]
    Unreachable {
        /// Where, without the password.
        address: String,
        /// What the driver said.
        source: Box<Said>,
    },
    /// The server is on another machine, and the way to it would not be encrypted.
    #[error("the database at {address} is on another machine, and TLS is not supported")]
    NotLocal {
        /// Where, without the password.
        address: String,
    },
    /// The server does not let the account in.
    #[error("the database at {address} refuses the login")]
    LoginRefused {
        /// Where and who, without the password.
        address: String,
        /// What the server said.
        source: Box<Said>,
    },
    /// There is no such schema, or the account may not see it.
    #[error("there is no schema {schema} that the account may use")]
    NoSchema {
        /// Its name.
        schema: String,
    },
    /// The account may not do what is needed.
    #[error("the database account may not {doing}")]
    MissingRight {
        /// What was tried, said after "may not".
        doing: String,
        /// What the server said.
        source: Box<Said>,
    },
    /// Something of the schema could be there without the account seeing it, so that a dump would
    /// be short and look whole.
    #[error("the account could miss {what} of schema {schema}: it lacks the right {right} on it")]
    Blind {
        /// The schema.
        schema: String,
        /// The right that would lift it.
        right: &'static str,
        /// What could be missed.
        what: &'static str,
    },
    /// Another worker of the same reading failed; its error is the one that counts.
    #[error("stopped because another part failed")]
    Stopped,
    /// The account may not read a definition, so the object could not be put back.
    #[error("the account may not read the definition of {kind} {name}")]
    UnreadableDefinition {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
    },
    /// Objects that this version does not carry; nothing was started.
    #[error("cannot carry {}", list(.objects))]
    Refused {
        /// All of them, not only the first.
        objects: Vec<Refusal>,
    },
    /// The schema holds tables of somebody else; nothing was started.
    #[error("schema {schema} is shared: {} without the prefix {prefix:?}: {}", count(.names), few(.names))]
    SharedSchema {
        /// The schema.
        schema: String,
        /// The prefix that every table was expected to have.
        prefix: String,
        /// The tables and views without it.
        names: Vec<String>,
    },
    /// A lock was not granted in time; our request was withdrawn.
    #[error("{wanted} was not granted within {waited_s} s{}", by(.blocker.as_deref()))]
    LockTimeout {
        /// Which lock.
        wanted: String,
        /// How long was waited.
        waited_s: u64,
        /// Who seems to hold it, as far as the account may see.
        blocker: Option<String>,
    },
    /// The server died while it made or dropped the table, and does not remove what it left.
    #[error(
        "a file of no table is in the way of {table}: the server left it when it died, in {dir}, and \
         makes no table of that name until it is moved away"
    )]
    FileInTheWay {
        /// Which table cannot be made.
        table: String,
        /// The directory of the server's files of this schema.
        dir: String,
    },
    /// The definitions changed while the rows were read, each time that it was tried.
    #[error("{what} changed during the dump, {tries} times")]
    ChangedMeanwhile {
        /// What changed.
        what: String,
        /// How often the dump was begun anew.
        tries: u32,
    },
    /// A row is too large for the server to take it back.
    #[error("a row of table {table} has {bytes} bytes, more than the server takes back ({limit})")]
    RowTooLarge {
        /// The table.
        table: String,
        /// The row's size.
        bytes: u64,
        /// The server's `max_allowed_packet`.
        limit: u64,
    },
    /// The server warned while rows were loaded: a value did not fit as it was dumped.
    #[error("the server altered a value on loading into table {table}: {warning}")]
    LoadWarning {
        /// The table.
        table: String,
        /// The first warning.
        warning: String,
    },
    /// What was loaded is not what was stored.
    #[error("after loading, {kind} {name} differs from the stored state: {what}")]
    Mismatch {
        /// What differs.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// In what.
        what: &'static str,
    },
    /// A definition names its own schema where it cannot be replaced safely.
    #[error("{kind} {name} names schema {schema} in its body, so it cannot be loaded into another")]
    NotMappable {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// The schema it comes from.
        schema: String,
    },
    /// The stored state cannot be decoded.
    #[error("the stored database state is damaged: {what}")]
    DamagedState {
        /// Where it stopped making sense.
        what: &'static str,
    },
    /// The stored state was written by a newer version.
    #[error("the stored database state has format {version}, newer than this program")]
    TooNew {
        /// Its format's number.
        version: u32,
    },
    /// The stored state is of another kind of database.
    #[error("the stored state is of a {stored} database, not of {wanted}")]
    OtherKind {
        /// What is stored.
        stored: &'static str,
        /// What it was to be restored to.
        wanted: &'static str,
    },
    /// The SQLite file is not there. It is never created, for an empty database is not a guard.
    #[error("there is no database file {}", .path.display())]
    NoFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// Another process has the SQLite file open, so it must not be replaced.
    #[error("{} is held open by {}", .path.display(), few(.holders))]
    Held {
        /// The file.
        path: PathBuf,
        /// Who holds it: `NAME (PID)`.
        holders: Vec<String>,
    },
    /// SQLite finds the file damaged.
    #[error("{} is damaged: {says}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first finding of SQLite.
        says: String,
    },
    /// More rows match than a list of settings or migrations has.
    #[error("table {table} has too many rows to be read as a list")]
    TooManyRows {
        /// The table.
        table: String,
    },
    /// The repository failed.
    #[error("cannot use the repository")]
    Repository(#[from] RepositoryError),
    /// A file operation failed.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// Said after "cannot".
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A statement failed.
    #[error("cannot {doing}")]
    Statement {
        /// What was tried, said after "cannot".
        doing: String,
        /// What the driver or server said.
        source: Box<Said>,
    },
    /// SQLite failed.
    #[error("cannot {doing} {}", .path.display())]
    Sqlite {
        /// Said after "cannot".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

fn by(blocker: Option<&str>) -> String {
    blocker.map(|who| format!("; it is held by {who}")).unwrap_or_default()
}

fn list(objects: &[Refusal]) -> String {
    few(&objects.iter().map(Refusal::to_string).collect::<Vec<_>>())
}

fn count(names: &[String]) -> String {
    match names.len() {
        1 => "1 name".to_owned(),
        n => format!("{n} names"),
    }
}

/// The first of many names; the caller has them all in the variant's field.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{text} and {more} more"),
        _ => text,
    }
}
