//! Where the library says how it is going. It never prints, and never asks.
//!
//! Three listeners exist: the terminal and the JSON stream (both in `cli`), and [`Recorder`],
//! which tests use to see what was said.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Something that went wrong with one path; the work goes on, and the run will not exit 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path as the user knows it.
    pub path: PathBuf,
    /// What happened, in one line.
    pub what: String,
}

/// What is counted while work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Entries met by a walk (files, directories, links, specials).
    Entries,
    /// Files whose content was read.
    FilesRead,
    /// Bytes read from files or databases.
    BytesRead,
    /// Bytes added to the repository, compressed and sealed.
    BytesStored,
    /// Files written to disk.
    FilesWritten,
    /// Bytes written to disk.
    BytesWritten,
    /// Database rows dumped or loaded.
    Rows,
}

impl Counter {
    /// Every counter, in the order in which a [`Recorder`] keeps them.
    pub const ALL: [Self; 7] = [
        Self::Entries,
        Self::FilesRead,
        Self::BytesRead,
        Self::BytesStored,
        Self::FilesWritten,
        Self::BytesWritten,
        Self::Rows,
    ];
}

/// One piece of news, in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A numbered step of a transaction, or a stage of a backup or restore, begins.
    StepStarted {
        /// The step's number as in PROTOCOL.md; 0 where stages are not numbered.
        number: u8,
        /// The step's name, as the user reads it.
        name: String,
    },
    /// The step ended well.
    StepDone {
        /// The same number.
        number: u8,
        /// The same name.
        name: String,
        /// How long it took.
        took: Duration,
        /// What came of it, in one line.
        note: String,
    },
    /// The step failed; what follows says what is done about it.
    StepFailed {
        /// The same number.
        number: u8,
        /// The same name.
        name: String,
        /// How long it took.
        took: Duration,
        /// The cause, in one line.
        cause: String,
    },
    /// A line that a child process printed, redacted.
    ChildOutput {
        /// The line, without its newline.
        line: String,
    },
    /// A transaction is in the journal.
    TransactionStarted {
        /// `T17`.
        transaction: String,
        /// The application.
        app: String,
        /// What it does: `1.1.0 → 1.3.2`.
        what: String,
        /// How many numbered steps there are.
        steps: u8,
    },
    /// There is a way back; until here nothing was changed.
    Armed {
        /// `proved`, `verified` or `best effort`.
        label: String,
        /// The safety snapshot, in hex.
        snapshot: String,
        /// The files' digest, in hex.
        files: String,
        /// Each database's name and fingerprint.
        databases: Vec<(String, String)>,
    },
    /// What was changed is being put back.
    RollbackStarted {
        /// Why, in one line.
        cause: String,
    },
    /// It is back, and was compared with what it was.
    RollbackDone {
        /// The files' digest before and after.
        files: (String, String),
        /// Each database's name, and its fingerprint before and after.
        databases: Vec<(String, String, String)>,
        /// Files whose bytes were read again.
        files_read: u64,
        /// Files that nothing had touched.
        files_unchanged: u64,
    },
    /// Something the operator should know, which fails nothing.
    Warning {
        /// One line.
        what: String,
    },
}

/// Where the library says how it is going. It never prints, and never asks.
pub trait Monitor: Sync {
    /// Adds to a counter. Called from many threads.
    fn count(&self, counter: Counter, by: u64);
    /// Something went wrong with one path; the work goes on, and the run will not exit 0.
    fn problem(&self, problem: Problem);
    /// Tells one piece of news.
    fn tell(&self, news: News);
}

/// Remembers everything: the monitor of tests, and of callers that only want the totals.
#[derive(Debug, Default)]
pub struct Recorder {
    counts: [AtomicU64; Counter::ALL.len()],
    problems: Mutex<Vec<Problem>>,
    news: Mutex<Vec<News>>,
}

impl Recorder {
    /// What `counter` has come to.
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Ordering::Relaxed)
    }

    /// The problems reported so far.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().expect("no holder of this lock panics").clone()
    }

    /// The news told so far.
    pub fn news(&self) -> Vec<News> {
        self.news.lock().expect("no holder of this lock panics").clone()
    }
}

impl Monitor for Recorder {
    fn count(&self, counter: Counter, by: u64) {
        self.counts[counter as usize].fetch_add(by, Ordering::Relaxed);
    }
    fn problem(&self, problem: Problem) {
        self.problems.lock().expect("no holder of this lock panics").push(problem);
    }
    fn tell(&self, news: News) {
        self.news.lock().expect("no holder of this lock panics").push(news);
    }
}
