//! What a prune is going to do, once all that is needed is marked.

use super::choose::{PackTally, Thrift, Why, choose};
use super::plan::{PrunePlan, planned};
use super::{GivenUp, Pruner, condemn};
use crate::os::crash::{CrashPoint, reach};
use crate::repository::error::RepositoryError;
use crate::repository::id::ObjectId;
use crate::repository::pack::PackClass;
use crate::repository::reserve::FRUGAL_PACKS_MAX;

/// Gives up only so many of the packs that nobody needs: those that free most.
fn keep_largest(chosen: &mut Vec<(usize, Why)>, tallies: &[PackTally], count: usize) {
    let (mut unneeded, others): (Vec<_>, Vec<_>) =
        std::mem::take(chosen).into_iter().partition(|(_, why)| *why == Why::Unneeded);
    unneeded.sort_unstable_by_key(|(number, _)| {
        let tally = &tallies[*number];
        std::cmp::Reverse((tally.stored_bytes, tally.id))
    });
    unneeded.truncate(count);
    chosen.extend(unneeded.into_iter().chain(others));
}

impl Pruner<'_> {
    /// Chooses packs by what was marked.
    pub fn plan(&mut self, thrift: &Thrift) -> Result<PrunePlan, RepositoryError> {
        let inner = &self.repository.inner;
        self.builders.mark_needed(inner, self.marks())?;
        let mut tallies = self.tallies()?;
        let sizes = inner.config.sizes;
        let small = |class: PackClass| {
            u64::from(match class {
                PackClass::Data => sizes.data_pack_bytes,
                PackClass::Metadata => sizes.metadata_pack_bytes,
            }) / 8
        };
        let mut chosen = choose(&tallies, thrift, &small);
        let mut litter = self.litter();
        let is_frugal = *thrift == Thrift::NOTHING_ANEW;
        if is_frugal {
            litter.truncate(FRUGAL_PACKS_MAX);
            keep_largest(&mut chosen, &tallies, FRUGAL_PACKS_MAX - litter.len());
        }
        loop {
            let going = chosen.iter().filter_map(|(number, _)| tallies[*number].id);
            let going = going.chain(litter.iter().copied()).collect();
            if !self.builders.mark_staying(inner, self.marks(), &going)? {
                break;
            }
            tallies = self.tallies()?;
            let is_built_on = |number: usize| tallies[number].kept_chunks > 0;
            if is_frugal {
                // It stays, and with it what is built on by what it holds.
                chosen.retain(|(number, why)| *why != Why::Unneeded || !is_built_on(*number));
            } else {
                for (number, why) in &mut chosen {
                    if *why == Why::Unneeded && is_built_on(*number) {
                        *why = Why::Sparse;
                    }
                }
            }
        }
        let mut plan = planned(&tallies, &chosen);
        self.rewritten.clear();
        self.given_up = GivenUp::default();
        for (number, why) in &chosen {
            let tally = &tallies[*number];
            let number = u32::try_from(*number).expect("a place has 28 bits for packs");
            if tally.kept_chunks > 0 {
                self.rewritten.push(number);
            }
            if *why != Why::Condemned {
                self.given_up.packs.extend(tally.id);
            }
        }
        for id in litter {
            let bytes = self.sizes.get(&id).copied().unwrap_or(0);
            plan.unneeded_packs += 1;
            plan.unneeded_bytes += bytes;
            plan.freed_bytes += bytes;
            self.given_up.packs.push(id);
        }
        plan.packs = self.sizes.len() as u64;
        plan.bytes = self.sizes.values().sum();
        reach(CrashPoint::PruneMarked);
        Ok(plan)
    }

    fn tallies(&self) -> Result<Vec<PackTally>, RepositoryError> {
        let inner = &self.repository.inner;
        let marks = self.marks();
        let mut tallies = marks.tally().map_err(|error| inner.index_error(error))?;
        for tally in &mut tallies {
            let Some(id) = &tally.id else { continue };
            tally.stored_bytes = self.sizes.get(id).copied().unwrap_or(0);
            tally.is_awaited = condemn(&self.awaited, id);
            tally.is_forced = !tally.is_awaited && condemn(&self.ready, id);
        }
        Ok(tallies)
    }

    /// Packs that no segment names and that nobody is about to name in one.
    fn litter(&self) -> Vec<ObjectId> {
        // Whoever is at work may be.
        if !self.is_alone && self.writer.is_some() {
            return Vec::new();
        }
        let is_new = |id: &&ObjectId| !condemn(&self.awaited, id) && !condemn(&self.ready, id);
        self.unindexed.iter().filter(is_new).copied().collect()
    }
}
