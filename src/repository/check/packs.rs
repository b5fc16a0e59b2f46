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
use crate::repository::pack::Contents;
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

/// What a sound footer comes to. A long one is not held where the frames are not to be read.
struct Footer {
    sum: Sum,
    pack_bytes: u64,
    missing_base: Option<ChunkId>,
    to_read: Option<WholePack>,
}

/// So many packs are looked at together: enough to keep all cores busy to the end of a small
/// repository, few enough to hold their footers.
const TOGETHER: usize = 16;
/// Packs of so many chunks are read together: what their delta frames build on is decoded once for
/// all of them. 5 MiB of footers.
const CHUNKS_TOGETHER: usize = 1 << 17;

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
        let mut to_read = Vec::new();
        let mut chunks = 0;
        for (group, together) in ids.chunks(TOGETHER).enumerate() {
            let read = self.check_footers(together, &chosen, &mut packs, report)?;
            chunks += read.iter().map(|pack| pack.contents.ids.len()).sum::<usize>();
            to_read.extend(read);
            let is_last = (group + 1) * TOGETHER >= ids.len();
            if is_last || chunks >= CHUNKS_TOGETHER {
                self.check_frames(&to_read, monitor, &mut packs, report)?;
                let now = clock::now().0;
                let read = to_read.drain(..).map(|pack| pack.pack.id);
                // A hurt pack is not noted: the next check looks there first.
                read.filter(|id| !packs.is_hurt(id)).for_each(|id| history.note(id, now));
                chunks = 0;
            }
        }
        if !chosen.is_empty() {
            history.keep_only(&packs.listed);
            // Without it the next sample begins anew: worth no failure.
            let _ = self.keep_check_history(&history);
        }
        Ok(packs)
    }

    /// What the chunks of a pack build on must be stored too: the first of it that is in no index.
    fn missing_base(&self, contents: &Contents) -> Result<Option<ChunkId>, RepositoryError> {
        if contents.bases.is_empty() {
            return Ok(None);
        }
        let index = self.index()?;
        for base in contents.all_bases() {
            let known = index.pack_of(base).map_err(|error| self.index_error(error))?;
            if known.is_none() {
                return Ok(Some(*base));
            }
        }
        Ok(None)
    }

    fn lengths(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64)>, RepositoryError> {
        let length = |id: &ObjectId| {
            let bytes = self.backend.stat(ObjectKind::Pack, &id.to_string())?;
            Ok((*id, bytes.unwrap_or(0)))
        };
        ids.iter().map(length).collect()
    }

    /// Reads the footers of some packs; where one is damaged, scans the pack. Returns those whose
    /// frames are to be read too.
    fn check_footers(
        &self,
        ids: &[ObjectId],
        chosen: &BTreeSet<ObjectId>,
        packs: &mut Packs,
        report: &mut CheckReport,
    ) -> Result<Vec<WholePack>, RepositoryError> {
        let read = Mutex::new(Vec::new());
        spread::for_each(ids.len(), |number| {
            let id = &ids[number];
            let found = match self.read_footer(id, Freshness::Cached) {
                Ok(whole) => Ok(self.sum_up(whole, chosen)?),
                Err(error @ RepositoryError::Damaged { .. }) => Err((error, self.scan(id)?)),
                Err(error @ RepositoryError::Io { .. }) => Err((error, Scanned::default())),
                Err(error) => return Err(error),
            };
            read.lock().unwrap_or_else(PoisonError::into_inner).push((*id, found));
            Ok(())
        })?;
        let mut to_read = Vec::new();
        for (id, found) in read.into_inner().unwrap_or_else(PoisonError::into_inner) {
            report.packs += 1;
            match found {
                Ok(footer) => {
                    report.chunks += footer.sum.rows;
                    report.pack_bytes += footer.pack_bytes;
                    packs.sums.insert(id, footer.sum);
                    if let Some(base) = footer.missing_base {
                        let pack = ObjectKind::Pack.named(&id.to_string());
                        report.damage(
                            pack,
                            format!("it builds on chunk {base}, which is in no index"),
                        );
                    }
                    to_read.extend(footer.to_read);
                }
                Err((error, scanned)) => {
                    report.chunks += scanned.contents.ids.len() as u64;
                    report.frames += scanned.sound.len() as u64;
                    packs.footless.insert(id, scanned.sound);
                    report.note(error)?;
                }
            }
        }
        Ok(to_read)
    }

    fn sum_up(
        &self,
        whole: WholePack,
        chosen: &BTreeSet<ObjectId>,
    ) -> Result<Footer, RepositoryError> {
        Ok(Footer {
            sum: Sum::of(&whole.contents),
            pack_bytes: whole.bytes,
            missing_base: self.missing_base(&whole.contents)?,
            to_read: chosen.contains(&whole.pack.id).then_some(whole),
        })
    }

    /// Opens, decodes and hashes every frame of some packs.
    fn check_frames(
        &self,
        whole: &[WholePack],
        monitor: &dyn Monitor,
        packs: &mut Packs,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        let frames = self.frames_of(whole)?;
        let failed = Mutex::new(Vec::new());
        spread::for_each(frames.len(), |at| {
            let frame = frames[at];
            match self.verify_frame(frame, Freshness::Cached) {
                Ok(()) => {}
                Err(error @ (RepositoryError::Damaged { .. } | RepositoryError::Io { .. })) => {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.push((frame.whole.pack.id, frame.number, error));
                }
                Err(error) => return Err(error),
            }
            let bytes = frame.whole.contents.frames[frame.number as usize].sealed_bytes;
            monitor.count(Counter::BytesRead, u64::from(bytes));
            Ok(())
        })?;
        report.frames += frames.len() as u64;
        report.packs_read += whole.len() as u64;
        report.bytes_read += whole.iter().map(|pack| pack.bytes).sum::<u64>();
        for (id, frame, error) in failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            packs.damaged.insert((id, frame));
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
