//! Compares the live roots of a snapshot with what it recorded.

use super::SnapshotError;
use super::live::{LiveDigest, digest_like};
use super::record::Snapshot;
use super::source::{Memory, Source};
use crate::monitor::Monitor;
use crate::repository::Repository;
use crate::tree::Exclusions;

/// What comparing showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The digest that the snapshot recorded.
    pub recorded: [u8; 32],
    /// The live trees.
    pub live: LiveDigest,
}

impl Verification {
    /// Whether the live trees are what was recorded, as far as anybody can say: what could not be
    /// read proves nothing.
    pub fn is_equal(&self) -> bool {
        self.live.problems.is_empty() && self.live.digest == self.recorded
    }

    /// The labels of the roots that differ.
    pub fn different<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a str> {
        let differs = |label: &str, entry: &crate::tree::Entry| {
            let live = self.live.roots.iter().find(|live| live.label == label);
            live.is_none_or(|live| live.entry != *entry)
        };
        let roots = snapshot.roots.iter();
        roots.filter(|root| differs(&root.label, &root.entry)).map(|root| &*root.label).collect()
    }
}

impl Snapshot {
    /// Its roots, to be looked at again: where they were, and with what was left out then.
    pub fn sources(&self) -> Result<Vec<Source>, SnapshotError> {
        let source = |root: &super::Root| {
            Ok(Source {
                label: root.label.clone(),
                path: root.path.clone(),
                exclusions: Exclusions::compile(root.rules.clone())?,
            })
        };
        self.roots.iter().map(source).collect()
    }
}

/// Compares the live roots of `snapshot` with it.
pub fn verify(
    repository: &Repository,
    snapshot: &Snapshot,
    memory: Memory<'_>,
    monitor: &dyn Monitor,
) -> Result<Verification, SnapshotError> {
    let live = digest_like(repository, snapshot, &snapshot.sources()?, memory, monitor)?;
    Ok(Verification { recorded: snapshot.files_digest, live })
}
