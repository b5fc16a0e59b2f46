//! Makes a snapshot of a tree that is stored already, and never was on this machine.

use std::path::PathBuf;

use super::SnapshotError;
use super::digest::files_digest;
use super::list::list;
use super::record::{AppMark, Class, Counts, Root, Snapshot};
use crate::os::{clock, host};
use crate::repository::{ObjectId, Stored, Writer};
use crate::tree::{Entry, ExclusionRules};

/// The label of the one root of such a snapshot.
pub const KEPT_ROOT: &str = "app";

/// What the record of a kept tree says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is of.
    pub mark: AppMark,
    /// Where it came from.
    pub note: String,
    /// How much it holds.
    pub counts: Counts,
}

/// Commits a snapshot whose one root is `root`.
pub fn keep_tree(
    writer: Writer<'_>,
    class: Class,
    root: Entry,
    told: Told,
) -> Result<ObjectId, SnapshotError> {
    let repository = writer.repository().clone();
    let source = format!("{}:{}", class.name(), told.mark.name);
    let host = host::name();
    let earlier = list(&repository)?;
    let same = |other: &&Snapshot| other.host == host && other.source == source;
    let newest = earlier.iter().filter(same).max_by_key(|other| other.sequence);
    let rules = ExclusionRules::default();
    let root = Root { label: KEPT_ROOT.to_owned(), path: PathBuf::from("/"), entry: root, rules };
    let snapshot = Snapshot {
        id: writer.snapshot_id(),
        time: clock::now(),
        host,
        class,
        source,
        sequence: newest.map_or(1, |newest| newest.sequence + 1),
        parent: newest.map(|newest| newest.id),
        app: Some(told.mark),
        files_digest: files_digest(&repository, std::slice::from_ref(&root)),
        roots: vec![root],
        annex: Stored::Empty,
        databases: Vec::new(),
        attachments: Vec::new(),
        counts: told.counts,
        problems: Vec::new(),
        tags: Vec::new(),
        note: Some(told.note),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(writer.commit(&snapshot.encode())?)
}
