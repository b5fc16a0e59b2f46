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

mod choose;
mod copy;
mod marks;
mod purge;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

pub use choose::Thrift;
use choose::{PackTally, Why, choose};
use copy::Copier;
use marks::{Marked, Marks};

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

/// What a prune is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Packs there are.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Of these, chunks that are needed.
    pub kept_chunks: u64,
    /// Packs in which nothing is needed.
    pub unneeded_packs: u64,
    /// Their bytes.
    pub unneeded_bytes: u64,
    /// Packs whose needed part is written anew, because much of them is not needed.
    pub sparse_packs: u64,
    /// The same, because the newest snapshots are scattered in them.
    pub scattered_packs: u64,
    /// The same, because they are small.
    pub small_packs: u64,
    /// The same, because an earlier prune condemned them.
    pub condemned_packs: u64,
    /// Bytes of the packs that are written anew.
    pub rewritten_bytes: u64,
    /// What will be free then, roughly.
    pub freed_bytes: u64,
    /// Packs that an earlier prune condemned and that somebody may still rely on.
    pub awaited_packs: u64,
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
            PruneMode::Write => Some(self.begin_alone(WriteOptions::default())?),
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
        self.marks = Some(marks.map_err(|error| inner.index_error(error))?);
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
        let marks = marks_of(&mut self.marks);
        let mut tallies = marks.tally().map_err(|error| inner.index_error(error))?;
        for tally in &mut tallies {
            let Some(id) = &tally.id else { continue };
            tally.stored_bytes = self.sizes.get(id).copied().unwrap_or(0);
            tally.is_awaited = condemn(&self.awaited, id);
            tally.is_forced = !tally.is_awaited && condemn(&self.ready, id);
        }
        let sizes = inner.config.sizes;
        let small = |class: PackClass| {
            u64::from(match class {
                PackClass::Data => sizes.data_pack_bytes,
                PackClass::Metadata => sizes.metadata_pack_bytes,
            }) / 8
        };
        let chosen = choose(&tallies, thrift, &small);
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
        self.rewritten.sort_by_key(|pack| marks.first_needed(*pack));
        let is_new = |id: &&ObjectId| !condemn(&self.awaited, id) && !condemn(&self.ready, id);
        // Whoever is at work may be about to name them in the index.
        let may_be_litter = self.is_alone || self.writer.is_none();
        for id in self.unindexed.iter().filter(|id| may_be_litter && is_new(id)) {
            let bytes = self.sizes.get(id).copied().unwrap_or(0);
            plan.unneeded_packs += 1;
            plan.unneeded_bytes += bytes;
            plan.freed_bytes += bytes;
            self.given_up.packs.push(*id);
        }
        plan.packs = self.sizes.len() as u64;
        plan.bytes = self.sizes.values().sum();
        reach(CrashPoint::PruneMarked);
        Ok(plan)
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
        Copier::new(&self.repository.inner, writer, marks, monitor).copy(&self.rewritten)
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

fn planned(tallies: &[PackTally], chosen: &[(usize, Why)]) -> PrunePlan {
    let mut plan = PrunePlan {
        chunks: tallies.iter().map(|one| one.chunks).sum(),
        kept_chunks: tallies.iter().map(|one| one.kept_chunks).sum(),
        awaited_packs: tallies.iter().filter(|one| one.is_awaited).count() as u64,
        ..PrunePlan::default()
    };
    for (number, why) in chosen {
        let tally = &tallies[*number];
        match why {
            Why::Unneeded => plan.unneeded_packs += u64::from(tally.stored_bytes > 0),
            Why::Condemned => plan.condemned_packs += 1,
            Why::Sparse => plan.sparse_packs += 1,
            Why::Scattered => plan.scattered_packs += 1,
            Why::Small => plan.small_packs += 1,
        }
        if *why == Why::Unneeded {
            plan.unneeded_bytes += tally.stored_bytes;
            plan.freed_bytes += tally.stored_bytes;
        } else {
            plan.rewritten_bytes += tally.stored_bytes;
            plan.freed_bytes += tally.dead_stored();
        }
    }
    plan
}
