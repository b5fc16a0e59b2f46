//! Whether all that a snapshot needs is in the repository, and sound as far as a check knows.

use std::collections::HashSet;

use super::{Snapshot, SnapshotError};
use crate::database::state;
use crate::repository::{CheckReport, ChunkId, Repository, Stored};
use crate::tree::{Kind, read};

/// Asks for what several snapshots need, each thing once.
#[derive(Debug, Default)]
pub struct Needs {
    seen: HashSet<ChunkId>,
}

/// One snapshot under examination.
struct Asking<'a> {
    repository: &'a Repository,
    report: &'a mut CheckReport,
    by: String,
    /// Everything that was asked for is there.
    whole: bool,
}

impl Needs {
    /// Adds to `report` what `snapshot` needs and cannot have; whether it has everything.
    ///
    /// What an earlier snapshot asked for is not asked again: only `report` then tells.
    pub fn ask(
        &mut self,
        repository: &Repository,
        snapshot: &Snapshot,
        report: &mut CheckReport,
    ) -> Result<bool, SnapshotError> {
        let by = format!("snapshot {}", snapshot.id.short());
        let mut asking = Asking { repository, report, by, whole: true };
        for root in &snapshot.roots {
            asking.kind(self, &root.entry.kind)?;
        }
        asking.content(self, &snapshot.annex)?;
        for (_, content) in &snapshot.attachments {
            asking.content(self, content)?;
        }
        for database in &snapshot.databases {
            state::needs(repository, &database.state, &mut |id| {
                asking.chunk(self, id).map_err(Into::into)
            })?;
        }
        Ok(asking.whole)
    }
}

impl Asking<'_> {
    /// Whether the chunk is there, sound, and not asked for before.
    fn chunk(
        &mut self,
        needs: &mut Needs,
        id: &ChunkId,
    ) -> Result<bool, crate::repository::RepositoryError> {
        if !needs.seen.insert(*id) {
            return Ok(false);
        }
        let is_there = self.report.need(self.repository, id, &self.by)?;
        self.whole &= is_there;
        Ok(is_there)
    }

    /// Everything that an entry leads to. A tree may be deeper than the stack.
    fn kind(&mut self, needs: &mut Needs, kind: &Kind) -> Result<(), SnapshotError> {
        let mut open = vec![kind.clone()];
        while let Some(kind) = open.pop() {
            match kind {
                Kind::File { content, .. } => self.content(needs, &content)?,
                Kind::Directory { object } if self.chunk(needs, &object)? => {
                    let entries = read::read_dir(self.repository, &object)?;
                    open.extend(entries.into_iter().map(|entry| entry.kind));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn content(&mut self, needs: &mut Needs, content: &Stored) -> Result<(), SnapshotError> {
        match content {
            Stored::Empty => Ok(()),
            Stored::Chunk(id) => self.chunk(needs, id).map(drop).map_err(Into::into),
            Stored::List(id) => {
                if self.chunk(needs, id)? {
                    for piece in self.repository.pieces(content) {
                        self.chunk(needs, &piece?.id)?;
                    }
                }
                Ok(())
            }
        }
    }
}
