//! What can go wrong with a transaction, named for what happened.

use std::path::PathBuf;

use crate::app::AppError;
use crate::database::DatabaseError;
use crate::repository::RepositoryError;
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

use super::journal::{JournalError, Number};
use super::merge::{Fate, Unplaceable};
use super::plan::{BadPlan, Refusal};

/// What went wrong. Whether the site was changed is said by [`super::Outcome`], not here.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A snapshot, or a tree on disk.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The application, its commands or its probes.
    #[error(transparent)]
    App(#[from] AppError),
    /// A saved plan cannot be read.
    #[error("cannot read the plan")]
    Plan(#[from] BadPlan),
    /// A release that was imported is not there.
    #[error("there is no release {id}")]
    NoRelease {
        /// Its snapshot, in hex.
        id: String,
    },
    /// The plan would not start.
    #[error("{}", refused(.0))]
    Refused(Vec<Refusal>),
    /// What is there is no longer what the plan was made for.
    #[error("the plan no longer fits: {what}")]
    StalePlan {
        /// What moved.
        what: String,
    },
    /// Somebody else works on the application.
    #[error("{app} is locked by {holder}")]
    Locked {
        /// The application.
        app: String,
        /// Who, since when and in which step, as far as that is known.
        holder: String,
    },
    /// A transaction of the application, or over the same roots, is open.
    #[error("transaction {number} of {app} is not finished")]
    OpenTransaction {
        /// Which.
        number: Number,
        /// Of which application.
        app: String,
    },
    /// Something still writes although the site is shut.
    #[error("{what}")]
    NotQuiet {
        /// Who or what.
        what: String,
    },
    /// A path's fate is another at T0 than it was in the plan.
    #[error("{path} has changed since the plan was made: it was {planned:?}, now it is {now:?}")]
    FateChanged {
        /// The path.
        path: String,
        /// In the plan.
        planned: Option<Fate>,
        /// At T0.
        now: Option<Fate>,
    },
    /// What is wanted cannot be made of what is there.
    #[error(transparent)]
    Unplaceable(#[from] Unplaceable),
    /// The live tree is no longer what the safety snapshot recorded.
    #[error("{path} changed while the site was shut")]
    ChangedUnderQuiesce {
        /// The path.
        path: String,
    },
    /// The safety snapshot misses something: nothing is built on such a one.
    #[error("the safety snapshot is not complete: {what}")]
    PartialSafety {
        /// What could not be read.
        what: String,
    },
    /// The safety snapshot, its pin or what guards it is not there.
    #[error("the way back is not there: {what}")]
    NoWayBack {
        /// What is missing.
        what: String,
    },
    /// A command within the transaction failed: a migration, a hook, a probe.
    #[error("{what} failed")]
    Child {
        /// Which.
        what: String,
        /// How.
        source: crate::app::hook::Failure,
    },
    /// The migrator of numbered SQL files knows SQLite only.
    #[error("database {database} is no SQLite file, and its SQL files cannot be applied by snap")]
    NoMigrator {
        /// Its name in the profile.
        database: String,
    },
    /// Processes that the transaction started could not be ended: nothing is undone beside them.
    #[error("what the migration left behind still runs")]
    Outlived(#[source] crate::os::process::Outlived),
    /// What was upgraded is not what was wanted.
    #[error("{} failed", checks(.failed))]
    VerifyFailed {
        /// Each check that failed, in one line.
        failed: Vec<String>,
    },
    /// Somebody asked to stop.
    #[error("stopped by signal {signal}")]
    Stopped {
        /// Its number.
        signal: i32,
    },
    /// A bug of ours: a panic was caught.
    #[error("a worker panicked: {what}")]
    Panicked {
        /// Its message.
        what: String,
    },
    /// After the rollback something still differs from T0.
    #[error("after the rollback {what} differs from what it was")]
    ProofFailed {
        /// What differs.
        what: String,
    },
    /// The transaction began on another machine.
    #[error("transaction {number} was begun on another machine")]
    OtherMachine {
        /// Which.
        number: Number,
    },
    /// A database is another one than the plan was made for.
    #[error("database {name} is now {now}, not {planned}")]
    OtherServer {
        /// Its name in the snapshot.
        name: String,
        /// At the time of the plan.
        planned: String,
        /// Now.
        now: String,
    },
    /// A transaction that cannot be taken back.
    #[error("transaction {number} cannot be taken back: {why}")]
    NotUndoable {
        /// Which.
        number: Number,
        /// Why.
        why: String,
    },
    /// Waiting for a repository or its key came to its end.
    #[error("{what} could not be opened within {waited_s} s")]
    StillMissing {
        /// What is missing, and where it should be.
        what: String,
        /// How long was waited.
        waited_s: u64,
        /// What was said last.
        source: RepositoryError,
    },
    /// Maintenance or a service could not be put back.
    #[error("the site could not be opened again")]
    NotReopened(#[source] AppError),
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// Said after "cannot".
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn refused(refusals: &[Refusal]) -> String {
    match refusals {
        [] => "refused".to_owned(),
        [one] => one.what.clone(),
        [first, more @ ..] => format!("{}; and {} more", first.what, more.len()),
    }
}

fn checks(failed: &[String]) -> String {
    match failed {
        [one] => one.clone(),
        many => format!("{} checks ({})", many.len(), many.join("; ")),
    }
}

/// An error and what lies below it, each link once, outermost first.
pub fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut links = vec![error.to_string()];
    let mut below = error.source();
    while let Some(error) = below {
        let text = error.to_string();
        if links.last() != Some(&text) {
            links.push(text);
        }
        below = error.source();
    }
    links
}
