//! What a plan is made of. Stored types: new fields are optional, none is renamed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::upgrade::merge::{Fate, Typed};
use crate::upgrade::stored::{Digest, PathText, file_path};

/// What a transaction is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Aim {
    /// Another release.
    Upgrade(PlannedRelease),
    /// A snapshot's state, in place.
    Restore(PlannedRestore),
}

/// The release that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRelease {
    /// Its snapshot.
    pub snapshot: Digest,
    /// The version that it declares itself.
    pub version: String,
    /// Which of the profile's layouts it has.
    pub layout: String,
    /// Where it came from, as the user reads it.
    pub origin: String,
    /// `PATCH`, `MINOR`, `MAJOR`, `DOWNGRADE`, `REINSTALL` or `UNKNOWN`.
    pub jump: String,
    /// The snapshot of the old release; `None` if it is not to hand.
    #[serde(default)]
    pub base: Option<Digest>,
    /// The commit that it was read from, if it came from git.
    #[serde(default)]
    pub commit: Option<PlannedCommit>,
}

/// A commit, and a repository that held it when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCommit {
    /// The repository's own directory.
    pub repository: PathBuf,
    /// The commit's id.
    pub id: String,
}

/// The snapshot that is to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRestore {
    /// Which.
    pub snapshot: Digest,
    /// The transaction that this takes back, if it is a rollback.
    #[serde(default)]
    pub undoes: Option<i64>,
    /// Whether what the snapshot does not have is deleted.
    pub delete: bool,
    /// Whether the trees come back.
    pub files: bool,
    /// Whether the databases come back.
    pub databases: bool,
}

/// The application as it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedApp {
    /// Its name on this machine.
    pub name: String,
    /// The profile's whole text: the way back reads no other.
    pub profile: String,
    /// Where the profile was read.
    pub profile_origin: String,
    /// Which of its layouts the live tree has.
    pub layout: String,
    /// The installed version.
    pub version: String,
    /// Where it is installed.
    #[serde(with = "file_path")]
    pub root: PathBuf,
}

/// A root that the safety snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRoot {
    /// Its label in snapshots.
    pub label: String,
    /// Where it lies.
    #[serde(with = "file_path")]
    pub path: PathBuf,
}

/// A database that the safety snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDatabase {
    /// Its name in snapshots.
    pub name: String,
    /// `mysql` or `sqlite`.
    pub kind: String,
    /// Where it lies, without the password.
    pub address: String,
    /// Which server or file it was when the plan was made.
    pub identity: String,
}

/// A migration that the release brings and the database does not list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMigration {
    /// As the application calls it.
    pub id: String,
    /// The release's file that holds it.
    pub file: PathText,
    /// The question it will ask, where its text says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
}

/// A question that the migration may ask, and whether it has an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The pattern by which it is known.
    pub pattern: String,
    /// Where the answer comes from: `profile` or `typed`; `None` if nothing answers it.
    pub answered_by: Option<String>,
    /// What is answered, where the profile does.
    pub answer: Option<String>,
    /// Whether being asked ends the upgrade.
    pub fails: bool,
}

/// A shipped template that changed, and the configuration made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The template.
    pub template: PathText,
    /// The live file.
    pub live: PathText,
    /// Lines that the new template has and the old one has not.
    pub lines_added: u32,
    /// And the reverse.
    pub lines_removed: u32,
    /// Keys that the new template has and the live file has not.
    pub keys_you_lack: Vec<String>,
    /// Defaults that changed while the live file has the key: `key old → new`, secrets masked.
    pub keys_changed: Vec<String>,
    /// Keys that the new template no longer has while the live file does.
    pub keys_dropped: Vec<String>,
}

/// Room on one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// For what: `repository`, or a root.
    pub what: String,
    /// Bytes that may be needed.
    pub needs_bytes: u64,
    /// Bytes that are free.
    pub has_bytes: u64,
    /// Files that may be needed.
    pub needs_inodes: u64,
    /// Files that may be made; `None` where they are not counted.
    pub has_inodes: Option<u64>,
}

/// A reason not to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind, which decides the exit code.
    pub kind: RefusalKind,
    /// In one line.
    pub what: String,
}

/// Why a transaction would not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// Another transaction of the application is open (24).
    OpenTransaction,
    /// The application is locked by somebody (11).
    Locked,
    /// The database does not let us in, or not far enough (27).
    Database,
    /// The repository cannot serve an upgrade (15).
    Storage,
    /// The release is not what it should be (26).
    Source,
    /// There is not enough room (14).
    Space,
    /// A migration will ask what nobody answers (28).
    Question,
    /// A core file is edited, or of unknown origin, and nobody has decided (22).
    Edited,
    /// The jump is one that needs a person's word (22).
    Jump,
    /// Anything else found beforehand (22).
    Preflight,
}

impl RefusalKind {
    /// The exit code of `plan` and `upgrade`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::OpenTransaction => 24,
            Self::Locked => 11,
            Self::Database => 27,
            Self::Storage => 15,
            Self::Source => 26,
            Self::Space => 14,
            Self::Question => 28,
            Self::Edited | Self::Jump | Self::Preflight => 22,
        }
    }
}

/// A path, what becomes of it, and what of its content was seen, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFate(pub PathText, pub Fate, pub Seen);

/// A path and what of its content was seen, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathSeen(pub PathText, pub Seen);

/// The first 8 bytes of the hash of what lay at a path: enough to see that it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seen(pub u64);

/// A path and what was typed for it, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathTyped(pub PathText, pub Typed);
