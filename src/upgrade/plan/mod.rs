//! Everything one transaction will do, decided before anything is touched.
//!
//! A plan is a value: it can be shown, stored, and compared with a later one. It holds the fate of
//! each path of the two releases and the profile's rules, never a listing of live files. A stored
//! type: new fields are optional, none is renamed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::event::Label;
use super::merge::{Fate, Fates, Typed};
use super::step::Step;
use super::stored::{Digest, PathText, file_path};

mod extent;
mod gather;
mod ground;
pub mod judge;
mod restore;
pub mod review;
pub(super) mod texts;

pub use gather::{PlanRequest, Staged, plan};
pub use restore::{RestoreRequest, plan_restore};

/// The version of the stored form.
pub const FORMAT: u32 = 1;

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

/// The whole plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// What for.
    pub aim: Aim,
    /// Of which application.
    pub app: PlannedApp,
    /// The repository's id.
    pub repository: String,
    /// What is covered; the first root is the application's own.
    pub roots: Vec<PlannedRoot>,
    /// See `roots`.
    pub databases: Vec<PlannedDatabase>,
    /// `--keep` and `--take`.
    #[serde(default)]
    pub typed: Vec<PathTyped>,
    /// The fate of each path of the two releases.
    #[serde(default)]
    pub fates: Vec<PathFate>,
    /// The operator's own files that are there; of uploads only those that a release ships too.
    #[serde(default)]
    pub preserved: Vec<PathSeen>,
    /// Templates to look at.
    #[serde(default)]
    pub review: Vec<Review>,
    /// Migrations that will run.
    #[serde(default)]
    pub pending: Vec<PendingMigration>,
    /// What they may ask.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// How the site is shut, one line a switch; empty if `snap` does not shut it.
    #[serde(default)]
    pub maintenance: Vec<String>,
    /// The probes that will judge, by name.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Commands of the operator's that will run.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// How far the way back will be tried before anything is changed.
    pub label: Label,
    /// What keeps the label from being better.
    #[serde(default)]
    pub label_reasons: Vec<String>,
    /// Room on each file system.
    #[serde(default)]
    pub space: Vec<Space>,
    /// Paths that neither snapshot nor upgrade covers.
    #[serde(default)]
    pub uncovered: Vec<String>,
    /// What an operator should know.
    #[serde(default)]
    pub risks: Vec<String>,
    /// Why it would not start; empty if it would.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
}

/// Why stored bytes are no plan.
#[derive(Debug, thiserror::Error)]
pub enum BadPlan {
    /// Not what this version writes.
    #[error("it is not a plan")]
    Malformed(#[source] serde_json::Error),
    /// Written by a later version.
    #[error("its format {0} is of a later version")]
    TooNew(u32),
}

impl Plan {
    /// The stored form: one form only.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan is structs with text keys")
    }

    /// Reads the stored form.
    pub fn decode(raw: &[u8]) -> Result<Self, BadPlan> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(raw).map_err(BadPlan::Malformed)?;
        if version.format > FORMAT {
            return Err(BadPlan::TooNew(version.format));
        }
        serde_json::from_slice(raw).map_err(BadPlan::Malformed)
    }

    /// Covers the stored form.
    pub fn digest(&self) -> Digest {
        blake3::hash(&self.encode()).into()
    }

    /// As it is said aloud and printed: `7c1e-90aa`.
    pub fn name(&self) -> String {
        let hex = self.digest().to_string();
        format!("{}-{}", &hex[..4], &hex[4..8])
    }

    /// The fates as the merge gives them.
    pub fn fates(&self) -> Fates {
        self.fates.iter().map(|PathFate(path, fate, _)| (path.0.clone(), *fate)).collect()
    }

    /// The paths with one of `fates`, in path order.
    pub fn paths(&self, fates: &[Fate]) -> Vec<&PathText> {
        let meant = self.fates.iter().filter(|PathFate(_, fate, _)| fates.contains(fate));
        meant.map(|PathFate(path, ..)| path).collect()
    }

    /// What was typed.
    pub fn decisions(&self) -> std::collections::BTreeMap<crate::tree::TreePath, Typed> {
        self.typed.iter().map(|PathTyped(path, typed)| (path.0.clone(), *typed)).collect()
    }

    /// What moved since this plan was made, if `now` is a plan of the same made now.
    ///
    /// Logs, caches and uploads are in no plan, so they make none stale.
    pub fn moved(&self, now: &Self) -> Option<String> {
        let parts = [
            (self.aim != now.aim, "the release"),
            (self.app != now.app, "the application or its profile"),
            (self.roots != now.roots, "the directories that belong to it"),
            (self.databases != now.databases, "its databases"),
            (self.pending != now.pending, "the pending migrations"),
            (self.typed != now.typed, "what was decided"),
        ];
        if let Some((_, what)) = parts.iter().find(|(differs, _)| *differs) {
            return Some(format!("{what} changed"));
        }
        let fates = first_moved(&self.fates, &now.fates, |PathFate(path, fate, seen)| {
            (path, (Some(*fate), *seen))
        });
        fates.or_else(|| {
            first_moved(&self.preserved, &now.preserved, |PathSeen(path, seen)| {
                (path, (None, *seen))
            })
        })
    }

    /// Whether it would start.
    pub fn is_ready(&self) -> bool {
        self.refusals.is_empty()
    }

    /// The exit code of `plan`: 0, or that of the gravest refusal.
    pub fn exit_code(&self) -> u8 {
        let gravest = self.refusals.iter().map(|refusal| refusal.kind).min();
        gravest.map_or(0, RefusalKind::exit_code)
    }

    /// The steps that will run, in order.
    pub fn steps(&self) -> &'static [Step] {
        &Step::ALL
    }

    /// `1.1.0 → 1.3.2`, or what else it does.
    pub fn what(&self) -> String {
        match &self.aim {
            Aim::Upgrade(release) => format!("{} → {}", self.app.version, release.version),
            Aim::Restore(PlannedRestore { undoes: Some(number), .. }) => {
                format!("rollback of T{number}")
            }
            Aim::Restore(restore) => format!("restore of {}", &restore.snapshot.to_string()[..6]),
        }
    }
}

/// The first path that only one of two lists has, or that was seen otherwise.
fn first_moved<T>(
    before: &[T],
    now: &[T],
    look: impl Fn(&T) -> (&PathText, (Option<Fate>, Seen)),
) -> Option<String> {
    let (mut before, mut now) = (before.iter().map(&look), now.iter().map(&look));
    loop {
        match (before.next(), now.next()) {
            (None, None) => return None,
            (was, is) if was == is => {}
            (was, is) => {
                let path = was.into_iter().chain(is).map(|(path, _)| path).min()?;
                return Some(format!("{} changed", path.0));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
