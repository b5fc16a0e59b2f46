//! What snapshots hold, what each of them added, and what of the repository nobody needs.

use super::SnapshotError;
use super::record::Snapshot;
use crate::database::visit_chunks;
use crate::repository::{ChunkId, ObjectId, Repository, RepositoryError, Seen, Stored, Usage};
use crate::tree::Kind;
use crate::tree::read::{self, DirEntries};

/// What one snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The snapshot.
    pub id: ObjectId,
    /// What a restore writes: files and rows.
    pub restore_bytes: u64,
    /// Plain bytes of the chunks that no earlier snapshot needs.
    pub added_bytes: u64,
}

/// What all of them hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Each snapshot, the oldest first.
    pub shares: Vec<Share>,
    /// Plain bytes of everything that some snapshot needs, each chunk once.
    pub unique_bytes: u64,
    /// How the repository's own bytes are used.
    pub usage: Usage,
}

/// Visits everything that `snapshots` need, which come with the oldest first.
pub fn stats(repository: &Repository, snapshots: &[Snapshot]) -> Result<Stats, SnapshotError> {
    let mut met = Met { repository, seen: repository.nothing_seen()?, added: 0 };
    let mut stats = Stats::default();
    for snapshot in snapshots {
        met.added = 0;
        met.snapshot(snapshot)?;
        let rows: u64 = snapshot.databases.iter().map(|database| database.bytes).sum();
        stats.unique_bytes += met.added;
        stats.shares.push(Share {
            id: snapshot.id,
            restore_bytes: snapshot.counts.bytes + rows,
            added_bytes: met.added,
        });
    }
    stats.usage = repository.usage(&met.seen)?;
    Ok(stats)
}

/// Chunks that were met, and the bytes of those that one snapshot added.
struct Met<'a> {
    repository: &'a Repository,
    seen: Seen,
    added: u64,
}

impl Met<'_> {
    /// Notes a chunk; whether it is new.
    fn meet(&mut self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let bytes = self.seen.meet(id)?;
        self.added += bytes.map_or(0, u64::from);
        Ok(bytes.is_some())
    }

    /// A tree may be deeper than the stack, and a directory larger than memory.
    fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let mut open = Vec::new();
        for root in &snapshot.roots {
            self.entry(&root.entry.kind, &mut open)?;
        }
        while let Some(object) = open.pop() {
            for leaf in read::leaves(self.repository, &object)? {
                self.meet(&leaf)?;
            }
            for entry in DirEntries::of(self.repository, &object)? {
                self.entry(&entry?.kind, &mut open)?;
            }
        }
        self.content(&snapshot.annex)?;
        for (_, content) in &snapshot.attachments {
            self.content(content)?;
        }
        for database in &snapshot.databases {
            let repository = self.repository;
            visit_chunks(repository, &database.state, &mut |id| {
                self.meet(id).map(drop).map_err(SnapshotError::from)
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, kind: &Kind, open: &mut Vec<ChunkId>) -> Result<(), SnapshotError> {
        match kind {
            Kind::File { content, .. } => self.content(content)?,
            Kind::Directory { object } if self.meet(object)? => open.push(*object),
            _ => {}
        }
        Ok(())
    }

    fn content(&mut self, content: &Stored) -> Result<(), SnapshotError> {
        match content {
            Stored::Empty => {}
            Stored::Chunk(id) => drop(self.meet(id)?),
            Stored::List(list) => {
                if self.meet(list)? {
                    for piece in self.repository.pieces(content) {
                        self.meet(&piece?.id)?;
                    }
                }
            }
        }
        Ok(())
    }
}
