//! What the journal's events carry.
//!
//! These are stored types: a field is a promise to every later version, so new fields are optional
//! and none is renamed. Bodies are JSON with keys in the order of the fields, and hold no secret.

mod undo;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::undo::{
    Cause, CauseKind, Compared, NamedCompared, Proof, UndoFailed, UndoStepFinished,
};
use super::state::EventKind;
use super::stored::{Digest, file_path};

/// One thing that happened in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// See [`EventKind::Begun`].
    Begun(Box<Begun>),
    /// See [`EventKind::Quiescing`].
    Quiescing(Quiescing),
    /// See [`EventKind::Quiesced`].
    Quiesced(Quiesced),
    /// See [`EventKind::Armed`].
    Armed(Box<ArmedRecord>),
    /// See [`EventKind::StepStarted`].
    StepStarted(StepStarted),
    /// See [`EventKind::ChildStarted`].
    ChildStarted(ChildStarted),
    /// See [`EventKind::StepFinished`].
    StepFinished(StepFinished),
    /// See [`EventKind::Committed`].
    Committed(Committed),
    /// See [`EventKind::UndoStarted`].
    UndoStarted(Cause),
    /// See [`EventKind::UndoStepFinished`].
    UndoStepFinished(UndoStepFinished),
    /// See [`EventKind::RolledBack`].
    RolledBack(Proof),
    /// See [`EventKind::UndoFailed`].
    UndoFailed(UndoFailed),
    /// See [`EventKind::Closed`].
    Closed(Closed),
}

/// Who began what, and where the way back begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The repository's id, 64 hex digits or as it prints itself.
    pub repository: String,
    /// Where it lies.
    #[serde(with = "file_path")]
    pub location: PathBuf,
    /// The machine key *file*; never what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The boot in which this was written.
    pub boot_id: String,
    /// The process that wrote it.
    pub pid: u32,
    /// When that process started, in the kernel's ticks since boot.
    pub process_started: u64,
    /// Who typed it.
    pub user: String,
    /// On which machine.
    pub host: String,
    /// What was typed, answers and secrets left out.
    pub argv: Vec<String>,
    /// How the application's probes answered before anything was done, as the `app` module
    /// stores them.
    #[serde(default)]
    pub baseline: serde_json::Value,
}

/// What maintenance, units and accounts were before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiescing {
    /// As the `app` module stores it; the switch's earlier bytes are a chunk, named here.
    pub maintenance: serde_json::Value,
    /// The name that the safety snapshot will have, so that a pin without a snapshot is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Digest>,
}

/// T0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiesced {
    /// Nanoseconds since 1970.
    pub t0: i64,
    /// What each database said while it was watched.
    pub databases: Vec<Watched>,
}

/// One database under observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Its name in the snapshot.
    pub name: String,
    /// Its write counters, as one text that is compared as a whole.
    pub counters: String,
    /// Sessions of the application's account that were seen, ours apart.
    pub sessions: u32,
}

/// How far the safety copy was tried before the first change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Less than the others.
    BestEffort,
    /// Every dump was decoded and counted, the tree copy read back.
    Verified,
    /// Every dump was rebuilt beside the live one and found equal. Only this one is guaranteed.
    Proved,
}

impl Label {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "best effort",
            Self::Verified => "verified",
            Self::Proved => "proved",
        }
    }
}

/// The way home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedRecord {
    /// The pinned safety snapshot.
    pub safety: Digest,
    /// The files' digest at T0.
    pub files_digest: Digest,
    /// Each database's state at T0.
    pub databases: Vec<ArmedDatabase>,
    /// How far the copy was tried.
    pub label: Label,
    /// Each root, and what its content shall become.
    pub roots: Vec<ArmedRoot>,
}

/// A database at T0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedDatabase {
    /// Its name in the snapshot.
    pub name: String,
    /// The fingerprint of its dump.
    pub fingerprint: Digest,
    /// Which server, or which file, it was.
    pub identity: String,
}

/// A root at T0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedRoot {
    /// Its label in the snapshot.
    pub label: String,
    /// Where it lies.
    #[serde(with = "file_path")]
    pub path: PathBuf,
    /// Its directory's device and inode.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// The directory object of what is wanted; equal to T0's where nothing is to change.
    pub wanted: Digest,
}

/// A step that changes content is about to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStarted {
    /// 1 to 12, or 0 for a stage of a rollback.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// Hash over token, step and what goes in.
    pub key: Digest,
}

/// A child waits at its gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStarted {
    /// What it is for.
    pub what: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub process_started: u64,
    /// Its session, which its children share.
    pub session: u32,
    /// A pid means nothing in another boot.
    pub boot_id: String,
}

/// A step ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFinished {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// In milliseconds.
    pub took_ms: u64,
    /// What came of it, in one line.
    pub note: String,
    /// The digest of the children's transcript, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Digest>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// How the probes answered after the change, as the `app` module stores them.
    #[serde(default)]
    pub probes: serde_json::Value,
    /// How many checks passed.
    pub passed: u32,
    /// What was red before too, or is only reported.
    pub reported: Vec<String>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// One word of three.
    pub ending: Ending,
    /// Why, where it is not committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// How long the site was shut, in milliseconds, where this process knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_ms: Option<u64>,
    /// What a clean-up could not do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// See [`Closed::ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Nothing of the covered set was changed.
    Untouched,
    /// The new content stays.
    Committed,
    /// The old content is back, and proved.
    RolledBack,
}

/// An event that this version cannot read: it is from a later one, or rotten.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the body of event {kind}")]
pub struct BadBody {
    /// The stored name.
    pub kind: String,
    /// What is wrong with it.
    pub source: Option<serde_json::Error>,
}

impl Event {
    /// What it is, without what it carries.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Begun(_) => EventKind::Begun,
            Self::Quiescing(_) => EventKind::Quiescing,
            Self::Quiesced(_) => EventKind::Quiesced,
            Self::Armed(_) => EventKind::Armed,
            Self::StepStarted(_) => EventKind::StepStarted,
            Self::ChildStarted(_) => EventKind::ChildStarted,
            Self::StepFinished(_) => EventKind::StepFinished,
            Self::Committed(_) => EventKind::Committed,
            Self::UndoStarted(_) => EventKind::UndoStarted,
            Self::UndoStepFinished(_) => EventKind::UndoStepFinished,
            Self::RolledBack(_) => EventKind::RolledBack,
            Self::UndoFailed(_) => EventKind::UndoFailed,
            Self::Closed(_) => EventKind::Closed,
        }
    }

    /// The body as it is stored.
    pub fn encode(&self) -> String {
        let encoded = match self {
            Self::Begun(body) => serde_json::to_string(body),
            Self::Quiescing(body) => serde_json::to_string(body),
            Self::Quiesced(body) => serde_json::to_string(body),
            Self::Armed(body) => serde_json::to_string(body),
            Self::StepStarted(body) => serde_json::to_string(body),
            Self::ChildStarted(body) => serde_json::to_string(body),
            Self::StepFinished(body) => serde_json::to_string(body),
            Self::Committed(body) => serde_json::to_string(body),
            Self::UndoStarted(body) => serde_json::to_string(body),
            Self::UndoStepFinished(body) => serde_json::to_string(body),
            Self::RolledBack(body) => serde_json::to_string(body),
            Self::UndoFailed(body) => serde_json::to_string(body),
            Self::Closed(body) => serde_json::to_string(body),
        };
        encoded.expect("bodies are structs with text keys, which JSON can always hold")
    }

    /// Reads a stored body.
    pub fn decode(kind: EventKind, body: &str) -> Result<Self, BadBody> {
        fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, serde_json::Error> {
            serde_json::from_str(body)
        }
        let event = match kind {
            EventKind::Begun => read(body).map(Self::Begun),
            EventKind::Quiescing => read(body).map(Self::Quiescing),
            EventKind::Quiesced => read(body).map(Self::Quiesced),
            EventKind::Armed => read(body).map(Self::Armed),
            EventKind::StepStarted => read(body).map(Self::StepStarted),
            EventKind::ChildStarted => read(body).map(Self::ChildStarted),
            EventKind::StepFinished => read(body).map(Self::StepFinished),
            EventKind::Committed => read(body).map(Self::Committed),
            EventKind::UndoStarted => read(body).map(Self::UndoStarted),
            EventKind::UndoStepFinished => read(body).map(Self::UndoStepFinished),
            EventKind::RolledBack => read(body).map(Self::RolledBack),
            EventKind::UndoFailed => read(body).map(Self::UndoFailed),
            EventKind::Closed => read(body).map(Self::Closed),
        };
        event.map_err(|source| BadBody { kind: kind.name().to_owned(), source: Some(source) })
    }
}
