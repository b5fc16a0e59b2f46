//! How a transaction ended: it decides the exit code.

use super::UpgradeError;
use super::event::{Cause, Proof, UndoFailed};
use super::journal::Number;

/// How it ended, for the site.
#[derive(Debug)]
pub enum Outcome {
    /// The new content stays.
    Committed(Finished),
    /// The old content is back, and proved.
    RolledBack {
        /// The transaction.
        number: Number,
        /// Why.
        cause: Cause,
        /// The error below it, where this process met it.
        error: Option<Box<UpgradeError>>,
        /// What was compared.
        proof: Proof,
        /// Clean-up that could not be done.
        problems: Vec<String>,
        /// How long the site was shut, where this process knows.
        quiet_ms: Option<u64>,
    },
    /// Nothing of the covered set was changed.
    Untouched {
        /// The transaction, if one was begun.
        number: Number,
        /// Why it ended.
        cause: Cause,
        /// The error below it, where this process met it.
        error: Option<Box<UpgradeError>>,
        /// Clean-up that could not be done.
        problems: Vec<String>,
    },
    /// The rollback, or opening the site again, could not be finished.
    NeedsHands {
        /// The transaction.
        number: Number,
        /// Why it was to be rolled back; `None` if it was not.
        cause: Option<Cause>,
        /// What stopped it.
        failed: UndoFailed,
        /// The error below it.
        error: Option<Box<UpgradeError>>,
        /// The snapshot that holds T0, 64 hex digits.
        safety: Option<String>,
    },
    /// The change failed and is left as it is, shut, because that was asked for.
    Held {
        /// The transaction.
        number: Number,
        /// What failed.
        cause: Cause,
        /// The error below it.
        error: Option<Box<UpgradeError>>,
    },
}

/// A transaction that was committed.
#[derive(Debug)]
pub struct Finished {
    /// The transaction.
    pub number: Number,
    /// Checks that passed.
    pub passed: u32,
    /// What was red before too, or is only reported.
    pub reported: Vec<String>,
    /// Clean-up that could not be done.
    pub problems: Vec<String>,
    /// How long the site was shut, where this process knows.
    pub quiet_ms: Option<u64>,
}

impl Outcome {
    /// The transaction.
    pub const fn number(&self) -> Number {
        match self {
            Self::Committed(finished) => finished.number,
            Self::RolledBack { number, .. }
            | Self::Untouched { number, .. }
            | Self::NeedsHands { number, .. }
            | Self::Held { number, .. } => *number,
        }
    }
}
