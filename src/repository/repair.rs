//! Rebuilding the index from the packs.
//!
//! ```text
//! list the segments, then the packs: what a segment named is then among them
//! of each pack the footer, or, where it is damaged, a scan of its frames
//! if the segments say exactly that: nothing to do
//! write new segments; sync; then remove the listed ones, the damaged into quarantine first
//! ```
//! Killed anywhere, it leaves segments that say the same thing twice, which harms nothing.

mod condemned;
pub(super) mod packs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::backend::{Freshness, Range};
use super::check::{CheckReport, Finding, Severity, Sum};
use super::error::RepositoryError;
use super::format::FeatureClass;
use super::id::ObjectId;
use super::index::{Named, SEGMENT_CHUNKS, build};
use super::lease::{Hold, Lease};
use super::object::ObjectKind;
use super::pack::{Contents, PackClass};
use super::repository::{Inner, Repository};
use super::spread;
use crate::monitor::{Counter, Monitor};

/// Whether a repair only says what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairMode {
    /// Say what would be done.
    DryRun,
    /// Do it.
    Write,
}

/// What rebuilding the index did, or would do.
#[derive(Clone, Debug, Default)]
pub struct RebuiltIndex {
    /// Packs read.
    pub packs: u64,
    /// Of those, packs whose frames had to be scanned.
    pub scanned: u64,
    /// Chunks found.
    pub chunks: u64,
    /// Segments there were.
    pub segments_before: u64,
    /// Segments there are now, or would be.
    pub segments_after: u64,
    /// The segments said exactly what the packs say: nothing was, or would be, written.
    pub was_right: bool,
    /// What is wrong with segments and packs.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Makes the index anew from what the packs themselves say.
    pub fn rebuild_index(
        &self,
        mode: RepairMode,
        monitor: &dyn Monitor,
    ) -> Result<RebuiltIndex, RepositoryError> {
        self.inner.config.demand(FeatureClass::Write)?;
        let lease = match mode {
            RepairMode::DryRun => None,
            // Segments are replaced: not beside a prune that replaces them too.
            RepairMode::Write => Some(Lease::take(&self.inner, Hold::Exclusive)?),
        };
        let rebuilt = self.inner.rebuild(mode, &BTreeSet::new(), monitor);
        let released = lease.map_or(Ok(()), |lease| lease.release(&self.inner));
        rebuilt.and_then(|rebuilt| released.map(|()| rebuilt))
    }
}

impl Inner {
    /// Makes the index of all packs but the `doubted`.
    fn rebuild(
        &self,
        mode: RepairMode,
        doubted: &BTreeSet<ObjectId>,
        monitor: &dyn Monitor,
    ) -> Result<RebuiltIndex, RepositoryError> {
        let old = self.backend.list(ObjectKind::Index)?;
        let mut report = CheckReport::default();
        let said = self.check_segments(&mut report)?;
        let damaged_segments = report.findings.len();

        let packs = self.survey(doubted, monitor)?;
        let is: BTreeMap<_, _> = packs.found.iter().map(|pack| (pack.id, vec![pack.sum])).collect();
        let mut rebuilt = RebuiltIndex {
            packs: packs.read,
            scanned: packs.scanned,
            chunks: packs.found.iter().map(|pack| pack.chunks as u64).sum(),
            segments_before: old.len() as u64,
            was_right: damaged_segments == 0 && said == is,
            findings: report.findings,
            ..RebuiltIndex::default()
        };
        rebuilt.findings.extend(packs.findings);
        let groups = grouped(&packs.found);
        rebuilt.segments_after =
            if rebuilt.was_right { old.len() as u64 } else { groups.len() as u64 };
        if mode == RepairMode::Write && !rebuilt.was_right {
            for group in groups {
                self.write_segment(group)?;
            }
            self.backend.sync(ObjectKind::Index)?;
            // Where footers are gone, the old segments alone say what the lost frames held.
            self.retire_segments(&old, packs.scanned > 0 || !doubted.is_empty())?;
            self.renew_index()?;
        }
        Ok(rebuilt)
    }

    /// Reads what every pack holds, but keeps only the sums.
    fn survey(
        &self,
        doubted: &BTreeSet<ObjectId>,
        monitor: &dyn Monitor,
    ) -> Result<Survey, RepositoryError> {
        let names = self.backend.list(ObjectKind::Pack)?;
        let ids = names.iter().filter_map(|name| ObjectId::parse(name));
        let ids: Vec<_> = ids.filter(|id| !doubted.contains(id)).collect();
        let survey = Mutex::new(Survey::default());
        spread::for_each(ids.len(), |number| {
            let id = ids[number];
            let read = self.contents_of(&id)?;
            let mut survey = survey.lock().unwrap_or_else(PoisonError::into_inner);
            survey.read += 1;
            if let Some(error) = read.footer_error {
                survey.scanned += 1;
                survey.findings.push(Finding {
                    severity: Severity::Damage,
                    object: ObjectKind::Pack.named(&id.to_string()),
                    what: error,
                });
            }
            if !read.contents.ids.is_empty() {
                let chunks = read.contents.ids.len();
                survey.found.push(Found { id, chunks, sum: Sum::of(&read.contents) });
            }
            monitor.count(Counter::Entries, 1);
            Ok(())
        })?;
        let mut survey = survey.into_inner().unwrap_or_else(PoisonError::into_inner);
        survey.found.sort_by_key(|pack| pack.id);
        Ok(survey)
    }

    /// What a pack holds, by its footer or, failing that, by its frames.
    fn contents_of(&self, id: &ObjectId) -> Result<ReadPack, RepositoryError> {
        match self.read_footer(id, Freshness::Cached) {
            Ok(whole) => Ok(ReadPack {
                class: whole.pack.class,
                contents: whole.contents,
                footer_error: None,
            }),
            Err(RepositoryError::Damaged { what, .. }) => {
                let scanned = self.scan(id)?;
                let class = scanned.class.unwrap_or(PackClass::Data);
                let sound = scanned.sound.len();
                let what = format!("{what}; {sound} sound frames were found by a scan");
                Ok(ReadPack { class, contents: scanned.contents, footer_error: Some(what) })
            }
            Err(error) => Err(error),
        }
    }

    fn write_segment(&self, group: &[Found]) -> Result<(), RepositoryError> {
        let mut packs = Vec::with_capacity(group.len());
        for found in group {
            packs.push((found.id, self.contents_of(&found.id)?));
        }
        let named: Vec<_> = packs
            .iter()
            .map(|(id, read)| Named { id: *id, class: read.class, contents: &read.contents })
            .collect();
        self.put_sealed(ObjectKind::Index, &ObjectId::random(), &build(&named))
    }

    /// Removes segments that the new ones replace; the damaged, or all, are kept as evidence.
    fn retire_segments(&self, old: &[String], keep_all: bool) -> Result<(), RepositoryError> {
        for name in old {
            let is_sound = ObjectId::parse(name)
                .is_some_and(|id| self.get_sealed(ObjectKind::Index, &id).is_ok());
            if keep_all || !is_sound {
                self.quarantine(ObjectKind::Index, name)?;
            }
            self.backend.remove(ObjectKind::Index, name)?;
        }
        self.backend.sync(ObjectKind::Index)
    }

    fn quarantine(&self, kind: ObjectKind, name: &str) -> Result<(), RepositoryError> {
        let mut bytes = Vec::new();
        self.backend.read(kind, name, Range::All, Freshness::Cached, &mut bytes)?;
        let kept_as = format!("{}-{name}", kind.directory());
        // A repair that was killed may have kept it already.
        if self.backend.stat(ObjectKind::Quarantine, &kept_as)?.is_none() {
            self.backend.put(ObjectKind::Quarantine, &kept_as, &bytes)?;
        }
        self.backend.sync(ObjectKind::Quarantine)
    }
}

/// What all packs say, summed up.
#[derive(Default)]
struct Survey {
    read: u64,
    scanned: u64,
    found: Vec<Found>,
    findings: Vec<Finding>,
}

/// One pack that holds something.
struct Found {
    id: ObjectId,
    chunks: usize,
    sum: Sum,
}

struct ReadPack {
    class: PackClass,
    contents: Contents,
    footer_error: Option<String>,
}

/// Splits the packs into groups of about a segment each.
fn grouped(found: &[Found]) -> Vec<&[Found]> {
    let mut groups = Vec::new();
    let mut start = 0;
    let mut chunks = 0;
    for (number, pack) in found.iter().enumerate() {
        chunks += pack.chunks;
        if chunks >= SEGMENT_CHUNKS {
            groups.push(&found[start..=number]);
            start = number + 1;
            chunks = 0;
        }
    }
    if start < found.len() {
        groups.push(&found[start..]);
    }
    groups
}
