//! Taking the place of damaged packs by sound ones.
//!
//! ```text
//! what their sound frames hold goes into new packs; so does what the caller finds elsewhere
//! sync, index: from here on nothing sound is needed of the damaged packs
//! a copy of each into quarantine; sync
//! the index is made anew, without them
//! they are removed
//! ```
//! Killed anywhere and called again, it ends the same. What could not be had is then in no index,
//! so that the next backup that meets it stores it again.

use std::collections::{BTreeSet, HashSet};

use super::RepairMode;
use crate::monitor::Monitor;
use crate::os::crash::{CrashPoint, reach};
use crate::repository::backend::Freshness;
use crate::repository::check::{CheckDepth, CheckReport, Packs};
use crate::repository::error::RepositoryError;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::index::PackRef;
use crate::repository::lease::Hold;
use crate::repository::object::ObjectKind;
use crate::repository::pack::{Contents, PackClass};
use crate::repository::record::RecordKind;
use crate::repository::repository::{Inner, Repository};
use crate::repository::run::{WriteOptions, Writer};

/// What reading everything showed of the packs.
pub struct Diagnosis {
    /// All that was found, packs and other things.
    pub report: CheckReport,
    packs: Packs,
    /// Packs that are there, and not wholly sound.
    hurt: BTreeSet<ObjectId>,
    /// Packs that the index names, and that are gone.
    missing: BTreeSet<ObjectId>,
}

impl Diagnosis {
    /// Packs that a repair takes the place of.
    pub const fn hurt(&self) -> &BTreeSet<ObjectId> {
        &self.hurt
    }

    /// Packs that the index names, and that are gone.
    pub const fn missing(&self) -> &BTreeSet<ObjectId> {
        &self.missing
    }

    /// Whether no pack needs anything.
    pub fn is_nothing_to_do(&self) -> bool {
        self.hurt.is_empty() && self.missing.is_empty()
    }
}

/// What a repair of packs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Damaged packs that are in quarantine now.
    pub packs: u64,
    /// Chunks that are in new packs.
    pub chunks: u64,
    /// Their plain bytes.
    pub bytes: u64,
}

/// A repair of packs under way.
#[must_use = "until it is finished nothing is repaired"]
pub struct Mending<'a> {
    diagnosis: &'a Diagnosis,
    writer: Writer<'a>,
}

impl Repository {
    /// Reads everything, and says what is wrong with the packs.
    pub fn diagnose(&self, monitor: &dyn Monitor) -> Result<Diagnosis, RepositoryError> {
        let (report, packs) = self.look(CheckDepth::ReadData, monitor)?;
        let index = self.inner.index()?;
        let named = index.packs.iter().map(|pack| pack.id);
        let missing = named.filter(|id| !packs.listed.contains(id)).collect();
        Ok(Diagnosis { report, hurt: packs.hurt(), missing, packs })
    }

    /// Begins a repair: puts what the damaged packs still give into new ones.
    pub fn mend<'a>(&'a self, diagnosis: &'a Diagnosis) -> Result<Mending<'a>, RepositoryError> {
        let distrusted = diagnosis.hurt.union(&diagnosis.missing).copied().collect();
        // Packs go and segments are replaced: not beside a prune that does the same.
        let options = WriteOptions::default();
        let writer = self.begin_without(options, Hold::Exclusive, &distrusted)?;
        let mending = Mending { diagnosis, writer };
        for id in &diagnosis.hurt {
            mending.salvage(&self.inner, id)?;
        }
        Ok(mending)
    }

    /// Puts a record that cannot be read, or is no longer wanted, into quarantine.
    pub fn set_aside(&self, kind: RecordKind, id: &ObjectId) -> Result<(), RepositoryError> {
        let (kind, name) = (kind.object(), id.to_string());
        self.inner.quarantine(kind, &name)?;
        reach(CrashPoint::RepairQuarantined);
        self.inner.backend.remove(kind, &name)?;
        reach(CrashPoint::RepairRemoved);
        self.inner.backend.sync(kind)
    }
}

impl Mending<'_> {
    /// Where to put what is found elsewhere. What is stored already is not stored again.
    pub const fn writer(&self) -> &Writer<'_> {
        &self.writer
    }

    /// From now on nothing but what is lost is stored, whatever else is met.
    pub fn only_what_is_lost(&self) {
        let lost: HashSet<ChunkId> = self.diagnosis.report.lost.keys().copied().collect();
        self.writer.store_only(lost);
    }

    /// Takes the chunks of a pack's sound frames over.
    fn salvage(&self, inner: &Inner, id: &ObjectId) -> Result<(), RepositoryError> {
        let (class, contents) = inner.readable(id)?;
        let Some(class) = class else { return Ok(()) };
        let mut bundle = self.writer.bundle(class);
        for (number, place) in contents.frames.iter().enumerate() {
            let number = u32::try_from(number).expect("a pack is bounded");
            if place.chunks == 0 || !self.diagnosis.packs.can_give(id, number) {
                continue;
            }
            let at = (place.offset, place.sealed_bytes);
            let pack = PackRef { id: *id, class };
            let payload = inner.read_frame(pack, number, at, Freshness::Cached)?;
            for chunk in 0..payload.chunks() {
                bundle.put(payload.chunk(chunk).unwrap_or_default())?;
            }
        }
        bundle.finish()
    }

    /// Makes the new packs count, and sets the damaged ones aside.
    pub fn finish(self, monitor: &dyn Monitor) -> Result<Mended, RepositoryError> {
        let Diagnosis { hurt, .. } = self.diagnosis;
        let inner = self.writer.repository().inner.clone();
        self.writer.sync()?;
        let totals = self.writer.totals();
        reach(CrashPoint::RepairStored);
        for id in hurt {
            inner.quarantine(ObjectKind::Pack, &id.to_string())?;
            reach(CrashPoint::RepairQuarantined);
        }
        inner.rebuild(RepairMode::Write, hurt, monitor)?;
        reach(CrashPoint::RepairIndexed);
        for id in hurt {
            inner.backend.remove(ObjectKind::Pack, &id.to_string())?;
            reach(CrashPoint::RepairRemoved);
        }
        inner.backend.sync(ObjectKind::Pack)?;
        Ok(Mended { packs: hurt.len() as u64, chunks: totals.chunks, bytes: totals.bytes })
    }
}

impl Inner {
    /// What can be made out of a damaged pack.
    fn readable(&self, id: &ObjectId) -> Result<(Option<PackClass>, Contents), RepositoryError> {
        match self.read_footer(id, Freshness::Cached) {
            Ok(whole) => Ok((Some(whole.pack.class), whole.contents)),
            Err(RepositoryError::Damaged { .. }) => {
                let scanned = self.scan(id)?;
                Ok((scanned.class, scanned.contents))
            }
            Err(error) => Err(error),
        }
    }
}
