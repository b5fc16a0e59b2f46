//! Writing anew what is needed of the chosen packs: every chunk decoded and hashed on the way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::bases::Builders;
use super::marks::{Kept, Marks, NeededFrame};
use crate::monitor::{Counter, Monitor};
use crate::repository::backend::Freshness;
use crate::repository::base_frames::BaseFrames;
use crate::repository::delta::Head;
use crate::repository::error::RepositoryError;
use crate::repository::frame::Coding;
use crate::repository::id::ChunkId;
use crate::repository::pack::PackClass;
use crate::repository::reading::damaged_frame;
use crate::repository::repository::Inner;
use crate::repository::run::{Bundle, CopiedFrame, Writer};
use crate::repository::spread;

/// One worker's bundles: what the newest snapshots need lies apart from the rest.
#[derive(Default)]
struct Hand<'w> {
    bundles: HashMap<(PackClass, bool), Bundle<'w>>,
}

/// Where a frame is in the order of a restore: when its pack was first needed, pack, frame.
type Turn = (u32, u32, u32);

/// A frame that is written anew.
#[derive(Clone, Copy)]
struct Live {
    /// Of what it builds on, or its own.
    beside: Turn,
    pack: u32,
    frame: NeededFrame,
}

/// Copies to new packs.
pub(super) struct Copier<'a> {
    inner: &'a Inner,
    writer: &'a Writer<'a>,
    marks: &'a Marks,
    monitor: &'a dyn Monitor,
    hands: Mutex<Vec<Hand<'a>>>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        inner: &'a Inner,
        writer: &'a Writer<'a>,
        marks: &'a Marks,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self { inner, writer, marks, monitor, hands: Mutex::default() }
    }

    /// Copies what is needed of these packs, and makes it durable and known to the index.
    pub(super) fn copy(self, packs: &[u32], builders: &Builders) -> Result<(), RepositoryError> {
        let live = self.in_order(packs, builders)?;
        // A frame, and all that build on it: one worker decodes it, once.
        let families: Vec<&[Live]> = live.chunk_by(|a, b| a.beside == b.beside).collect();
        spread::for_each(families.len(), |at| {
            let mut hand = self.hand();
            // An error ends the prune: what the hand holds is given up with the run.
            families[at].iter().try_for_each(|one| self.copy_frame(&mut hand, one))?;
            self.hands.lock().unwrap_or_else(PoisonError::into_inner).push(hand);
            Ok(())
        })?;
        let hands = self.hands.into_inner().unwrap_or_else(PoisonError::into_inner);
        for bundle in hands.into_iter().flat_map(|hand| hand.bundles.into_values()) {
            bundle.finish()?;
        }
        self.writer.sync().map(drop)
    }

    /// The frames in which anything is needed, in the order of a restore; those that build on others
    /// beside what they build on, whatever pack they are in.
    fn in_order(&self, packs: &[u32], builders: &Builders) -> Result<Vec<Live>, RepositoryError> {
        let failed = |error| self.inner.index_error(error);
        let turn = |pack: u32, frame: u32| (self.marks.first_needed(pack), pack, frame);
        let mut bases = BaseFrames::default();
        for (pack, frame, base) in
            builders.first_bases(self.inner, &packs.iter().copied().collect())?
        {
            bases.note((pack, frame), self.marks.index.locate(&base).map_err(failed)?);
        }
        let mut live = Vec::new();
        for pack in packs {
            for frame in self.marks.needed_frames(*pack).map_err(failed)? {
                let base = bases.of((*pack, frame.number));
                let beside = turn(base.0, base.1);
                live.push(Live { beside, pack: *pack, frame });
            }
        }
        live.sort_unstable_by_key(|one| {
            (one.beside, one.frame.is_delta, one.pack, one.frame.number)
        });
        Ok(live)
    }

    fn hand(&self) -> Hand<'a> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn copy_frame(&self, hand: &mut Hand<'a>, live: &Live) -> Result<(), RepositoryError> {
        let Live { pack, frame: NeededFrame { number, at, chunks, .. }, .. } = *live;
        let whole = self.marks.index.packs[pack as usize];
        let raw = self.inner.read_raw(whole, at, Freshness::Cached)?;
        self.monitor.count(Counter::BytesRead, raw.len() as u64);
        let damaged = |what: &str| damaged_frame(&whole.id, number, what);
        let (coding, encoded) = self.inner.unseal(whole, number, &raw).map_err(damaged)?;
        drop(raw);
        // Others that build on it may follow.
        let payload = self.inner.decode(coding, &encoded).map_err(damaged)?;
        let frame = self.inner.keep_frame(whole, number, payload);
        let payload = frame.payload();
        let plain = || (0..payload.chunks()).map(|chunk| payload.chunk(chunk).unwrap_or_default());
        let ids: Vec<ChunkId> = plain().map(|plain| self.inner.hash(plain)).collect();
        let mut fates = Vec::with_capacity(ids.len());
        for (chunk, id) in (0_u16..).zip(&ids) {
            let fate = self.marks.fate(pack, number, chunk, id);
            fates.push(fate.map_err(|error| self.inner.index_error(error))?);
        }
        if fates.iter().flatten().count() != usize::from(chunks) {
            return Err(damaged("it holds other chunks than the index says"));
        }
        let class = whole.class;
        // What is needed of a delta frame has all of its bases marked: it stays a delta.
        let bases = if coding == Coding::Delta {
            Head::decode(&encoded).ok_or_else(|| damaged("its head does not add up"))?.0.bases
        } else {
            Vec::new()
        };
        // Small frames are put together, but for deltas: theirs are as large as their bases let them.
        let may_stay = payload.memory_bytes() >= self.inner.config.sizes.frame_bytes as usize / 2
            || coding == Coding::Delta;
        let hot = fates[0] == Some(Kept::Hot);
        if may_stay && fates.iter().all(|fate| *fate == fates[0]) {
            let lengths: Vec<u32> = plain()
                .map(|plain| u32::try_from(plain.len()).expect("a chunk is bounded"))
                .collect();
            let copied = CopiedFrame {
                coding,
                encoded: &encoded,
                ids: &ids,
                lengths: &lengths,
                bases: &bases,
            };
            return self.bundle(hand, class, hot).copy_frame(&copied);
        }
        for (chunk, ((id, fate), plain)) in ids.iter().zip(&fates).zip(plain()).enumerate() {
            if let Some(fate) = fate {
                let bundle = self.bundle(hand, class, *fate == Kept::Hot);
                bundle.put_again(id, plain, bases.get(chunk))?;
            }
        }
        Ok(())
    }

    fn bundle<'h>(
        &self,
        hand: &'h mut Hand<'a>,
        class: PackClass,
        hot: bool,
    ) -> &'h mut Bundle<'a> {
        hand.bundles.entry((class, hot)).or_insert_with(|| self.writer.bundle(class))
    }
}
