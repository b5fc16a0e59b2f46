//! Everything one transaction will do, decided before anything is touched.
//!
//! A plan is a value: it can be shown, stored, and compared with a later one. It holds the fate of
//! each path of the two releases and the profile's rules, never a listing of live files. A stored
//! type: new fields are optional, none is renamed.

use serde::{Deserialize, Serialize};

use super::event::Label;
use super::merge::{Fate, Fates, Typed};
use super::step::Step;
use super::stored::{Digest, PathText};

mod extent;
mod gather;
mod ground;
pub mod judge;
mod parts;
mod restore;
pub mod review;
pub(super) mod texts;

pub use gather::{PlanRequest, Staged, plan};
pub use parts::{
    Aim, PathFate, PathSeen, PathTyped, PendingMigration, PlannedApp, PlannedCommit,
    PlannedDatabase, PlannedRelease, PlannedRestore, PlannedRoot, Question, Refusal, RefusalKind,
    Review, Seen, Space,
};
pub use restore::{RestoreRequest, plan_restore};

/// The version of the stored form.
pub const FORMAT: u32 = 1;

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
