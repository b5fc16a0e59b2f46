//! The packs, looked at one by one, each by one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::segments::Sum;
use super::{CheckDepth, CheckReport};
use crate::monitor::{Counter, Monitor};
use crate::repository::backend::Freshness;
use crate::repository::error::RepositoryError;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::Cursor;
use crate::repository::object::ObjectKind;
use crate::repository::repository::Inner;
use crate::repository::scan::Scanned;
use crate::repository::spread;
use crate::repository::verify::WholePack;

/// What the packs themselves say.
#[derive(Default)]
pub(super) struct Packs {
    /// Packs that are there, sound or not.
    pub(super) listed: BTreeSet<ObjectId>,
    /// What those with a sound footer hold.
    pub(super) sums: BTreeMap<ObjectId, Sum>,
    /// Frames that do not give what was put into them.
    damaged: BTreeSet<(ObjectId, u32)>,
    /// Packs without a sound footer, and the frames of them that are sound.
    footless: BTreeMap<ObjectId, BTreeSet<u32>>,
}

impl Packs {
    fn can_give(&self, pack: &ObjectId, frame: u32) -> bool {
        self.listed.contains(pack)
            && !self.damaged.contains(&(*pack, frame))
            && self.footless.get(pack).is_none_or(|sound| sound.contains(&frame))
    }
}

impl Inner {
    pub(super) fn check_packs(
        &self,
        depth: CheckDepth,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<Packs, RepositoryError> {
        let mut ids = Vec::new();
        for name in self.backend.list(ObjectKind::Pack)? {
            match ObjectId::parse(&name) {
                Some(id) => ids.push(id),
                None => report.damage(ObjectKind::Pack.named(&name), "its name is not a name"),
            }
        }
        let packs = Packs { listed: ids.iter().copied().collect(), ..Packs::default() };
        let shared = Mutex::new((packs, std::mem::take(report)));
        spread::for_each(ids.len(), |number| {
            let id = &ids[number];
            let looked_at = self.look_at(id, depth, monitor)?;
            let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (packs, report) = &mut *guard;
            looked_at.enter(*id, packs, report)
        })?;
        let (packs, checked) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        *report = checked;
        Ok(packs)
    }

    fn look_at(
        &self,
        id: &ObjectId,
        depth: CheckDepth,
        monitor: &dyn Monitor,
    ) -> Result<LookedAt, RepositoryError> {
        let whole = match self.read_footer(id, Freshness::Cached) {
            Ok(whole) => whole,
            Err(error @ RepositoryError::Damaged { .. }) => {
                return Ok(LookedAt::Footless(error, self.scan(id)?));
            }
            Err(error @ RepositoryError::Io { .. }) => {
                return Ok(LookedAt::Footless(error, Scanned::default()));
            }
            Err(error) => return Err(error),
        };
        let mut errors = Vec::new();
        if depth == CheckDepth::ReadData {
            for (number, first) in whole.contents.first_chunks().into_iter().enumerate() {
                let frame = u32::try_from(number).expect("a pack is bounded");
                match self.verify_frame(&whole, number, first, Freshness::Cached) {
                    Ok(()) => {}
                    Err(error @ (RepositoryError::Damaged { .. } | RepositoryError::Io { .. })) => {
                        errors.push((frame, error));
                    }
                    Err(error) => return Err(error),
                }
                let bytes = whole.contents.frames[number].sealed_bytes;
                monitor.count(Counter::BytesRead, u64::from(bytes));
            }
        }
        Ok(LookedAt::Whole { whole, read: depth == CheckDepth::ReadData, errors })
    }

    /// Chunks that the index names in damaged or missing packs, and nowhere else.
    pub(super) fn lost_chunks(&self, packs: &Packs) -> Result<BTreeSet<ChunkId>, RepositoryError> {
        let index = self.index()?;
        let failed = |error| self.index_error(error);
        let mut lost = BTreeSet::new();
        for segment in &index.segments {
            let mut cursor = Cursor::new(&segment.table);
            while let Some((id, row)) = cursor.next().map_err(failed)? {
                let pack = segment.table.packs[row.pack as usize].id;
                if packs.can_give(&pack, row.frame) {
                    continue;
                }
                let places = index.places(&id).map_err(failed)?;
                let elsewhere = places
                    .iter()
                    .any(|at| packs.can_give(&index.packs[at.pack as usize].id, at.frame));
                if !elsewhere {
                    lost.insert(id);
                }
            }
        }
        Ok(lost)
    }
}

/// What one worker found in one pack.
enum LookedAt {
    Whole { whole: WholePack, read: bool, errors: Vec<(u32, RepositoryError)> },
    Footless(RepositoryError, Scanned),
}

impl LookedAt {
    fn enter(
        self,
        id: ObjectId,
        packs: &mut Packs,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        report.packs += 1;
        match self {
            Self::Whole { whole, read, errors } => {
                report.chunks += whole.contents.ids.len() as u64;
                report.pack_bytes += whole.bytes;
                if read {
                    report.frames += whole.contents.frames.len() as u64;
                }
                packs.sums.insert(id, Sum::of(&whole.contents));
                for (frame, error) in errors {
                    packs.damaged.insert((id, frame));
                    report.note(error)?;
                }
                Ok(())
            }
            Self::Footless(error, scanned) => {
                report.chunks += scanned.contents.ids.len() as u64;
                report.frames += scanned.sound.len() as u64;
                packs.footless.insert(id, scanned.sound);
                report.note(error)
            }
        }
    }
}
