//! Every chunk that a snapshot leads to.

use super::{Snapshot, SnapshotError};
use crate::database::state;
use crate::repository::{ChunkId, Repository, RepositoryError, Stored};
use crate::tree::Kind;
use crate::tree::read::DirEntries;

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

/// A tree may be deeper than the stack, and a directory larger than memory.
fn tree(repository: &Repository, root: &Kind, ask: &mut Ask<'_>) -> Result<(), SnapshotError> {
    let mut open = Vec::new();
    let mut next = Some(root.clone());
    loop {
        match next.take() {
            Some(Kind::File { content: stored, .. }) => content(repository, &stored, ask)?,
            Some(Kind::Directory { object }) if ask(&object)? => {
                open.push(DirEntries::of(repository, &object)?);
            }
            _ => {}
        }
        let Some(entries) = open.last_mut() else { return Ok(()) };
        match entries.next_new(&mut |id| ask(id).map_err(Into::into))? {
            Some(entry) => next = Some(entry.kind),
            None => drop(open.pop()),
        }
    }
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
