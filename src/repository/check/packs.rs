//! The packs: their footers, then their frames.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::segments::{Said, Sum};
use super::{CheckDepth, CheckReport, Severity};
use crate::monitor::{Counter, Monitor};
use crate::os::clock;
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
pub(in crate::repository) struct Packs {
    /// Packs that are there, sound or not.
    pub(in crate::repository) listed: BTreeSet<ObjectId>,
    /// What those with a sound footer hold.
    pub(super) sums: BTreeMap<ObjectId, Sum>,
    /// Frames that do not give what was put into them.
    damaged: BTreeSet<(ObjectId, u32)>,
    /// Packs without a sound footer, and the frames of them that are sound.
    footless: BTreeMap<ObjectId, BTreeSet<u32>>,
}

impl Packs {
    /// Packs that are there and not wholly sound.
    pub(in crate::repository) fn hurt(&self) -> BTreeSet<ObjectId> {
        self.listed.iter().copied().filter(|id| self.is_hurt(id)).collect()
    }

    fn is_hurt(&self, id: &ObjectId) -> bool {
        self.footless.contains_key(id)
            || self.damaged.range((*id, 0)..=(*id, u32::MAX)).next().is_some()
    }

    pub(in crate::repository) fn can_give(&self, pack: &ObjectId, frame: u32) -> bool {
        self.listed.contains(pack)
            && !self.damaged.contains(&(*pack, frame))
            && self.footless.get(pack).is_none_or(|sound| sound.contains(&frame))
    }
}

/// So many packs are looked at together: enough to keep all cores busy to the end of a small
/// repository, few enough to hold their footers.
const TOGETHER: usize = 16;

impl Inner {
    pub(in crate::repository) fn check_packs(
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
        let mut packs = Packs { listed: ids.iter().copied().collect(), ..Packs::default() };
        let mut history = self.check_history();
        let chosen = match depth {
            CheckDepth::Structure => BTreeSet::new(),
            CheckDepth::ReadData => packs.listed.clone(),
            CheckDepth::Sample(sample) => sample.choose(&self.lengths(&ids)?, &history),
        };
        for together in ids.chunks(TOGETHER) {
            let mut whole = self.check_footers(together, &mut packs, report)?;
            whole.retain(|pack| chosen.contains(&pack.pack.id));
            self.check_frames(&whole, monitor, &mut packs, report)?;
            let now = clock::now().0;
            let sound = whole.iter().map(|pack| pack.pack.id).filter(|id| !packs.is_hurt(id));
            // A hurt pack is not noted: the next check looks there first.
            sound.for_each(|id| history.note(id, now));
        }
        if !chosen.is_empty() {
            history.keep_only(&packs.listed);
            // Without it the next sample begins anew: worth no failure.
            let _ = self.keep_check_history(&history);
        }
        Ok(packs)
    }

    /// What the chunks of a pack build on must be stored too.
    fn check_bases(
        &self,
        whole: &WholePack,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        if whole.contents.bases.is_empty() {
            return Ok(());
        }
        let index = self.index()?;
        for base in whole.contents.all_bases() {
            let known = index.pack_of(base).map_err(|error| self.index_error(error))?;
            if known.is_none() {
                let pack = ObjectKind::Pack.named(&whole.pack.id.to_string());
                report.damage(pack, format!("it builds on chunk {base}, which is in no index"));
                break;
            }
        }
        Ok(())
    }

    fn lengths(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64)>, RepositoryError> {
        let length = |id: &ObjectId| {
            let bytes = self.backend.stat(ObjectKind::Pack, &id.to_string())?;
            Ok((*id, bytes.unwrap_or(0)))
        };
        ids.iter().map(length).collect()
    }

    /// Reads the footers of some packs; where one is damaged, scans the pack.
    fn check_footers(
        &self,
        ids: &[ObjectId],
        packs: &mut Packs,
        report: &mut CheckReport,
    ) -> Result<Vec<WholePack>, RepositoryError> {
        let read = Mutex::new(Vec::new());
        spread::for_each(ids.len(), |number| {
            let id = &ids[number];
            let found = match self.read_footer(id, Freshness::Cached) {
                Ok(whole) => Ok(whole),
                Err(error @ RepositoryError::Damaged { .. }) => Err((error, self.scan(id)?)),
                Err(error @ RepositoryError::Io { .. }) => Err((error, Scanned::default())),
                Err(error) => return Err(error),
            };
            read.lock().unwrap_or_else(PoisonError::into_inner).push((*id, found));
            Ok(())
        })?;
        let mut sound = Vec::new();
        for (id, found) in read.into_inner().unwrap_or_else(PoisonError::into_inner) {
            report.packs += 1;
            match found {
                Ok(whole) => {
                    self.check_bases(&whole, report)?;
                    report.chunks += whole.contents.ids.len() as u64;
                    report.pack_bytes += whole.bytes;
                    packs.sums.insert(id, Sum::of(&whole.contents));
                    sound.push(whole);
                }
                Err((error, scanned)) => {
                    report.chunks += scanned.contents.ids.len() as u64;
                    report.frames += scanned.sound.len() as u64;
                    packs.footless.insert(id, scanned.sound);
                    report.note(error)?;
                }
            }
        }
        Ok(sound)
    }

    /// Opens, decodes and hashes every frame of some packs.
    fn check_frames(
        &self,
        whole: &[WholePack],
        monitor: &dyn Monitor,
        packs: &mut Packs,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        let mut frames = Vec::new();
        for pack in whole {
            let firsts = pack.contents.first_chunks();
            frames.extend(firsts.into_iter().enumerate().map(|(n, first)| (pack, n, first)));
        }
        let failed = Mutex::new(Vec::new());
        spread::for_each(frames.len(), |number| {
            let (pack, frame, first) = frames[number];
            match self.verify_frame(pack, frame, first, Freshness::Cached) {
                Ok(()) => {}
                Err(error @ (RepositoryError::Damaged { .. } | RepositoryError::Io { .. })) => {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.push((pack.pack.id, frame, error));
                }
                Err(error) => return Err(error),
            }
            let bytes = pack.contents.frames[frame].sealed_bytes;
            monitor.count(Counter::BytesRead, u64::from(bytes));
            Ok(())
        })?;
        report.frames += frames.len() as u64;
        report.packs_read += whole.len() as u64;
        report.bytes_read += whole.iter().map(|pack| pack.bytes).sum::<u64>();
        for (id, frame, error) in failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            packs.damaged.insert((id, u32::try_from(frame).expect("a pack is bounded")));
            report.note(error)?;
        }
        Ok(())
    }

    /// Chunks that the index names in damaged or missing packs, and nowhere else; each with the
    /// pack that should hold it.
    pub(in crate::repository) fn lost_chunks(
        &self,
        packs: &Packs,
    ) -> Result<BTreeMap<ChunkId, ObjectId>, RepositoryError> {
        let index = self.index()?;
        let failed = |error| self.index_error(error);
        let mut lost = BTreeMap::new();
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
                    lost.insert(id, pack);
                }
            }
        }
        Ok(lost)
    }

    /// Where segments are damaged, notes what only they may have named.
    pub(super) fn note_unindexed(
        &self,
        said: &Said,
        packs: &Packs,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        let index = ObjectKind::Index.directory();
        let damaged = report.findings.iter().filter(|finding| {
            finding.severity == Severity::Repairable && finding.object.starts_with(index)
        });
        report.damaged_segments = damaged.map(|finding| finding.object.clone()).collect();
        if report.damaged_segments.is_empty() {
            return Ok(());
        }
        for id in packs.sums.keys().filter(|id| !said.contains_key(id)) {
            let whole = self.read_footer(id, Freshness::Cached)?;
            let frames = whole.contents.chunks();
            let sound = frames.filter(|(_, frame, _, _)| packs.can_give(id, *frame));
            report.unindexed.extend(sound.map(|(chunk, ..)| chunk));
        }
        Ok(())
    }
}
