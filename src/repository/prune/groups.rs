//! Which index segments are replaced together, and which packs go with them: pure.
//!
//! ```text
//! packs that no segment names                               -> first of all
//! segments that say nothing of packs that stay              -> nothing is written for them
//! the others, those that say least of packs that stay first -> one segment for several
//! a pack                                                    -> once the last that names it is gone
//! ```
//! So room grows from one group to the next, and what has to be written before any room is free is
//! never more than one segment.

use std::collections::{HashMap, HashSet};

use crate::repository::id::ObjectId;

/// A segment that names condemned packs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldSegment {
    pub(super) id: ObjectId,
    /// The condemned packs that it names.
    pub(super) dead: Vec<ObjectId>,
    /// How many chunks it names in packs that stay, and that no segment that stays names.
    pub(super) live_chunks: usize,
}

/// What is left to replace.
pub(super) struct Groups {
    /// The one that says least of packs that stay is last.
    left: Vec<OldSegment>,
    /// By how many of those each condemned pack is named.
    named_by: HashMap<ObjectId, usize>,
}

impl Groups {
    pub(super) fn new(mut old: Vec<OldSegment>) -> Self {
        old.sort_unstable_by_key(|one| std::cmp::Reverse((one.live_chunks, one.id)));
        let mut named_by = HashMap::new();
        for pack in old.iter().flat_map(|one| &one.dead) {
            *named_by.entry(*pack).or_default() += 1;
        }
        Self { left: old, named_by }
    }

    /// The packs of `condemned` that none of the segments names.
    pub(super) fn nameless(&self, condemned: &HashSet<ObjectId>) -> Vec<ObjectId> {
        let mut packs: Vec<_> =
            condemned.iter().filter(|pack| !self.named_by.contains_key(pack)).copied().collect();
        packs.sort_unstable();
        packs
    }

    /// The next segments to replace by one that names up to `chunks_max` chunks, or by that of one
    /// of them if it alone names more; and the packs that nobody names then.
    pub(super) fn next(&mut self, chunks_max: usize) -> Option<(Vec<OldSegment>, Vec<ObjectId>)> {
        let mut group = vec![self.left.pop()?];
        let mut chunks = group[0].live_chunks;
        while let Some(next) = self.left.last() {
            // What needs nothing to be written does not wait for what does.
            let is_free = chunks == 0;
            if chunks + next.live_chunks > chunks_max || (is_free && next.live_chunks > 0) {
                break;
            }
            chunks += next.live_chunks;
            group.extend(self.left.pop());
        }
        let mut nameless = Vec::new();
        for pack in group.iter().flat_map(|one| &one.dead) {
            let named = self.named_by.get_mut(pack).expect("it was counted");
            *named -= 1;
            if *named == 0 {
                nameless.push(*pack);
            }
        }
        Some((group, nameless))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 32])
    }

    fn old(n: u8, dead: &[u8], live_chunks: usize) -> OldSegment {
        OldSegment { id: id(n), dead: dead.iter().map(|n| id(*n)).collect(), live_chunks }
    }

    fn names(group: &[OldSegment]) -> Vec<ObjectId> {
        group.iter().map(|one| one.id).collect()
    }

    #[test]
    fn what_needs_nothing_goes_first_and_what_needs_most_goes_last() {
        let mut groups = Groups::new(vec![
            old(1, &[11], 5000),
            old(2, &[12], 0),
            old(3, &[13, 11], 10),
            old(4, &[14], 0),
            old(5, &[15], 20),
        ]);
        let condemned = [11, 12, 13, 14, 15, 16].map(id).into();
        assert_eq!(groups.nameless(&condemned), [id(16)]);
        let (group, packs) = groups.next(100).unwrap();
        assert_eq!((names(&group), packs), (vec![id(2), id(4)], vec![id(12), id(14)]));
        let (group, packs) = groups.next(100).unwrap();
        assert_eq!((names(&group), packs), (vec![id(3), id(5)], vec![id(13), id(15)]));
        let (group, packs) = groups.next(100).unwrap();
        assert_eq!((names(&group), packs), (vec![id(1)], vec![id(11)]));
        assert_eq!(groups.next(100), None);
    }

    proptest! {
        #[test]
        fn each_pack_goes_once_with_the_last_segment_that_names_it(
            drawn in prop::collection::vec((prop::collection::btree_set(0_u8..20, 1..5), 0_usize..300), 1..40),
            chunks_max in 0_usize..500,
        ) {
            let all: Vec<_> = (100_u8..).zip(&drawn).map(|(n, (dead, live))| {
                old(n, &dead.iter().copied().collect::<Vec<_>>(), *live)
            }).collect();
            let mut groups = Groups::new(all.clone());
            let (mut gone, mut removed) = (HashSet::new(), HashSet::new());
            while let Some((group, packs)) = groups.next(chunks_max) {
                let live: usize = group.iter().map(|one| one.live_chunks).sum();
                prop_assert!(group.len() == 1 || live <= chunks_max);
                gone.extend(names(&group));
                for pack in packs {
                    let is_named = |one: &&OldSegment| !gone.contains(&one.id) && one.dead.contains(&pack);
                    prop_assert!(!all.iter().any(|one| is_named(&one)));
                    prop_assert!(removed.insert(pack));
                }
            }
            prop_assert_eq!(gone.len(), all.len());
            let dead: HashSet<_> = all.iter().flat_map(|one| one.dead.clone()).collect();
            prop_assert_eq!(removed, dead);
        }
    }
}
