//! What a transaction stands on: where its records go, what it may use, who listens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::monitor::Monitor;
use crate::os::process::Trampoline;
use crate::repository::Repository;

use super::signals::Signals;

/// See [`Ground::reserve`].
pub(super) const RESERVE_BYTES: u64 = 8 << 20;

/// What every command of this module needs, whichever repository it works with.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The journal, transcripts and locks: on a local file system, 0700.
    pub state_dir: &'a Path,
    /// Stat caches, opened index segments. Losing it costs time only.
    pub cache_dir: &'a Path,
    /// Tells one machine from its clones.
    pub machine_id: &'a str,
    /// Who typed the command.
    pub user: &'a str,
    /// What was typed, answers and secrets left out.
    pub argv: &'a [String],
    /// Hears how it goes.
    pub monitor: &'a dyn Monitor,
    /// What somebody outside wants.
    pub signals: &'a Signals,
    /// How children are started.
    pub trampoline: &'a Trampoline,
    /// How long a missing database, repository or key is waited for.
    pub wait: Duration,
}

/// The same with an open repository.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where snapshots go.
    pub repository: &'a Repository,
    /// The machine key file that opens it, if there is one: recovery at boot needs it.
    pub key_file: Option<&'a Path>,
    /// Everything else.
    pub ground: Ground<'a>,
}

impl Ground<'_> {
    /// Where images of databases are built: on the disk of the journal, for its owner only.
    pub(super) fn scratch_dir(&self) -> PathBuf {
        self.state_dir.join("scratch")
    }

    /// Room that is given back before the first event of an undo: a full disk must not keep a
    /// rollback from being recorded. SQLite needs some beside its file to change it at all.
    pub(super) fn reserve(&self) -> PathBuf {
        self.state_dir.join("reserve")
    }

    /// Where the files of transaction `number` lie: transcripts, plain copies.
    pub fn directory_of(&self, number: super::Number) -> PathBuf {
        self.state_dir.join(number.to_string())
    }
}
