//! What happened, so that whoever comes after a crash knows what to do.
//!
//! One SQLite database on a local file system. One transaction per event, durable before the call
//! returns; each event's hash covers the one before it, for SQLite has no page checksums. The file
//! is created once; afterwards it is opened without the create flag, so that a lost journal is an
//! error and never an empty history.

mod chain;
mod open;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use crate::os::clock;
use crate::os::crash::{CrashPoint, reach};

use super::event::{BadBody, Event};
use super::state::{EventKind, Illegal, State, after};

pub use read::{Header, Recorded, Transaction};

/// The version of the tables and of the events' bodies.
pub const FORMAT: u32 = 1;

/// Free pages kept in the file, so that a full disk cannot stop a rollback from being recorded.
const FREE_BYTES_MIN: i64 = 1 << 20;

/// The number people say aloud: `T17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub i64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl Number {
    /// Reads `T17`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('T')?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && *number > 0).map(Self)
    }
}

/// Why the journal cannot be used, or what of it cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It was there once: other things of ours lie where it should.
    #[error("the journal {} is missing, but {} is there", path.display(), found.display())]
    Lost {
        /// Where it should be.
        path: PathBuf,
        /// What shows that it existed.
        found: PathBuf,
    },
    /// A later version wrote it.
    #[error("the journal was written by a later version (format {format}, features {features:?})")]
    TooNew {
        /// Its format.
        format: u32,
        /// Features that this version does not know.
        features: String,
    },
    /// The file system keeps no promises about durability.
    #[error("the state directory {} is on {file_system}, where a journal is not safe", path.display())]
    NotLocal {
        /// The directory.
        path: PathBuf,
        /// What `statfs` calls it.
        file_system: String,
    },
    /// Its directory or file cannot be made or opened.
    #[error("cannot open the journal {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite found its own file damaged, or refused a read.
    #[error("cannot read the journal")]
    Read(#[source] rusqlite::Error),
    /// An event's hash is not what its content and the event before it give.
    #[error("the journal of {number} is damaged at event {seq}: {what}")]
    Damaged {
        /// The transaction.
        number: Number,
        /// The event, counted from 1; 0 is the transaction's own row.
        seq: i64,
        /// What was found.
        what: &'static str,
    },
    /// An event that must not follow, in the journal or about to enter it.
    #[error("{number}")]
    Illegal {
        /// The transaction.
        number: Number,
        /// The pair.
        source: Illegal,
    },
    /// An event's body makes no sense to this version.
    #[error("{number}")]
    Body {
        /// The transaction.
        number: Number,
        /// Which, and why.
        source: BadBody,
    },
    /// No such transaction.
    #[error("there is no transaction {0}")]
    Unknown(Number),
    /// Another transaction of that application is open.
    #[error("transaction {0} is not finished")]
    StillOpen(Number),
    /// The disk is full: the event is surely not written.
    #[error("the disk under the journal is full")]
    Full(#[source] rusqlite::Error),
    /// Another process kept the journal busy: the event is surely not written.
    #[error("the journal was busy for a minute")]
    Busy(#[source] rusqlite::Error),
    /// The event may or may not be on disk: only a later look decides.
    #[error("cannot tell whether event {event} is in the journal")]
    Uncertain {
        /// The event's stored name.
        event: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// What a new transaction is.
#[derive(Clone, Debug)]
pub struct NewTransaction<'a> {
    /// Names everything made on the way.
    pub token: [u8; 16],
    /// The application.
    pub app: &'a str,
    /// The plan, as it is stored.
    pub plan: &'a [u8],
    /// Its digest.
    pub plan_digest: [u8; 32],
    /// This machine.
    pub machine_id: &'a str,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal in `state_dir`, or makes the first one.
    pub fn open_or_create(state_dir: &Path) -> Result<Self, JournalError> {
        open::open_or_create(state_dir)
    }

    /// Opens the journal in `state_dir`; `None` where there never was one.
    pub fn open(state_dir: &Path) -> Result<Option<Self>, JournalError> {
        open::open(state_dir)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores a new transaction and its first event.
    ///
    /// An application with an open transaction gets no second one.
    pub fn begin(
        &mut self,
        new: &NewTransaction<'_>,
        begun: &Event,
    ) -> Result<Number, JournalError> {
        if let Some(open) = self.unfinished()?.into_iter().find(|open| open.app == new.app) {
            return Err(JournalError::StillOpen(open.number));
        }
        self.keep_free_pages()?;
        let at = clock::now().0;
        let write = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute(
                "INSERT INTO tx (token, app, plan, plan_digest, format, features, \
                 binary_version, machine_id) VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?7)",
                params![
                    new.token,
                    new.app,
                    new.plan,
                    new.plan_digest,
                    FORMAT,
                    env!("CARGO_PKG_VERSION"),
                    new.machine_id,
                ],
            )?;
            let number = Number(tx.last_insert_rowid());
            let header = read::header(&tx, number)?;
            insert(&tx, number, 1, begun, at, &chain::of_header(&header))?;
            tx.commit()?;
            Ok(number)
        };
        reach(before(EventKind::Begun));
        let number = write(&mut self.db).map_err(|error| failed_append(EventKind::Begun, error))?;
        reach(behind(EventKind::Begun));
        Ok(number)
    }

    /// Makes `event` the transaction's latest, durably, if it may follow.
    ///
    /// On [`JournalError::Full`] and [`JournalError::Busy`] it is surely not written. On
    /// [`JournalError::Uncertain`] nobody knows: go neither way, and let `recover` look.
    pub fn append(&mut self, number: Number, event: &Event) -> Result<State, JournalError> {
        let present = self.transaction(number)?;
        let kind = event.kind();
        let state = after(Some(present.state), kind)
            .map_err(|source| JournalError::Illegal { number, source })?;
        let last = present.events.last().expect("a transaction has its first event");
        let (seq, prev) = (last.seq + 1, last.hash);
        let at = clock::now().0;
        let write = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            insert(&tx, number, seq, event, at, &prev)?;
            tx.commit()
        };
        reach(before(kind));
        write(&mut self.db).map_err(|error| failed_append(kind, error))?;
        reach(behind(kind));
        Ok(state)
    }

    /// Makes free pages inside the file, which a full disk cannot take away.
    fn keep_free_pages(&mut self) -> Result<(), JournalError> {
        let pages = |name: &str| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let free = pages("freelist_count")
            .and_then(|count| Ok(count * pages("page_size")?))
            .map_err(JournalError::Read)?;
        if free >= FREE_BYTES_MIN {
            return Ok(());
        }
        let fill = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute_batch("CREATE TABLE filler (bytes BLOB) STRICT")?;
            tx.execute("INSERT INTO filler VALUES (zeroblob(?1))", [FREE_BYTES_MIN])?;
            tx.execute_batch("DROP TABLE filler")?;
            tx.commit()
        };
        fill(&mut self.db).map_err(|error| failed_append(EventKind::Begun, error))
    }
}

fn insert(
    tx: &Connection,
    number: Number,
    seq: i64,
    event: &Event,
    at: i64,
    prev: &[u8; 32],
) -> rusqlite::Result<()> {
    let (kind, body) = (event.kind().name(), event.encode());
    let hash = chain::of_event(prev, number, seq, kind, body.as_bytes(), at);
    tx.execute(
        "INSERT INTO event (tx, seq, kind, body, at, prev, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![number.0, seq, kind, body, at, prev, hash],
    )?;
    Ok(())
}

/// Only two failures say for certain that nothing was written.
fn failed_append(event: EventKind, error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full(error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JournalError::Busy(error),
        _ => JournalError::Uncertain { event: event.name(), source: error },
    }
}

const fn before(event: EventKind) -> CrashPoint {
    match event {
        EventKind::Begun => CrashPoint::BeforeBegun,
        EventKind::Quiescing => CrashPoint::BeforeQuiescing,
        EventKind::Quiesced => CrashPoint::BeforeQuiesced,
        EventKind::Armed => CrashPoint::BeforeArmed,
        EventKind::StepStarted => CrashPoint::BeforeStepStarted,
        EventKind::ChildStarted => CrashPoint::BeforeChildStarted,
        EventKind::StepFinished => CrashPoint::BeforeStepFinished,
        EventKind::Committed => CrashPoint::BeforeCommitted,
        EventKind::UndoStarted => CrashPoint::BeforeUndoStarted,
        EventKind::UndoStepFinished => CrashPoint::BeforeUndoStepFinished,
        EventKind::RolledBack => CrashPoint::BeforeRolledBack,
        EventKind::UndoFailed => CrashPoint::BeforeUndoFailed,
        EventKind::Closed => CrashPoint::BeforeClosed,
    }
}

const fn behind(event: EventKind) -> CrashPoint {
    match event {
        EventKind::Begun => CrashPoint::AfterBegun,
        EventKind::Quiescing => CrashPoint::AfterQuiescing,
        EventKind::Quiesced => CrashPoint::AfterQuiesced,
        EventKind::Armed => CrashPoint::AfterArmed,
        EventKind::StepStarted => CrashPoint::AfterStepStarted,
        EventKind::ChildStarted => CrashPoint::AfterChildStarted,
        EventKind::StepFinished => CrashPoint::AfterStepFinished,
        EventKind::Committed => CrashPoint::AfterCommitted,
        EventKind::UndoStarted => CrashPoint::AfterUndoStarted,
        EventKind::UndoStepFinished => CrashPoint::AfterUndoStepFinished,
        EventKind::RolledBack => CrashPoint::AfterRolledBack,
        EventKind::UndoFailed => CrashPoint::AfterUndoFailed,
        EventKind::Closed => CrashPoint::AfterClosed,
    }
}
