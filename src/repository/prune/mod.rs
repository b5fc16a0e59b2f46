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
mod choose;
mod copy;
mod marks;
mod plan;
mod purge;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bases::Builders;
pub use choose::Thrift;
use choose::{PackTally, Why, choose};
use copy::Copier;
use marks::{Marked, Marks};
pub use plan::PrunePlan;
use plan::planned;

use super::condemned::{self, Condemned, GivenUp};
use super::error::RepositoryError;
use super::id::{ChunkId, ObjectId};
use super::lease::Lease;
use super::object::ObjectKind;
use super::pack::PackClass;
use super::record::RecordKind;
use super::repository::Repository;
use super::run::{WriteOptions, Writer};
use crate::monitor::Monitor;
use crate::os::crash::{CrashPoint, reach};

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
    pub fn mark(&mut self, id: &ChunkId, hot: bool) -> Result<bool, RepositoryError> {
        let inner = &self.repository.inner;
        let marked = marks_of(&mut self.marks).mark(id, hot);
        match marked.map_err(|error| inner.index_error(error))? {
            Marked::New => Ok(true),
            Marked::Known => Ok(false),
            Marked::Missing => Err(RepositoryError::MissingChunk { id: *id }),
        }
    }

    /// Chooses packs by what was marked.
    pub fn plan(&mut self, thrift: &Thrift) -> Result<PrunePlan, RepositoryError> {
        let inner = &self.repository.inner;
        self.builders.mark_needed(inner, marks_of(&mut self.marks))?;
        let mut tallies = self.tallies()?;
        let sizes = inner.config.sizes;
        let small = |class: PackClass| {
            u64::from(match class {
                PackClass::Data => sizes.data_pack_bytes,
                PackClass::Metadata => sizes.metadata_pack_bytes,
            }) / 8
        };
        let mut chosen = choose(&tallies, thrift, &small);
        let going: HashSet<ObjectId> =
            chosen.iter().filter_map(|(number, _)| tallies[*number].id).collect();
        let litter = self.litter();
        let going = going.into_iter().chain(litter.iter().copied()).collect();
        if self.builders.mark_staying(inner, marks_of(&mut self.marks), &going)? {
            tallies = self.tallies()?;
            for (number, why) in &mut chosen {
                if *why == Why::Unneeded && tallies[*number].kept_chunks > 0 {
                    *why = Why::Sparse;
                }
            }
        }
        let mut plan = planned(&tallies, &chosen);
        self.rewritten.clear();
        self.given_up = GivenUp::default();
        for (number, why) in &chosen {
            let tally = &tallies[*number];
            let number = u32::try_from(*number).expect("a place has 28 bits for packs");
            if tally.kept_chunks > 0 {
                self.rewritten.push(number);
            }
            if *why != Why::Condemned {
                self.given_up.packs.extend(tally.id);
            }
        }
        let marks = marks_of(&mut self.marks);
        self.rewritten.sort_by_key(|pack| marks.first_needed(*pack));
        for id in litter {
            let bytes = self.sizes.get(&id).copied().unwrap_or(0);
            plan.unneeded_packs += 1;
            plan.unneeded_bytes += bytes;
            plan.freed_bytes += bytes;
            self.given_up.packs.push(id);
        }
        plan.packs = self.sizes.len() as u64;
        plan.bytes = self.sizes.values().sum();
        reach(CrashPoint::PruneMarked);
        Ok(plan)
    }

    fn tallies(&self) -> Result<Vec<PackTally>, RepositoryError> {
        let inner = &self.repository.inner;
        let marks = self.marks.as_ref().expect("marks were made before");
        let mut tallies = marks.tally().map_err(|error| inner.index_error(error))?;
        for tally in &mut tallies {
            let Some(id) = &tally.id else { continue };
            tally.stored_bytes = self.sizes.get(id).copied().unwrap_or(0);
            tally.is_awaited = condemn(&self.awaited, id);
            tally.is_forced = !tally.is_awaited && condemn(&self.ready, id);
        }
        Ok(tallies)
    }

    /// Packs that no segment names and that nobody is about to name in one.
    fn litter(&self) -> Vec<ObjectId> {
        // Whoever is at work may be.
        if !self.is_alone && self.writer.is_some() {
            return Vec::new();
        }
        let is_new = |id: &&ObjectId| !condemn(&self.awaited, id) && !condemn(&self.ready, id);
        self.unindexed.iter().filter(is_new).copied().collect()
    }

    /// Writes anew what is needed of the chosen packs, then condemns them, and the snapshots that
    /// nobody wants. Durable on return.
    pub fn condemn(
        &mut self,
        snapshots: Vec<ObjectId>,
        monitor: &dyn Monitor,
    ) -> Result<(), RepositoryError> {
        self.copy(monitor)?;
        reach(CrashPoint::PruneCopied);
        let mut given_up = std::mem::take(&mut self.given_up);
        given_up.snapshots = snapshots;
        if given_up.packs.is_empty() && given_up.snapshots.is_empty() {
            return Ok(());
        }
        let inner = &self.repository.inner;
        let writer = writer_of(self.writer.as_ref())?;
        let names = inner.backend.list(ObjectKind::Condemned)?;
        let others = writer.with_lease(|lease| lease.others(inner))?;
        let known = others.iter().map(super::lease::Holder::generation).max().unwrap_or(0);
        let generation = condemned::highest(&names).max(known) + 1;
        writer.check_lease()?;
        self.own = Some(condemned::write(inner, generation, &given_up)?);
        reach(CrashPoint::PruneCondemned);
        Ok(())
    }

    fn copy(&self, monitor: &dyn Monitor) -> Result<(), RepositoryError> {
        let writer = writer_of(self.writer.as_ref())?;
        let marks = self.marks.as_ref().expect("marks were made before");
        if self.rewritten.is_empty() {
            return Ok(());
        }
        Copier::new(&self.repository.inner, writer, marks, monitor)
            .copy(&self.rewritten, &self.builders)
    }

    /// Waits until nobody is left who began before the packs were condemned, at most for `limit`.
    /// If that comes about, the caller lists the snapshots again, marks what those that are new
    /// need (after [`Self::begin_marks`]), and calls [`Self::rescue`].
    pub fn wait(&mut self, limit: Duration) -> Result<bool, RepositoryError> {
        let Some(own) = &self.own else { return Ok(false) };
        let (inner, generation) = (&self.repository.inner, own.generation);
        let outlast = |lease: &Lease| lease.outlast(inner, generation, limit);
        let alone = writer_of(self.writer.as_ref())?.with_lease(outlast)?;
        if alone {
            // Earlier ones that were awaited stay for the next prune: what they condemn was not
            // copied, for it was needed where it is.
            self.ready.extend(self.own.take());
        }
        Ok(alone)
    }

    /// Copies what was marked and lies only in condemned packs.
    pub fn rescue(&mut self, monitor: &dyn Monitor) -> Result<(), RepositoryError> {
        let inner = &self.repository.inner;
        let marks = marks_of(&mut self.marks);
        self.builders.mark_needed(inner, marks)?;
        let going = self.ready.iter().flat_map(|record| record.packs.iter().copied()).collect();
        self.builders.mark_staying(inner, marks, &going)?;
        let tallies = marks.tally().map_err(|error| inner.index_error(error))?;
        let is_condemned = |id: &ObjectId| condemn(&self.ready, id);
        self.rewritten = (0_u32..)
            .zip(&tallies)
            .filter(|(_, tally)| {
                tally.kept_chunks > 0 && tally.id.as_ref().is_some_and(is_condemned)
            })
            .map(|(number, _)| number)
            .collect();
        self.copy(monitor)?;
        reach(CrashPoint::PruneRescued);
        Ok(())
    }

    /// Deletes what was condemned, by this prune or an earlier one, and that nobody relies on.
    /// `may_go` says of a snapshot whether it is still unwanted.
    pub fn purge(
        mut self,
        may_go: &dyn Fn(&ObjectId) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Pruned, RepositoryError> {
        let writer = writer_of(self.writer.as_ref())?;
        let ready = std::mem::take(&mut self.ready);
        let mut pruned = std::mem::take(&mut self.pruned);
        if !ready.is_empty() {
            purge::purge(self.repository, writer, &ready, may_go, monitor, &mut pruned)?;
        }
        self.repository.inner.keep_reserve();
        pruned.bytes_written = writer.totals().stored_bytes;
        pruned.is_awaiting = self.own.is_some() || !self.awaited.is_empty();
        Ok(pruned)
    }
}

fn condemn(records: &[Condemned], pack: &ObjectId) -> bool {
    records.iter().any(|record| record.packs.contains(pack))
}

/// Before [`Pruner::begin_marks`] nothing can be marked: a caller that does has a bug.
fn marks_of(marks: &mut Option<Marks>) -> &mut Marks {
    marks.as_mut().expect("marks were begun before")
}

/// A dry run has nothing to write with.
fn writer_of<'w, 'a>(writer: Option<&'w Writer<'a>>) -> Result<&'w Writer<'a>, RepositoryError> {
    writer.ok_or_else(|| RepositoryError::RunFailed { what: "it is a dry run".to_owned() })
}
