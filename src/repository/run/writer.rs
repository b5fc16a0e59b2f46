//! The writer: begins a run, and ends it with a commit.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::bundle::Bundle;
use super::closer::{self, Job};
use super::open_pack::OpenPack;
use super::state::Run;
use crate::repository::error::RepositoryError;
use crate::repository::format::FeatureClass;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::lease::{Hold, Lease};
use crate::repository::object::ObjectKind;
use crate::repository::pack::PackClass;
use crate::repository::repository::Repository;

/// Whether each frame is decoded and hashed before it counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyWrites {
    /// Every frame. Safety snapshots accept nothing less.
    #[default]
    All,
    /// None.
    None,
}

/// How hard a run compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Off,
    /// At this level of zstd, from 1 to 19.
    Level(u8),
}

impl Compression {
    /// The hardest there is.
    pub const LEVEL_MAX: u8 = 19;

    /// As zstd counts it; nothing if it is off.
    pub fn level(self) -> Option<i32> {
        match self {
            Self::Off => None,
            Self::Level(level) => Some(i32::from(level)),
        }
    }
}

impl Default for Compression {
    /// Level 2. The design said 1. Of 110,651 files (908 MiB) of web applications in several
    /// versions levels 1, 2 and 3 stored 0.69, 0.67 and 0.64 of what restic did, in 3.4, 3.4 and 4.0 s
    /// of CPU; of 450 MB of sources 0.77, 0.74 and 0.71, of one PHP application of 51 MB 0.85, 0.82
    /// and 0.80. So 2 costs no more than 1, for memory is moved less, and 3 a fifth more.
    fn default() -> Self {
        Self::Level(2)
    }
}

/// How a run writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// Whether frames are verified as they are written.
    pub verify: VerifyWrites,
    /// How hard frames are compressed.
    pub compression: Compression,
}

/// What a run has added so far. Packs count once they are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Chunks that were not in the repository.
    pub chunks: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Bytes of the packs they are in.
    pub stored_bytes: u64,
    /// Those packs.
    pub packs: u64,
}

/// What one sync made durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packs written since the sync before.
    pub packs: Vec<ObjectId>,
}

/// A run under way. Shared by workers; until [`Writer::commit`] returns there is no snapshot.
///
/// What a run has stored can be read by anybody once it was synced.
#[must_use = "a run that is not committed leaves only garbage"]
pub struct Writer<'a> {
    repository: &'a Repository,
    snapshot: ObjectId,
    pub(super) run: Arc<Run>,
    pub(super) closer: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Repository {
    /// Begins a run: takes a shared lease and removes the litter of runs that were killed.
    pub fn begin(&self, options: &WriteOptions) -> Result<Writer<'_>, RepositoryError> {
        self.begin_without(*options, Hold::Shared, &BTreeSet::new())
    }

    /// The same, taking what lies in the packs `distrusted` for absent.
    pub(in crate::repository) fn begin_without(
        &self,
        options: WriteOptions,
        hold: Hold,
        distrusted: &BTreeSet<ObjectId>,
    ) -> Result<Writer<'_>, RepositoryError> {
        self.inner.config.demand(FeatureClass::Write)?;
        self.inner.keep_reserve();
        let mut lease = Lease::take(&self.inner, hold)?;
        // After the lease: what is in the index from now on stays until the lease goes.
        self.inner.renew_index()?;
        lease.condemned.extend(distrusted);
        Ok(self.run_with(options, lease))
    }

    /// Begins the run of a prune, which excludes other prunes.
    pub(in crate::repository) fn begin_alone(
        &self,
        options: WriteOptions,
    ) -> Result<Writer<'_>, RepositoryError> {
        self.inner.config.demand(FeatureClass::Write)?;
        self.inner.config.demand(FeatureClass::Prune)?;
        let lease = Lease::take(&self.inner, Hold::Exclusive)?;
        Ok(self.run_with(options, lease))
    }

    fn run_with(&self, options: WriteOptions, lease: Lease) -> Writer<'_> {
        let run = Arc::new(Run::new(Arc::clone(&self.inner), options, lease));
        let (closer, thread) = closer::start(&run);
        let snapshot = ObjectId::random();
        Writer { repository: self, snapshot, run, closer, thread }
    }
}

impl Writer<'_> {
    /// The repository it writes to.
    pub fn repository(&self) -> &Repository {
        self.repository
    }

    /// From now on stores only these chunks; whatever else it is given counts as stored.
    pub(in crate::repository) fn store_only(&self, wanted: HashSet<ChunkId>) {
        // Whoever sets it twice wants the first.
        let _ = self.run.only.set(wanted);
    }

    /// A bundle for one worker. Cheap: what it works with is kept from one to the next.
    pub fn bundle(&self, class: PackClass) -> Bundle<'_> {
        Bundle::new(self, class)
    }

    /// The name that the snapshot will have, so that it can be pinned before it exists.
    pub fn snapshot_id(&self) -> ObjectId {
        self.snapshot
    }

    /// Pins the snapshot to come. Durable on return.
    pub fn pin(&self) -> Result<(), RepositoryError> {
        self.repository.pin(&self.snapshot).map(drop)
    }

    /// What this run has added so far.
    pub fn totals(&self) -> Totals {
        self.run.totals()
    }

    /// Makes durable what the finished bundles hold, and publishes the index of it.
    pub fn sync(&self) -> Result<Written, RepositoryError> {
        self.run.must_be_sound()?;
        self.flush_lists()?;
        if self.run.counts.unfinished.load(Ordering::Acquire) != 0 {
            return Err(RepositoryError::RunFailed { what: "a bundle is not finished".to_owned() });
        }
        self.run.retire_all(&self.closer);
        self.wait_for_closer()?;
        self.run.must_be_sound()?;
        self.run.publish().inspect_err(|error| self.run.fail(error))?;
        Ok(Written { packs: self.run.take_written() })
    }

    /// As [`Repository::read_back`].
    pub fn read_back(&self, packs: &[ObjectId]) -> Result<(), RepositoryError> {
        self.repository.read_back(packs)
    }

    /// Makes the snapshot exist, with `record` as its body: the sole commit point.
    ///
    /// On an error the snapshot may or may not exist, but never in part: look before you retry.
    pub fn commit(self, record: &[u8]) -> Result<ObjectId, RepositoryError> {
        self.sync()?;
        let inner = &self.run.inner;
        self.check_lease()?;
        inner.put_sealed(ObjectKind::Snapshot, &self.snapshot, record)?;
        inner.backend.sync(ObjectKind::Snapshot)?;
        // Stopped for longer than a lease lives between check and record, we would have committed
        // to packs that a prune was free to take: then the record must not stay.
        if let Err(lost) = self.check_lease() {
            let name = self.snapshot.to_string();
            inner.backend.remove(ObjectKind::Snapshot, &name)?;
            inner.backend.sync(ObjectKind::Snapshot)?;
            return Err(lost);
        }
        Ok(self.snapshot)
    }

    /// Whether a prune has given that snapshot up: then nothing of it may be relied on.
    pub fn has_given_up(&self, snapshot: &ObjectId) -> bool {
        self.run.given_up.contains(snapshot)
    }

    /// An error if the lease is gone.
    pub(in crate::repository) fn check_lease(&self) -> Result<(), RepositoryError> {
        self.with_lease(|lease| lease.check(&self.run.inner))
    }

    /// Does something with the lease, which nobody renews meanwhile.
    pub(in crate::repository) fn with_lease<T>(&self, work: impl FnOnce(&Lease) -> T) -> T {
        work(&self.run.lease.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn close_pack(&self, pack: Arc<OpenPack>) {
        // A closer that is gone has left its failure behind.
        let _ = self.closer.send(Job::Close(pack));
    }

    fn wait_for_closer(&self) -> Result<(), RepositoryError> {
        let (done, is_done) = bounded(1);
        let sent = self.closer.send(Job::Report(done)).is_ok();
        if sent && is_done.recv().is_ok() {
            return Ok(());
        }
        let what = "the thread that closes packs ended early".to_owned();
        Err(RepositoryError::RunFailed { what })
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // Packs that still wait are not worth their syncs. After a commit none does.
        self.run.fail_for("it was given up".to_owned());
        // The closer ends when its last sender goes.
        let (nobody, _) = bounded(0);
        self.closer = nobody;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // If this fails, the next run finds that we are gone.
        let lease = self.run.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = lease.release(&self.run.inner);
    }
}
