//! What the events of the way back carry.

use serde::{Deserialize, Serialize};

use crate::upgrade::stored::Digest;

/// Why the old content is to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of thing that went wrong.
    pub kind: CauseKind,
    /// The step in which it did, 0 if it is not known.
    pub step: u8,
    /// In one line.
    pub what: String,
    /// The chain below it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// See [`Cause::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// A step failed.
    Failed,
    /// Somebody asked to stop, by that signal.
    Signal(i32),
    /// The process died; `recover` found the transaction open.
    CutOff,
    /// A bug of ours: a panic was caught.
    Panic,
    /// A person asked for it: the rollback of a finished transaction.
    Asked,
}

/// One root or database is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoStepFinished {
    /// `database NAME` or `files LABEL`.
    pub what: String,
    /// In one line.
    pub note: String,
    /// In milliseconds.
    pub took_ms: u64,
}

/// What was compared, and that it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The files' digest at T0 and now.
    pub files: Compared,
    /// Each database's fingerprint at T0 and now.
    pub databases: Vec<NamedCompared>,
    /// Files whose bytes were read again.
    pub files_read: u64,
    /// Files that are unchanged since T0 by their stat data of the same boot.
    pub files_unchanged: u64,
}

/// Before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// As recorded at T0.
    pub before: Digest,
    /// As computed now.
    pub after: Digest,
}

impl Compared {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.before == self.after
    }
}

/// The same, of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCompared {
    /// Its name in the snapshot.
    pub name: String,
    /// The two fingerprints.
    #[serde(flatten)]
    pub compared: Compared,
}

impl Proof {
    /// Whether all of it is equal.
    pub fn is_equal(&self) -> bool {
        self.files.is_equal() && self.databases.iter().all(|one| one.compared.is_equal())
    }
}

/// Why the old content could not be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoFailed {
    /// Where it stopped.
    pub at: String,
    /// What went wrong, outermost first.
    pub chain: Vec<String>,
    /// What is back already.
    pub back: Vec<String>,
    /// What is not.
    pub not_back: Vec<String>,
}
