//! Doing what was decided: copying, condemning, and, once nobody is left who might not know, deleting.

use std::time::Duration;

use super::copy::Copier;
use super::{Pruned, Pruner, condemn, purge};
use crate::monitor::Monitor;
use crate::os::crash::{CrashPoint, reach};
use crate::repository::condemned;
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::lease::{Holder, Lease};
use crate::repository::object::ObjectKind;
use crate::repository::run::Writer;

impl Pruner<'_> {
    /// Writes anew what is needed of the chosen packs, then condemns them, and the snapshots that
    /// nobody wants. Durable on return.
    pub fn condemn(
        &mut self,
        snapshots: Vec<ObjectId>,
        monitor: &dyn Monitor,
    ) -> Result<(), RepositoryError> {
        self.copy(monitor)?;
        reach(CrashPoint::PruneCopied);
        let mut given_up = std::mem::take(&mut self.given_up);
        given_up.snapshots = snapshots;
        if given_up.packs.is_empty() && given_up.snapshots.is_empty() {
            return Ok(());
        }
        let inner = &self.repository.inner;
        let writer = writer_of(self.writer.as_ref())?;
        let names = inner.backend.list(ObjectKind::Condemned)?;
        let others = writer.with_lease(|lease| lease.others(inner))?;
        let known = others.iter().map(Holder::generation).max().unwrap_or(0);
        let generation = condemned::highest(&names).max(known) + 1;
        writer.check_lease()?;
        self.own = Some(condemned::write(inner, generation, &given_up)?);
        reach(CrashPoint::PruneCondemned);
        Ok(())
    }

    fn copy(&self, monitor: &dyn Monitor) -> Result<(), RepositoryError> {
        let writer = writer_of(self.writer.as_ref())?;
        let marks = self.marks();
        if self.rewritten.is_empty() {
            return Ok(());
        }
        Copier::new(&self.repository.inner, writer, marks, monitor)
            .copy(&self.rewritten, &self.builders)
    }

    /// Waits until nobody is left who began before the packs were condemned, at most for `limit`.
    /// If that comes about, the caller lists the snapshots again, marks what those that are new
    /// need (after [`Self::begin_marks`]), and calls [`Self::rescue`].
    pub fn wait(&mut self, limit: Duration) -> Result<bool, RepositoryError> {
        let Some(own) = &self.own else { return Ok(false) };
        let (inner, generation) = (&self.repository.inner, own.generation);
        let outlast = |lease: &Lease| lease.outlast(inner, generation, limit);
        let alone = writer_of(self.writer.as_ref())?.with_lease(outlast)?;
        if alone {
            // Earlier ones that were awaited stay for the next prune: what they condemn was not
            // copied, for it was needed where it is.
            self.ready.extend(self.own.take());
        }
        Ok(alone)
    }

    /// Copies what was marked and lies only in condemned packs.
    pub fn rescue(&mut self, monitor: &dyn Monitor) -> Result<(), RepositoryError> {
        let inner = &self.repository.inner;
        let marks = self.marks();
        self.builders.mark_needed(inner, marks)?;
        let going = self.ready.iter().flat_map(|record| record.packs.iter().copied()).collect();
        self.builders.mark_staying(inner, marks, &going)?;
        let tallies = marks.tally().map_err(|error| inner.index_error(error))?;
        let is_condemned = |id: &ObjectId| condemn(&self.ready, id);
        self.rewritten = (0_u32..)
            .zip(&tallies)
            .filter(|(_, tally)| {
                tally.kept_chunks > 0 && tally.id.as_ref().is_some_and(is_condemned)
            })
            .map(|(number, _)| number)
            .collect();
        self.copy(monitor)?;
        reach(CrashPoint::PruneRescued);
        Ok(())
    }

    /// Deletes what was condemned, by this prune or an earlier one, and that nobody relies on.
    /// `may_go` says of a snapshot whether it is still unwanted.
    pub fn purge(
        mut self,
        may_go: &dyn Fn(&ObjectId) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Pruned, RepositoryError> {
        let writer = writer_of(self.writer.as_ref())?;
        let ready = std::mem::take(&mut self.ready);
        let mut pruned = std::mem::take(&mut self.pruned);
        if !ready.is_empty() {
            purge::purge(self.repository, writer, &ready, may_go, monitor, &mut pruned)?;
        }
        self.repository.inner.reserve_for_index();
        pruned.bytes_written = writer.totals().stored_bytes;
        pruned.is_awaiting = self.own.is_some() || !self.awaited.is_empty();
        Ok(pruned)
    }
}

/// A dry run has nothing to write with.
fn writer_of<'w, 'a>(writer: Option<&'w Writer<'a>>) -> Result<&'w Writer<'a>, RepositoryError> {
    writer.ok_or_else(|| RepositoryError::RunFailed { what: "it is a dry run".to_owned() })
}
