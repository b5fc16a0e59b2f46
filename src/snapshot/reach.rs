//! Every chunk that a snapshot leads to.

use super::{Snapshot, SnapshotError};
use crate::database::state;
use crate::repository::{ChunkId, Repository, RepositoryError, Stored};
use crate::tree::{Kind, read};

/// What is asked of each chunk; what `false` is said of is not looked into.
pub(super) type Ask<'a> = dyn FnMut(&ChunkId) -> Result<bool, RepositoryError> + 'a;

/// Names every chunk that `snapshot` leads to, trees in the order of a restore. A chunk may be named
/// several times.
pub(super) fn reach(
    repository: &Repository,
    snapshot: &Snapshot,
    ask: &mut Ask<'_>,
) -> Result<(), SnapshotError> {
    for root in &snapshot.roots {
        tree(repository, &root.entry.kind, ask)?;
    }
    content(repository, &snapshot.annex, ask)?;
    for (_, attached) in &snapshot.attachments {
        content(repository, attached, ask)?;
    }
    for database in &snapshot.databases {
        state::needs(repository, &database.state, &mut |id| ask(id).map_err(Into::into))?;
    }
    Ok(())
}

/// A tree may be deeper than the stack.
fn tree(repository: &Repository, root: &Kind, ask: &mut Ask<'_>) -> Result<(), SnapshotError> {
    let mut open = vec![root.clone()];
    while let Some(kind) = open.pop() {
        match kind {
            Kind::File { content: stored, .. } => content(repository, &stored, ask)?,
            Kind::Directory { object } if ask(&object)? => {
                let is_new = &mut |id: &ChunkId| ask(id).map_err(Into::into);
                let entries = read::read_new(repository, &object, is_new)?;
                open.extend(entries.into_iter().rev().map(|entry| entry.kind));
            }
            _ => {}
        }
    }
    Ok(())
}

fn content(
    repository: &Repository,
    stored: &Stored,
    ask: &mut Ask<'_>,
) -> Result<(), SnapshotError> {
    match stored {
        Stored::Empty => Ok(()),
        Stored::Chunk(id) => Ok(ask(id).map(drop)?),
        Stored::List(id) => {
            let mut open = vec![*id];
            while let Some(list) = open.pop() {
                if !ask(&list)? {
                    continue;
                }
                let (level, pieces) = repository.list_of(&list)?;
                if level > 0 {
                    open.extend(pieces.iter().rev().map(|piece| piece.id));
                } else {
                    for piece in pieces {
                        ask(&piece.id)?;
                    }
                }
            }
            Ok(())
        }
    }
}
