//! Loading the index: from the local cache what it has, from the repository the rest.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::cache::{Allowance, Cache, Kept, Scratch};
use super::merge::merge;
use super::table::Sieve;
use super::{Bytes, Index, Table};
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::object::ObjectKind;
use crate::repository::own_place::OwnPlace;
use crate::repository::repository::Inner;

/// The index of an opened repository, loaded when it is first needed.
pub(in crate::repository) struct Shelf {
    state: RwLock<State>,
    /// Rises whenever the index changes, so that a worker can keep what it was given.
    version: AtomicU64,
    cache_dir: Option<PathBuf>,
    /// What this machine keeps of the repository, held as long as we use it.
    place: OnceLock<Option<OwnPlace>>,
    /// Where files without a name may lie, if there is no cache that works.
    scratch_dir: OnceLock<PathBuf>,
}

#[derive(Default)]
struct State {
    index: Option<Arc<Index>>,
    /// What the index is made of.
    kept: Vec<Kept>,
    left: Allowance,
    /// The segments in it, the damaged ones too.
    covered: BTreeSet<ObjectId>,
    damaged: Vec<String>,
}

/// Whether every segment that was listed could be had.
enum Fetched {
    All,
    /// One is gone since.
    NotAll,
}

/// Fetched segments are merged when they come to so many bytes.
const FETCHED_BYTES_MAX: usize = 8 << 20;
/// Without a cache tables are merged up to so many chunks: beyond, the copy costs more memory than
/// another table to ask costs time.
const MEMORY_CHUNKS_MAX: usize = 256 * 1024;
/// So many tables of one size are merged.
const SAME_SIZE_MAX: usize = 4;

impl Shelf {
    pub(in crate::repository) fn new(cache_dir: Option<PathBuf>) -> Self {
        Self {
            state: RwLock::default(),
            version: AtomicU64::new(0),
            cache_dir,
            place: OnceLock::new(),
            scratch_dir: OnceLock::new(),
        }
    }

    /// Without a cache that works, what does not fit into memory may lie in `dir`.
    pub(in crate::repository) fn scratch_in(&self, dir: PathBuf) {
        // Whoever said so first is right.
        let _ = self.scratch_dir.set(dir);
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
        let before = state.index.take();
        if before.is_none() || !is_current {
            // Segments were replaced: the packs that only they name are about to go, or gone.
            *state = State::default();
            self.load_kept(&mut state, &listed);
        }
        let missing: Vec<_> = listed.difference(&state.covered).copied().collect();
        let loaded = self.fetch(&mut state, &missing);
        let index = before.unwrap_or_default();
        let index = Arc::new(index.over(state.kept.iter().map(|kept| Arc::clone(&kept.table))));
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
        let index = self.index()?;
        let mut state = self.shelf.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.covered.insert(id) {
            return Ok(());
        }
        self.keep(&mut state, vec![(id, table)]);
        self.settle(&mut state);
        let index = state.index.take().unwrap_or(index);
        let tables = state.kept.iter().map(|kept| Arc::clone(&kept.table));
        state.index = Some(Arc::new(index.over(tables)));
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
    fn load_kept(&self, state: &mut State, listed: &BTreeSet<ObjectId>) {
        let mut left = state.left;
        let kept = self.cache().and_then(|cache| cache.load(listed, &mut left).ok());
        if let Some(kept) = kept {
            state.left = left;
            state.covered.extend(kept.iter().flat_map(|kept| kept.covers.iter().copied()));
            state.kept = kept;
        }
    }

    /// Reads segments from the repository, and keeps them locally.
    fn fetch(&self, state: &mut State, missing: &[ObjectId]) -> Result<Fetched, RepositoryError> {
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
                self.keep(state, std::mem::take(&mut fetched));
                self.settle(state);
            }
        }
        self.keep(state, fetched);
        self.settle(state);
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
    fn keep(&self, state: &mut State, tables: Vec<(ObjectId, Table)>) {
        if tables.is_empty() {
            return;
        }
        let parts: Vec<&Table> = tables.iter().map(|(_, table)| table).collect();
        let covers: BTreeSet<_> = tables.iter().map(|(id, _)| *id).collect();
        let left = &mut state.left;
        let kept = self.cache().and_then(|cache| cache.keep(&parts, &covers, left).ok().flatten());
        let kept = kept.or_else(|| self.scratch().keep(&parts, &covers, left));
        if let Some(kept) = kept {
            state.kept.push(kept);
        } else if let Ok(Some(merged)) = merged_in_memory(&parts) {
            state.kept.push(Kept::in_memory(covers, merged));
        } else {
            let alone = |(id, table)| Kept::in_memory(BTreeSet::from([id]), table);
            state.kept.extend(tables.into_iter().map(alone));
        }
    }

    /// Merges tables of one size while there are too many of it, so that few are to be asked. If
    /// that fails, they stay as they are.
    fn settle(&self, state: &mut State) {
        loop {
            state.kept.sort_by_key(|kept| kept.table.chunks);
            let level = |kept: &Kept| kept.table.chunks.max(1).ilog2() / 2;
            let crowded = state
                .kept
                .windows(SAME_SIZE_MAX)
                .position(|same| level(&same[0]) == level(&same[SAME_SIZE_MAX - 1]));
            let Some(first) = crowded else { return };
            let many: Vec<Kept> = state.kept.drain(first..first + SAME_SIZE_MAX).collect();
            let left = &mut state.left;
            let merged = self.cache().and_then(|cache| cache.merge(&many, left).ok().flatten());
            let merged = merged.or_else(|| self.scratch().merge(&many, left));
            let merged = merged.or_else(|| together(&many));
            let Some(merged) = merged else {
                state.kept.extend(many);
                return;
            };
            state.kept.push(merged);
        }
    }

    fn cache(&self) -> Option<Cache> {
        Cache::open(self.own_place()?.dir().join("index")).ok()
    }

    fn own_place(&self) -> Option<&OwnPlace> {
        let dir = self.shelf.cache_dir.as_ref()?;
        self.shelf.place.get_or_init(|| OwnPlace::open(dir, &self.id)).as_ref()
    }

    /// Whoever opens the repository uses what this machine keeps of it, be it only later.
    pub(in crate::repository) fn note_use(&self) {
        let dir = self.shelf.cache_dir.as_ref();
        if dir.is_some_and(|dir| OwnPlace::path(dir, &self.id).is_dir()) {
            self.own_place();
        }
    }

    /// Where tables lie that there is no cache for: on the disk of a local repository, else where
    /// we were told, else where scratch usually lies.
    fn scratch(&self) -> Scratch {
        let own = self.backend.traits().is_local.then(|| self.location.clone());
        let told = self.shelf.scratch_dir.get().cloned();
        let usual = ["/var/tmp", "/tmp"].map(PathBuf::from);
        Scratch::in_any(own.into_iter().chain(told).chain(usual))
    }
}

fn merged_in_memory(parts: &[&Table]) -> io::Result<Option<Table>> {
    let mut bytes = Vec::new();
    let filter = merge(parts, &mut bytes)?;
    let length = bytes.len() as u64;
    let table = Table::open(Bytes::Memory(bytes), length)?;
    Ok(table.map(|table| table.sifted(Sieve::Memory(filter))))
}

/// Several tables as one in memory, unless they are large.
fn together(many: &[Kept]) -> Option<Kept> {
    let tables: Vec<&Table> = many.iter().map(|kept| &*kept.table).collect();
    if tables.iter().map(|table| table.chunks).sum::<usize>() > MEMORY_CHUNKS_MAX {
        return None;
    }
    let covers = many.iter().flat_map(|kept| kept.covers.iter().copied()).collect();
    merged_in_memory(&tables).ok().flatten().map(|table| Kept::in_memory(covers, table))
}
