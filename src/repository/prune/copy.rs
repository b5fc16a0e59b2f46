//! Writing anew what is needed of the chosen packs: every chunk decoded and hashed on the way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::marks::{Kept, Marks};
use crate::monitor::{Counter, Monitor};
use crate::repository::backend::{Freshness, Range};
use crate::repository::error::RepositoryError;
use crate::repository::frame::{Coding, FRAME_HEADER_BYTES};
use crate::repository::object::ObjectKind;
use crate::repository::pack::PackClass;
use crate::repository::reading::damaged_frame;
use crate::repository::repository::Inner;
use crate::repository::run::{Bundle, CopiedFrame, Writer};
use crate::repository::spread;
use crate::repository::verify::FrameOf;

/// So many packs are worked on together: their footers are in memory.
const TOGETHER: usize = 8;

/// One worker's bundles: what the newest snapshots need lies apart from the rest.
#[derive(Default)]
struct Hand<'w> {
    bundles: HashMap<(PackClass, bool), Bundle<'w>>,
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
    pub(super) fn copy(self, packs: &[u32]) -> Result<(), RepositoryError> {
        for together in packs.chunks(TOGETHER) {
            let footer = |pack: &u32| {
                let id = self.marks.index.packs[*pack as usize].id;
                self.inner.read_footer(&id, Freshness::Cached)
            };
            let whole = together.iter().map(footer).collect::<Result<Vec<_>, _>>()?;
            let frames = self.inner.frames_of(&whole)?;
            spread::for_each(frames.len(), |at| {
                let mut hand = self.hand();
                // An error ends the prune: what the hand holds is given up with the run.
                self.copy_frame(&mut hand, frames[at])?;
                self.hands.lock().unwrap_or_else(PoisonError::into_inner).push(hand);
                Ok(())
            })?;
        }
        let hands = self.hands.into_inner().unwrap_or_else(PoisonError::into_inner);
        for bundle in hands.into_iter().flat_map(|hand| hand.bundles.into_values()) {
            bundle.finish()?;
        }
        self.writer.sync().map(drop)
    }

    fn hand(&self) -> Hand<'a> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn copy_frame(
        &self,
        hand: &mut Hand<'a>,
        FrameOf { whole, number, first_chunk }: FrameOf<'_>,
    ) -> Result<(), RepositoryError> {
        let pack = self.marks.index.number_of(&whole.pack.id);
        let pack = pack.expect("its number was what named it");
        let place = whole.contents.frames[number as usize];
        let chunks = first_chunk..first_chunk + usize::from(place.chunks);
        let (ids, lengths) = (&whole.contents.ids[chunks.clone()], &whole.contents.lengths[chunks]);
        let mut fates = Vec::with_capacity(ids.len());
        for (chunk, id) in (0_u16..).zip(ids) {
            let fate = self.marks.fate(pack, number, chunk, id);
            fates.push(fate.map_err(|error| self.inner.index_error(error))?);
        }
        if fates.iter().all(Option::is_none) {
            return Ok(());
        }
        let name = whole.pack.id.to_string();
        let bytes = FRAME_HEADER_BYTES + place.sealed_bytes as usize;
        let range = Range::Part { offset: u64::from(place.offset), bytes };
        let mut raw = Vec::new();
        self.inner.backend.read(ObjectKind::Pack, &name, range, Freshness::Cached, &mut raw)?;
        self.monitor.count(Counter::BytesRead, bytes as u64);
        let damaged = |what: &str| damaged_frame(&whole.pack.id, number, what);
        let (coding, encoded) = self.inner.unseal(whole.pack, number, &raw).map_err(damaged)?;
        let payload = self.inner.decode(coding, &encoded).map_err(damaged)?;
        if payload.chunks() != ids.len() {
            return Err(damaged("it holds another number of chunks"));
        }
        for (chunk, (id, fate)) in ids.iter().zip(&fates).enumerate() {
            let plain = payload.chunk(chunk).unwrap_or_default();
            if fate.is_some() && self.inner.hash(plain) != *id {
                return Err(damaged(&format!("chunk {id} has another hash")));
            }
        }
        let class = whole.pack.class;
        // What is needed of a delta frame has all of its bases marked: it stays a delta.
        let bases = whole.contents.bases.get(&number).map_or(&[][..], Vec::as_slice);
        // Small frames are put together, but for deltas: theirs are as large as their bases let them.
        let may_stay = payload.memory_bytes() >= self.inner.config.sizes.frame_bytes as usize / 2
            || coding == Coding::Delta;
        let hot = fates[0] == Some(Kept::Hot);
        if may_stay && fates.iter().all(|fate| *fate == fates[0]) {
            let copied = CopiedFrame { coding, encoded: &encoded, ids, lengths, bases };
            return self.bundle(hand, class, hot).copy_frame(&copied);
        }
        for (chunk, (id, fate)) in ids.iter().zip(&fates).enumerate() {
            if let Some(fate) = fate {
                let plain = payload.chunk(chunk).unwrap_or_default();
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
