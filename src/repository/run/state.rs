//! What the workers, the closer and the caller of one run share.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use crossbeam_channel::Sender;

use super::closer::Job;
use super::delta::Deltas;
use super::open_pack::{Chunks, OpenPack, Reserved};
use super::recent::Recent;
use super::writer::{Totals, WriteOptions};
use crate::repository::error::RepositoryError;
use crate::repository::frame::{Codec, Coding};
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::{Bytes, Index, Named, SEGMENT_CHUNKS, Table, build};
use crate::repository::lease::Lease;
use crate::repository::media::Kind;
use crate::repository::object::ObjectKind;
use crate::repository::pack::{Contents, PackClass};
use crate::repository::repository::Inner;
use crate::repository::window::{Plain, Window};

/// What the workers, the closer and the caller of one run share.
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) options: WriteOptions,
    pub(super) recent: Recent,
    pub(super) counts: Counts,
    pub(super) lease: Mutex<Lease>,
    condemned: HashSet<ObjectId>,
    /// Only these are stored, once this is set: a repair wants what is lacking, and no more.
    pub(super) only: OnceLock<HashSet<ChunkId>>,
    pub(super) given_up: HashSet<ObjectId>,
    open: [Mutex<Vec<Arc<OpenPack>>>; PackClass::ALL.len()],
    /// So many of one class are open at a time.
    packs_max: usize,
    closed: Mutex<Closed>,
    failed: Mutex<Option<String>>,
    buffers: Mutex<Vec<Buffers>>,
    /// Chunk lists of all workers: metadata, met now and then among data.
    pub(super) lists: Mutex<Option<Buffers>>,
}

/// Packs with their names, in whose directories no sync has happened yet.
#[derive(Default)]
struct Closed {
    unindexed: Vec<(ObjectId, PackClass, Contents)>,
    chunks: usize,
    since_sync: Vec<ObjectId>,
}

/// Counted while the run goes on.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) chunks: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) stored_bytes: AtomicU64,
    pub(super) packs: AtomicU64,
    /// Claimed by a bundle and not yet in a pack.
    pub(super) unfinished: AtomicU64,
}

/// What a bundle works with, kept for the next one: allocated once a worker, not once a directory.
pub(super) struct Buffers {
    pub(super) codec: Codec,
    pub(super) ids: Vec<ChunkId>,
    pub(super) lengths: Vec<u32>,
    /// What the chunks that wait come from.
    pub(super) kind: Kind,
    pub(super) data: Plain,
    pub(super) frame: Vec<u8>,
    pub(super) scratch: Scratch,
    pub(super) window: Window,
    pub(super) deltas: Deltas,
    index: Arc<Index>,
    index_version: Option<u64>,
}

impl Buffers {
    /// Exchanges the chunks that wait for a frame.
    pub(super) fn swap_chunks(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.ids, &mut other.ids);
        std::mem::swap(&mut self.lengths, &mut other.lengths);
        std::mem::swap(&mut self.kind, &mut other.kind);
        std::mem::swap(&mut self.data, &mut other.data);
    }
}

/// Where a frame is opened and decoded to verify it.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) opened: Vec<u8>,
    pub(super) decoded: Vec<u8>,
}

/// No more packs of one class are open, however many cores there are: each ends a run half empty.
const PACKS_OPEN_MAX: usize = 4;

impl Run {
    pub(super) fn new(inner: Arc<Inner>, options: WriteOptions, mut lease: Lease) -> Self {
        Self {
            inner,
            options,
            recent: Recent::new(),
            counts: Counts::default(),
            condemned: std::mem::take(&mut lease.condemned),
            only: OnceLock::new(),
            given_up: std::mem::take(&mut lease.given_up),
            lease: Mutex::new(lease),
            open: Default::default(),
            packs_max: thread::available_parallelism().map_or(1, usize::from).min(PACKS_OPEN_MAX),
            closed: Mutex::default(),
            failed: Mutex::default(),
            buffers: Mutex::default(),
            lists: Mutex::default(),
        }
    }

    /// Whether the chunk is one that this run stores at all.
    pub(super) fn is_wanted(&self, id: &ChunkId) -> bool {
        self.only.get().is_none_or(|only| only.contains(id))
    }

    /// Whether the packs that are there now will stay: a repair is about to remove some.
    pub(super) fn packs_stay(&self) -> bool {
        self.only.get().is_none()
    }

    /// Counts the chunks of a frame that was made, or says that the run has failed.
    pub(super) fn landed(
        &self,
        chunks: usize,
        made: Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        made.inspect_err(|error| self.fail(error))?;
        self.counts.chunks.fetch_add(chunks as u64, Ordering::Relaxed);
        // After the write: whoever sees none unfinished may close the packs.
        self.counts.unfinished.fetch_sub(chunks as u64, Ordering::Release);
        Ok(())
    }

    /// Whether a prune is about to delete that pack.
    pub(super) fn is_condemned(&self, pack: &ObjectId) -> bool {
        self.condemned.contains(pack)
    }

    /// Whether the chunk is stored where no prune is about to delete it.
    pub(super) fn has(&self, index: &Index, id: &ChunkId) -> Result<bool, RepositoryError> {
        let failed = |error| self.inner.index_error(error);
        let stays = |pack: u32| !self.is_condemned(&index.packs[pack as usize].id);
        match index.pack_of(id).map_err(failed)? {
            None => Ok(false),
            Some(_) if self.condemned.is_empty() => Ok(true),
            Some(pack) if stays(pack) => Ok(true),
            // The copy found first goes; there may be another.
            Some(_) => Ok(index.places(id).map_err(failed)?.iter().any(|place| stays(place.pack))),
        }
    }

    /// The index as it is now; `buffers` keep it, so that workers do not meet at its lock.
    pub(super) fn index_in<'b>(
        &self,
        buffers: &'b mut Buffers,
    ) -> Result<&'b Index, RepositoryError> {
        let version = self.inner.shelf.version();
        if buffers.index_version != Some(version) {
            buffers.index = self.inner.index()?;
            buffers.index_version = Some(version);
        }
        Ok(&buffers.index)
    }

    /// Reserves a frame in the open pack of `class`, retiring it for a new one when it is full.
    pub(super) fn reserve(
        &self,
        class: PackClass,
        coding: Coding,
        encoded_bytes: usize,
        chunks: &Chunks<'_>,
        closer: &Sender<Job>,
    ) -> Result<(Arc<OpenPack>, Reserved), RepositoryError> {
        let sizes = self.inner.config.sizes;
        let pack_bytes = match class {
            PackClass::Data => sizes.data_pack_bytes,
            PackClass::Metadata => sizes.metadata_pack_bytes,
        };
        let mut open = self.slot(class).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = self.pack_for_a_frame(&open, u64::from(pack_bytes)) {
            let pack = &open[at];
            if let Some(reserved) = pack.reserve(coding, encoded_bytes, chunks, pack_bytes) {
                return Ok((Arc::clone(pack), reserved));
            }
            Self::retire(&open.remove(at), closer);
        }
        let pack = Arc::new(OpenPack::create(&self.inner, class)?);
        open.push(Arc::clone(&pack));
        let reserved = pack.reserve(coding, encoded_bytes, chunks, pack_bytes);
        Ok((pack, reserved.expect("an empty pack takes any frame")))
    }

    /// Which of the open packs takes the next frame; none if another is to be begun.
    ///
    /// The kernel lets one writer at a time into a file, and the others turn round in wait for it:
    /// of a large file that does not compress they lost a fifth of the time. So nobody is sent where
    /// somebody writes. A run that has little to write makes one pack all the same.
    fn pack_for_a_frame(&self, open: &[Arc<OpenPack>], pack_bytes: u64) -> Option<usize> {
        let quiet = open.iter().position(|pack| !pack.is_written_to());
        let is_worth_another =
            open.len() < self.packs_max && open.iter().all(|pack| pack.bytes() > pack_bytes / 4);
        quiet.or_else(|| (!open.is_empty() && !is_worth_another).then_some(0))
    }

    /// Retires the open packs of all classes, at the end of a run.
    pub(super) fn retire_all(&self, closer: &Sender<Job>) {
        for class in PackClass::ALL {
            let mut open = self.slot(class).lock().unwrap_or_else(PoisonError::into_inner);
            for pack in open.drain(..) {
                Self::retire(&pack, closer);
            }
        }
    }

    fn retire(pack: &Arc<OpenPack>, closer: &Sender<Job>) {
        if pack.retire() {
            // A closer that is gone has left its failure behind.
            let _ = closer.send(Job::Close(Arc::clone(pack)));
        }
    }

    fn slot(&self, class: PackClass) -> &Mutex<Vec<Arc<OpenPack>>> {
        match class {
            PackClass::Data => &self.open[0],
            PackClass::Metadata => &self.open[1],
        }
    }

    /// Notes a pack that now has its name; a segment is published when enough of them wait.
    pub(super) fn note_closed(
        &self,
        pack: &OpenPack,
        contents: Contents,
        bytes: u64,
    ) -> Result<(), RepositoryError> {
        self.counts.packs.fetch_add(1, Ordering::Relaxed);
        self.counts.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        let enough = {
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.chunks += contents.ids.len();
            closed.unindexed.push((pack.name, pack.class, contents));
            closed.since_sync.push(pack.name);
            closed.chunks >= SEGMENT_CHUNKS
        };
        if enough { self.publish() } else { Ok(()) }
    }

    /// Makes the closed packs durable, then the index segment that names them.
    pub(super) fn publish(&self) -> Result<(), RepositoryError> {
        let packs = {
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.chunks = 0;
            std::mem::take(&mut closed.unindexed)
        };
        if packs.is_empty() {
            return Ok(());
        }
        self.inner.backend.sync(ObjectKind::Pack)?;
        let named: Vec<_> = packs
            .iter()
            .map(|(id, class, contents)| Named { id: *id, class: *class, contents })
            .collect();
        let body = build(&named);
        let name = ObjectId::random();
        self.inner.put_sealed(ObjectKind::Index, &name, &body)?;
        self.inner.backend.sync(ObjectKind::Index)?;
        let length = body.len() as u64;
        self.inner.reserve_for(length);
        let table = Table::open(Bytes::Memory(body), length)
            .map_err(|error| self.inner.index_error(error))?
            .expect("a table just built adds up");
        self.inner.add_segment(name, table)?;
        for id in packs.iter().flat_map(|(_, _, contents)| &contents.ids) {
            self.recent.release(id);
        }
        Ok(())
    }

    /// The packs that got their names since this was last asked.
    pub(super) fn take_written(&self) -> Vec<ObjectId> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut closed.since_sync)
    }

    /// Says that this run can never be committed. The first cause is kept.
    pub(super) fn fail(&self, error: &RepositoryError) {
        self.fail_for(error.in_one_line());
    }

    pub(super) fn fail_for(&self, what: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// An error once the run has failed, whoever noticed it first.
    pub(super) fn must_be_sound(&self) -> Result<(), RepositoryError> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(what) => Err(RepositoryError::RunFailed { what: what.clone() }),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            chunks: read(&self.counts.chunks),
            bytes: read(&self.counts.bytes),
            stored_bytes: read(&self.counts.stored_bytes),
            packs: read(&self.counts.packs),
        }
    }

    pub(super) fn buffers(&self) -> Buffers {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Buffers {
            codec: Codec::new(self.options.compression),
            ids: Vec::new(),
            lengths: Vec::new(),
            kind: Kind::Ordinary,
            data: Plain::default(),
            frame: Vec::new(),
            scratch: Scratch::default(),
            window: Window::default(),
            deltas: Deltas::default(),
            index: Arc::default(),
            index_version: None,
        })
    }

    pub(super) fn keep_buffers(&self, buffers: Buffers) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
    }
}
