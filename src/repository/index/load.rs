//! Loading the index: from the local cache what it has, from the repository the rest.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::cache::{Cache, Kept, MEMORY_BYTES_MAX};
use super::{Bytes, Index, Table, merge};
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::object::ObjectKind;
use crate::repository::repository::Inner;

/// The index of an opened repository, loaded when it is first needed.
pub(in crate::repository) struct Shelf {
    state: RwLock<State>,
    /// Rises whenever the index changes, so that a worker can keep what it was given.
    version: AtomicU64,
    cache_dir: Option<PathBuf>,
}

struct State {
    index: Option<Arc<Index>>,
    /// So much of the index may still be held in memory.
    memory_left: u64,
    /// The segments in it, the damaged ones too.
    covered: BTreeSet<ObjectId>,
    damaged: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        let (covered, damaged) = (BTreeSet::new(), Vec::new());
        Self { index: None, memory_left: MEMORY_BYTES_MAX, covered, damaged }
    }
}

/// Whether every segment that was listed could be had.
enum Fetched {
    All,
    /// One is gone since.
    NotAll,
}

/// Fetched segments are merged when they come to so many bytes.
const FETCHED_BYTES_MAX: usize = 16 << 20;

impl Shelf {
    pub(in crate::repository) fn new(cache_dir: Option<PathBuf>) -> Self {
        Self { state: RwLock::default(), version: AtomicU64::new(0), cache_dir }
    }

    /// Where this machine keeps what it may forget.
    pub(in crate::repository) fn cache_dir(&self) -> Option<&std::path::Path> {
        self.cache_dir.as_deref()
    }

    /// Changes whenever [`Inner::index`] would give another index.
    pub(in crate::repository) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl Inner {
    /// The index. A damaged segment is left out: see [`Inner::damaged_segments`].
    pub(in crate::repository) fn index(&self) -> Result<Arc<Index>, RepositoryError> {
        // A poisoned lock only means that a panicking thread had it; the index in it is whole.
        let state = self.shelf.state.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &state.index {
            return Ok(Arc::clone(index));
        }
        drop(state);
        self.refresh_index()
    }

    /// Adds the segments that were published since the index was loaded, and drops those that were
    /// removed.
    pub(in crate::repository) fn refresh_index(&self) -> Result<Arc<Index>, RepositoryError> {
        loop {
            if let Some(index) = self.refresh_once()? {
                return Ok(index);
            }
        }
    }

    /// `None` if a prune replaced segments while they were read: then the list is old.
    fn refresh_once(&self) -> Result<Option<Arc<Index>>, RepositoryError> {
        let mut state = self.shelf.state.write().unwrap_or_else(PoisonError::into_inner);
        let names = self.backend.list(ObjectKind::Index)?;
        let listed: BTreeSet<ObjectId> =
            names.iter().filter_map(|name| ObjectId::parse(name)).collect();
        let is_current = state.covered.is_subset(&listed);
        let mut index = match state.index.take() {
            Some(index) if is_current => Arc::unwrap_or_clone(index),
            // Segments were replaced: the packs that only they name are about to go, or gone.
            Some(index) => {
                *state = State::default();
                self.load_kept(&mut state, &listed, index.emptied())
            }
            None => self.load_kept(&mut state, &listed, Index::default()),
        };
        let missing: Vec<_> = listed.difference(&state.covered).copied().collect();
        let loaded = self.fetch(&mut state, &mut index, &missing);
        let index = Arc::new(index);
        state.index = Some(Arc::clone(&index));
        self.shelf.version.fetch_add(1, Ordering::Release);
        match loaded? {
            Fetched::All => Ok(Some(index)),
            Fetched::NotAll => Ok(None),
        }
    }

    /// Adds a segment that was just published.
    pub(in crate::repository) fn add_segment(
        &self,
        id: ObjectId,
        table: Table,
    ) -> Result<(), RepositoryError> {
        self.index()?;
        let mut state = self.shelf.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.covered.insert(id) {
            return Ok(());
        }
        let tables = self.keep(vec![(id, table)], &mut state.memory_left);
        if let Some(index) = &mut state.index {
            Arc::make_mut(index).add_all(tables);
        }
        self.shelf.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The index as it is in the repository now, if it was loaded before: what was removed since
    /// must not be relied on.
    pub(in crate::repository) fn renew_index(&self) -> Result<(), RepositoryError> {
        let state = self.shelf.state.read().unwrap_or_else(PoisonError::into_inner);
        let is_loaded = state.index.is_some();
        drop(state);
        if is_loaded { self.refresh_index().map(drop) } else { Ok(()) }
    }

    /// What is wrong with segments that were left out, in one line each.
    pub(in crate::repository) fn damaged_segments(&self) -> Vec<String> {
        self.shelf.state.read().unwrap_or_else(PoisonError::into_inner).damaged.clone()
    }

    /// What the local cache has of the `listed` segments. A cache that fails is no cache.
    fn load_kept(&self, state: &mut State, listed: &BTreeSet<ObjectId>, mut index: Index) -> Index {
        let kept = self.cache().and_then(|cache| {
            let kept = cache.load(listed, &mut state.memory_left).ok()?;
            cache.settle(kept, &mut state.memory_left).ok()
        });
        for Kept { covers, table, .. } in kept.unwrap_or_default() {
            state.covered.extend(covers);
            index.add_all(vec![table]);
        }
        index
    }

    /// Reads segments from the repository, and keeps them locally.
    fn fetch(
        &self,
        state: &mut State,
        index: &mut Index,
        missing: &[ObjectId],
    ) -> Result<Fetched, RepositoryError> {
        let mut all = Fetched::All;
        let mut fetched = Vec::new();
        let mut bytes = 0;
        for id in missing {
            match self.fetch_one(id) {
                Ok((table, length)) => {
                    bytes += length;
                    fetched.push((*id, table));
                }
                // A damaged segment must not keep the sound ones from being used, nor a repair
                // from being made. What only it names is missing, and said to be.
                // A format that is really newer comes with a feature, which was asked for before.
                Err(error @ (RepositoryError::Damaged { .. } | RepositoryError::TooNew { .. })) => {
                    if self.backend.stat(ObjectKind::Index, &id.to_string())?.is_none() {
                        all = Fetched::NotAll;
                    } else {
                        state.damaged.push(error.to_string());
                    }
                }
                Err(error) => return Err(error),
            }
            state.covered.insert(*id);
            if bytes > FETCHED_BYTES_MAX {
                bytes = 0;
                let tables = std::mem::take(&mut fetched);
                index.add_all(self.keep(tables, &mut state.memory_left));
            }
        }
        index.add_all(self.keep(fetched, &mut state.memory_left));
        Ok(all)
    }

    fn fetch_one(&self, id: &ObjectId) -> Result<(Table, usize), RepositoryError> {
        let body = self.get_sealed(ObjectKind::Index, id)?;
        let length = body.len();
        let table = Table::open(Bytes::Memory(body), length as u64)
            .map_err(|error| self.index_error(error))?;
        let table = table.ok_or_else(|| RepositoryError::Damaged {
            object: ObjectKind::Index.named(&id.to_string()),
            what: "its parts do not add up".to_owned(),
        })?;
        Ok((table, length))
    }

    /// Makes one table of several, kept in the cache if there is one that works.
    fn keep(&self, tables: Vec<(ObjectId, Table)>, memory_left: &mut u64) -> Vec<Table> {
        if tables.is_empty() {
            return Vec::new();
        }
        let parts: Vec<&Table> = tables.iter().map(|(_, table)| table).collect();
        let covers = tables.iter().map(|(id, _)| *id).collect();
        let kept =
            self.cache().and_then(|cache| cache.keep(&parts, &covers, memory_left).ok().flatten());
        if let Some(kept) = kept {
            return vec![kept.table];
        }
        if tables.len() > 1
            && let Ok(Some(merged)) = merged_in_memory(&parts)
        {
            return vec![merged];
        }
        tables.into_iter().map(|(_, table)| table).collect()
    }

    fn cache(&self) -> Option<Cache> {
        let dir = self.shelf.cache_dir.as_ref()?;
        let name = &self.id.to_string()[..16];
        Cache::open(dir.join(name).join("index")).ok()
    }
}

fn merged_in_memory(parts: &[&Table]) -> io::Result<Option<Table>> {
    let mut bytes = Vec::new();
    merge::merge(parts, &mut bytes)?;
    let length = bytes.len() as u64;
    Table::open(Bytes::Memory(bytes), length)
}
