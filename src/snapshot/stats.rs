//! What snapshots hold, what each of them added, and what of the repository nobody needs.

use std::collections::HashMap;

use super::SnapshotError;
use super::record::Snapshot;
use crate::database::visit_chunks;
use crate::repository::{ChunkId, ObjectId, Repository, RepositoryError, Stored, Usage};
use crate::tree::{Kind, read};

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
    let mut seen = Seen { repository, lengths: HashMap::new(), added: 0 };
    let mut stats = Stats::default();
    for snapshot in snapshots {
        seen.added = 0;
        seen.snapshot(snapshot)?;
        let rows: u64 = snapshot.databases.iter().map(|database| database.bytes).sum();
        stats.unique_bytes += seen.added;
        stats.shares.push(Share {
            id: snapshot.id,
            restore_bytes: snapshot.counts.bytes + rows,
            added_bytes: seen.added,
        });
    }
    stats.usage = repository.usage(&|id| seen.lengths.contains_key(id))?;
    Ok(stats)
}

/// Chunks that were met, with their lengths.
struct Seen<'a> {
    repository: &'a Repository,
    lengths: HashMap<ChunkId, u32>,
    added: u64,
}

impl Seen<'_> {
    /// Notes a chunk; whether it is new.
    fn meet(&mut self, id: &ChunkId) -> Result<bool, RepositoryError> {
        if self.lengths.contains_key(id) {
            return Ok(false);
        }
        let missing = || RepositoryError::MissingChunk { id: *id };
        let place = self.repository.locate(id)?.ok_or_else(missing)?;
        self.lengths.insert(*id, place.bytes);
        self.added += u64::from(place.bytes);
        Ok(true)
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let mut open: Vec<Kind> =
            snapshot.roots.iter().map(|root| root.entry.kind.clone()).collect();
        while let Some(kind) = open.pop() {
            match kind {
                Kind::File { content, .. } => self.content(&content)?,
                Kind::Directory { object } if self.meet(&object)? => {
                    for leaf in read::leaves(self.repository, &object)? {
                        self.meet(&leaf)?;
                    }
                    let entries = read::read_dir(self.repository, &object)?;
                    open.extend(entries.into_iter().map(|entry| entry.kind));
                }
                _ => {}
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
