//! Making room, beside writers that work on.
//!
//! ```text
//! lease, exclusive of other prunes; who else works here?
//! caller: which snapshots are wanted? then we: which packs are there, what does the index say?
//! caller: marks all that the wanted ones need; anything missing ends it
//! copy what is needed of the chosen packs to new ones; sync; publish their segments
//! condemn the chosen packs: to new writers they are absent, readers still use them
//! once nobody is left who began before: caller marks what snapshots since then need;
//!     copy what of it is condemned; purge
//! ```
//! A condemned pack is never taken back: what of it is needed after all is copied, and it goes. So
//! a prune that was stopped for long and wakes up deletes nothing that another has come to rely on.

mod bases;
mod carry_out;
mod choose;
mod copy;
mod decide;
mod groups;
mod marks;
mod plan;
mod purge;
mod segments;

use std::collections::{HashMap, HashSet};

use bases::Builders;
pub use choose::Thrift;
use marks::{Marked, Marks};
pub use plan::PrunePlan;

use super::condemned::{self, Condemned, GivenUp};
use super::error::RepositoryError;
use super::id::{ChunkId, ObjectId};
use super::object::ObjectKind;
use super::record::RecordKind;
use super::repository::Repository;
use super::run::{WriteOptions, Writer};

/// Whether a prune only says what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneMode {
    /// Say what would be done: nothing is written, not even a lease.
    DryRun,
    /// Do it.
    Write,
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Packs that were deleted.
    pub packs_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Bytes of the packs written anew.
    pub bytes_written: u64,
    /// Index segments that were deleted.
    pub segments_removed: u64,
    /// Snapshots that are gone for good.
    pub snapshots_removed: u64,
    /// What was condemned waits for the next prune: somebody works who began before.
    pub is_awaiting: bool,
}

/// A prune under way.
pub struct Pruner<'a> {
    repository: &'a Repository,
    /// Holds the lease; `None` in a dry run.
    writer: Option<Writer<'a>>,
    /// Nobody but us was at work when it began.
    is_alone: bool,
    /// Records of earlier prunes that can be purged.
    ready: Vec<Condemned>,
    /// Those that cannot yet.
    awaited: Vec<Condemned>,
    /// The one that this prune writes.
    own: Option<Condemned>,
    sizes: HashMap<ObjectId, u64>,
    /// Packs that no segment names.
    unindexed: Vec<ObjectId>,
    marks: Option<Marks>,
    builders: Builders,
    /// The chosen packs of which something is needed, by their number in the index.
    rewritten: Vec<u32>,
    given_up: GivenUp,
    pruned: Pruned,
}

impl Repository {
    /// Begins a prune. What the caller lists after this, it may rely on.
    pub fn begin_prune(&self, mode: PruneMode) -> Result<Pruner<'_>, RepositoryError> {
        let writer = match mode {
            PruneMode::DryRun => None,
            PruneMode::Write => {
                self.inner.give_reserve_back();
                Some(self.begin_alone(WriteOptions::default())?)
            }
        };
        let records = condemned::read_all(&self.inner)?;
        let others = match &writer {
            None => Vec::new(),
            Some(writer) => writer.with_lease(|lease| lease.others(&self.inner))?,
        };
        // Before anybody lists snapshots: whoever is gone by now has committed, or never will.
        let is_ready = |record: &Condemned| {
            others.iter().all(|holder| holder.generation() >= record.generation)
        };
        let (ready, awaited) = records.into_iter().partition(is_ready);
        Ok(Pruner {
            repository: self,
            is_alone: writer.is_some() && others.is_empty(),
            writer,
            ready,
            awaited,
            own: None,
            sizes: HashMap::new(),
            unindexed: Vec::new(),
            marks: None,
            builders: Builders::default(),
            rewritten: Vec::new(),
            given_up: GivenUp::default(),
            pruned: Pruned::default(),
        })
    }
}

impl Pruner<'_> {
    /// Whether nobody else was at work when it began: then marks of what never came are litter.
    pub const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Removes pins and tombstones of snapshots that are not there and that nobody can bring.
    pub fn drop_stray_marks(
        &self,
        exists: &dyn Fn(&ObjectId) -> bool,
    ) -> Result<(), RepositoryError> {
        if !self.is_alone {
            return Ok(());
        }
        for kind in [RecordKind::Pin, RecordKind::Forgotten] {
            let marks = self.repository.marks(kind)?;
            purge::remove_marks(self.repository, kind, &marks, &|mark| !exists(&mark.snapshot))?;
        }
        Ok(())
    }

    /// Looks at packs and index, and forgets all marks. Called after snapshots were listed: what a
    /// listed snapshot needs is then in the index.
    pub fn begin_marks(&mut self) -> Result<(), RepositoryError> {
        // One of the two must go before the other is made: they are as large as the index.
        self.marks = None;
        let inner = &self.repository.inner;
        let index = inner.refresh_index()?;
        if let Some(damaged) = inner.damaged_segments().into_iter().next() {
            return Err(RepositoryError::UnsoundIndex { what: damaged });
        }
        self.sizes.clear();
        self.unindexed.clear();
        let mut listed = HashSet::new();
        for name in inner.backend.list(ObjectKind::Pack)? {
            let Some(id) = ObjectId::parse(&name) else { continue };
            let Some(bytes) = inner.backend.stat(ObjectKind::Pack, &name)? else { continue };
            listed.insert(id);
            self.sizes.insert(id, bytes);
            if index.number_of(&id).is_none() {
                self.unindexed.push(id);
            }
        }
        let records = self.ready.iter().chain(&self.awaited).chain(&self.own);
        let avoided: HashSet<ObjectId> = records.flat_map(|one| one.packs.clone()).collect();
        let marks = Marks::new(index, &listed, &avoided);
        let mut marks = marks.map_err(|error| inner.index_error(error))?;
        self.builders = Builders::find(inner, &listed, &mut marks)?;
        self.marks = Some(marks);
        Ok(())
    }

    /// Marks a chunk as needed; `hot` by one of the newest snapshots. Whether it was not before.
    pub fn mark(&self, id: &ChunkId, hot: bool) -> Result<bool, RepositoryError> {
        let inner = &self.repository.inner;
        let marked = self.marks().mark(id, hot);
        match marked.map_err(|error| inner.index_error(error))? {
            Marked::New => Ok(true),
            Marked::Known => Ok(false),
            Marked::Missing => Err(RepositoryError::MissingChunk { id: *id }),
        }
    }

    /// Before [`Self::begin_marks`] nothing can be marked: a caller that does has a bug.
    fn marks(&self) -> &Marks {
        self.marks.as_ref().expect("marks were begun before")
    }
}

fn condemn(records: &[Condemned], pack: &ObjectId) -> bool {
    records.iter().any(|record| record.packs.contains(pack))
}
