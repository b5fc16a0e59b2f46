//! Every chunk that snapshots lead to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::Scope;
use rayon::prelude::*;

use super::{Snapshot, SnapshotError};
use crate::database::state;
use crate::repository::{ChunkId, Repository, RepositoryError, Stored};
use crate::tree::Kind;
use crate::tree::read::DirEntries;

/// What is asked of each chunk, by several threads; what `false` is said of is not looked into.
pub(super) type Ask<'a> = dyn Fn(&ChunkId) -> Result<bool, RepositoryError> + Sync + 'a;

/// So many directories wait for each thread to take them; the others are walked by whoever met them.
const WAITING_MAX: usize = 4;

/// A walk under way, by all cores. Each of several threads that meet a directory asks; the one that
/// is told to looks into it.
struct Walk<'a> {
    repository: &'a Repository,
    ask: &'a Ask<'a>,
    waiting: AtomicUsize,
    has_failed: AtomicBool,
    /// Of the snapshots that cannot be walked, the one that comes first.
    failed: Mutex<Option<(usize, SnapshotError)>>,
}

/// Names every chunk that `snapshots` lead to, each tree roughly in the order of a restore. A chunk
/// may be named several times.
pub(super) fn reach(
    repository: &Repository,
    snapshots: &[&Snapshot],
    ask: &Ask<'_>,
) -> Result<(), SnapshotError> {
    let walk = Walk {
        repository,
        ask,
        waiting: AtomicUsize::new(0),
        has_failed: AtomicBool::new(false),
        failed: Mutex::default(),
    };
    rayon::scope(|scope| {
        snapshots.par_iter().enumerate().for_each(|(number, snapshot)| {
            walk.note(number, walk.snapshot(scope, number, snapshot));
        });
    });
    match walk.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(()),
        Some((number, error)) => {
            let id = snapshots[number].id;
            Err(SnapshotError::Incomplete { id, source: Box::new(error) })
        }
    }
}

impl Walk<'_> {
    fn note(&self, number: usize, done: Result<(), SnapshotError>) {
        let Err(error) = done else { return };
        self.has_failed.store(true, Ordering::Relaxed);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.as_ref().is_none_or(|(first, _)| number < *first) {
            *failed = Some((number, error));
        }
    }

    fn snapshot<'s>(
        &'s self,
        scope: &Scope<'s>,
        number: usize,
        snapshot: &Snapshot,
    ) -> Result<(), SnapshotError> {
        for root in &snapshot.roots {
            match &root.entry.kind {
                Kind::File { content: stored, .. } => content(self.repository, stored, self.ask)?,
                Kind::Directory { object } if (self.ask)(object)? => {
                    self.directory(scope, number, object)?;
                }
                _ => {}
            }
        }
        content(self.repository, &snapshot.annex, self.ask)?;
        for (_, attached) in &snapshot.attachments {
            content(self.repository, attached, self.ask)?;
        }
        for database in &snapshot.databases {
            let ask = &mut |id: &ChunkId| (self.ask)(id).map_err(Into::into);
            state::needs(self.repository, &database.state, ask)?;
        }
        Ok(())
    }

    /// Looks into a directory. A tree may be deeper than the stack, and a directory larger than
    /// memory.
    fn directory<'s>(
        &'s self,
        scope: &Scope<'s>,
        number: usize,
        object: &ChunkId,
    ) -> Result<(), SnapshotError> {
        let mut open = vec![DirEntries::of(self.repository, object)?];
        while let Some(entries) = open.last_mut() {
            if self.has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let next = entries.next_new(&mut |id| (self.ask)(id).map_err(Into::into))?;
            match next.map(|entry| entry.kind) {
                Some(Kind::File { content: stored, .. }) => {
                    content(self.repository, &stored, self.ask)?;
                }
                Some(Kind::Directory { object }) if (self.ask)(&object)? => {
                    if !self.hand_over(scope, number, object) {
                        open.push(DirEntries::of(self.repository, &object)?);
                    }
                }
                Some(_) => {}
                None => drop(open.pop()),
            }
        }
        Ok(())
    }

    /// Leaves a directory to whichever thread is free, unless enough wait already.
    fn hand_over<'s>(&'s self, scope: &Scope<'s>, number: usize, object: ChunkId) -> bool {
        let threads = rayon::current_num_threads();
        let is_enough = self.waiting.load(Ordering::Relaxed) >= WAITING_MAX * threads;
        if threads == 1 || is_enough {
            return false;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        scope.spawn(move |scope| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.note(number, self.directory(scope, number, &object));
        });
        true
    }
}

fn content(repository: &Repository, stored: &Stored, ask: &Ask<'_>) -> Result<(), SnapshotError> {
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
