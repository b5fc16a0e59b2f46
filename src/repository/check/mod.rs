//! Looking for damage.
//!
//! ```text
//! small objects: every one opens, or has its tag
//! packs: header and footer of each; in depth, every frame opened, decoded, hashed
//! index: every segment opens and is sorted; its rows and the footers are the same set
//! ```
//! Whether all that a snapshot needs is there is for the caller to ask, who knows what a tree is:
//! see [`CheckReport::lack`].

mod history;
mod objects;
mod packs;
mod sample;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub(super) use self::packs::Packs;
pub use self::sample::Sample;
use self::segments::Said;
pub(super) use self::segments::Sum;
use super::error::RepositoryError;
use super::id::{ChunkId, ObjectId};
use super::object::ObjectKind;
use super::repository::Repository;
use crate::monitor::Monitor;

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDepth {
    /// Lists, records, index and footers.
    Structure,
    /// And every byte of some packs, those first that were read longest ago.
    Sample(Sample),
    /// And every byte of every pack.
    ReadData,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a killed run leaves: it takes room, and harms nothing.
    Litter,
    /// Something can be made whole again from what is there.
    Repairable,
    /// Something that was stored is not there, or not what was stored.
    Damage,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Kind and name of the object, or the chunk.
    pub object: String,
    /// What was found, in one line.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Packs looked at.
    pub packs: u64,
    /// Of those, packs read whole.
    pub packs_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
    /// Frames opened, decoded and hashed.
    pub frames: u64,
    /// Chunks that the footers name.
    pub chunks: u64,
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Index segments looked at.
    pub segments: u64,
    /// All that is not as it should be.
    pub findings: Vec<Finding>,
    /// Chunks in damaged frames and packs of which no sound copy is known, with the pack that
    /// should hold them.
    pub lost: BTreeMap<ChunkId, ObjectId>,
    /// Chunks that are there, and that only damaged index segments name.
    unindexed: BTreeSet<ChunkId>,
    /// Those segments.
    damaged_segments: Vec<String>,
}

impl CheckReport {
    /// Whether nothing that was stored is lost or altered.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Litter)
    }

    /// The objects whose damage keeps the chunk from being had, as findings name them; none if it
    /// can be had.
    pub fn lack(
        &self,
        repository: &Repository,
        id: &ChunkId,
    ) -> Result<Vec<String>, RepositoryError> {
        if let Some(pack) = self.lost.get(id) {
            return Ok(vec![ObjectKind::Pack.named(&pack.to_string())]);
        }
        if self.unindexed.contains(id) {
            return Ok(self.damaged_segments.clone());
        }
        Ok(if repository.contains(id)? { Vec::new() } else { vec![format!("chunk {id}")] })
    }

    /// Adds damage that the caller came upon, unless something of that object is known already.
    pub fn add_damage(&mut self, object: &str, what: &str) {
        if !self.findings.iter().any(|finding| finding.object == object) {
            self.damage(object.to_owned(), what);
        }
    }

    fn find(&mut self, severity: Severity, object: String, what: impl Into<String>) {
        self.findings.push(Finding { severity, object, what: what.into() });
    }

    fn damage(&mut self, object: String, what: impl Into<String>) {
        self.find(Severity::Damage, object, what);
    }

    /// Notes damage that an error speaks of; any other error is the check's own.
    fn note(&mut self, error: RepositoryError) -> Result<(), RepositoryError> {
        self.note_as(Severity::Damage, error)
    }

    /// The same for what can be rebuilt from the packs.
    fn note_repairable(&mut self, error: RepositoryError) -> Result<(), RepositoryError> {
        self.note_as(Severity::Repairable, error)
    }

    fn note_as(
        &mut self,
        severity: Severity,
        error: RepositoryError,
    ) -> Result<(), RepositoryError> {
        match error {
            RepositoryError::Damaged { object, what } => self.find(severity, object, what),
            RepositoryError::TooNew { object, version } => {
                self.find(severity, object, format!("it says it has format {version}"));
            }
            RepositoryError::Io { path, source, .. } => {
                // What cannot be read is as lost as what is wrong, and the rest is worth knowing.
                self.find(
                    severity,
                    path.display().to_string(),
                    format!("cannot be read: {source}"),
                );
            }
            other => return Err(other),
        }
        Ok(())
    }
}

/// How often a check looks before it believes in damage beside a prune.
const LOOKS_MAX: u32 = 3;

impl Repository {
    /// Looks for damage. An error means that the check itself could not be made.
    pub fn check(
        &self,
        depth: CheckDepth,
        monitor: &dyn Monitor,
    ) -> Result<CheckReport, RepositoryError> {
        self.look(depth, monitor).map(|(report, _)| report)
    }

    /// The same, with what was learned of the packs.
    ///
    /// A prune that replaces objects while they are looked at makes sound ones seem lost: then it is
    /// looked again.
    pub(super) fn look(
        &self,
        depth: CheckDepth,
        monitor: &dyn Monitor,
    ) -> Result<(CheckReport, Packs), RepositoryError> {
        let deletions = || -> Result<_, RepositoryError> {
            let backend = &self.inner.backend;
            Ok((backend.list(ObjectKind::Condemned)?, backend.list(ObjectKind::Index)?))
        };
        let mut looks = 1;
        loop {
            let before = deletions()?;
            let looked = self.look_once(depth, monitor)?;
            if looked.0.is_sound() || looks == LOOKS_MAX {
                return Ok(looked);
            }
            let after = deletions()?;
            if before == after && after.0.is_empty() {
                return Ok(looked);
            }
            looks += 1;
            self.inner.renew_index()?;
        }
    }

    fn look_once(
        &self,
        depth: CheckDepth,
        monitor: &dyn Monitor,
    ) -> Result<(CheckReport, Packs), RepositoryError> {
        let mut report = CheckReport::default();
        self.inner.check_small_objects(&mut report)?;
        // Segments first: a pack is there before a segment names it.
        let said = self.inner.check_segments(&mut report)?;
        let packs = self.inner.check_packs(depth, monitor, &mut report)?;
        compare(&said, &packs, &mut report);
        report.lost = self.inner.lost_chunks(&packs)?;
        self.inner.note_unindexed(&said, &packs, &mut report)?;
        report.findings.sort_by(|a, b| (&a.object, &a.what).cmp(&(&b.object, &b.what)));
        Ok((report, packs))
    }
}

/// Holds what the index says against what the packs say.
fn compare(said: &Said, packs: &Packs, report: &mut CheckReport) {
    for (id, sums) in said {
        let name = ObjectKind::Pack.named(&id.to_string());
        if !packs.listed.contains(id) {
            report.damage(name, "it is not there, and the index names chunks in it");
        } else if packs.sums.get(id).is_some_and(|is| sums.iter().any(|said| said != is)) {
            let what = "the index does not say what it holds";
            report.find(Severity::Repairable, name, what);
        }
    }
    for id in packs.sums.keys().filter(|id| !said.contains_key(id)) {
        let name = ObjectKind::Pack.named(&id.to_string());
        report.find(Severity::Litter, name, "no index names it: the run that wrote it ended early");
    }
}
