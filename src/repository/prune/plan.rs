//! What a prune is about to do, in figures.

use super::choose::{PackTally, Why};

/// What a prune is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Packs there are.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Of these, chunks that are needed.
    pub kept_chunks: u64,
    /// Packs in which nothing is needed.
    pub unneeded_packs: u64,
    /// Their bytes.
    pub unneeded_bytes: u64,
    /// Packs whose needed part is written anew, because much of them is not needed.
    pub sparse_packs: u64,
    /// The same, because the newest snapshots are scattered in them.
    pub scattered_packs: u64,
    /// The same, because they are small.
    pub small_packs: u64,
    /// The same, because an earlier prune condemned them.
    pub condemned_packs: u64,
    /// Bytes of the packs that are written anew.
    pub rewritten_bytes: u64,
    /// What will be free then, roughly.
    pub freed_bytes: u64,
    /// Packs that an earlier prune condemned and that somebody may still rely on.
    pub awaited_packs: u64,
}

pub(super) fn planned(tallies: &[PackTally], chosen: &[(usize, Why)]) -> PrunePlan {
    let mut plan = PrunePlan {
        chunks: tallies.iter().map(|one| one.chunks).sum(),
        kept_chunks: tallies.iter().map(|one| one.kept_chunks).sum(),
        awaited_packs: tallies.iter().filter(|one| one.is_awaited).count() as u64,
        ..PrunePlan::default()
    };
    for (number, why) in chosen {
        let tally = &tallies[*number];
        match why {
            Why::Unneeded => plan.unneeded_packs += u64::from(tally.stored_bytes > 0),
            Why::Condemned => plan.condemned_packs += 1,
            Why::Sparse => plan.sparse_packs += 1,
            Why::Scattered => plan.scattered_packs += 1,
            Why::Small => plan.small_packs += 1,
        }
        if *why == Why::Unneeded {
            plan.unneeded_bytes += tally.stored_bytes;
            plan.freed_bytes += tally.stored_bytes;
        } else {
            plan.rewritten_bytes += tally.stored_bytes;
            plan.freed_bytes += tally.dead_stored();
        }
    }
    plan
}
