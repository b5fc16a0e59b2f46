//! Which packs go, and which are written anew: pure.
//!
//! ```text
//! nothing in it is needed                                  -> it goes
//! much of it is not needed, while too much of all is not   -> what is needed is written anew
//! reading the newest snapshots opens much that they do not -> likewise, their part apart
//!     need, while that is too much of all they open
//! many small packs of a class                              -> likewise: they become few
//! ```

use crate::repository::id::ObjectId;
use crate::repository::pack::PackClass;

/// What one pack holds, and what of it is needed. Bytes are plain, but for the stored ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackTally {
    /// `None` if no table that counts names it.
    pub(super) id: Option<ObjectId>,
    pub(super) class: Option<PackClass>,
    pub(super) chunks: u64,
    pub(super) kept_chunks: u64,
    pub(super) plain_bytes: u64,
    pub(super) kept_bytes: u64,
    /// Needed by the newest snapshots.
    pub(super) hot_bytes: u64,
    /// In frames that hold any of that.
    pub(super) opened_bytes: u64,
    /// Its length; 0 if it is not there.
    pub(super) stored_bytes: u64,
    /// An earlier prune condemned it, and nobody is left who might not know.
    pub(super) is_forced: bool,
    /// An earlier prune condemned it, and somebody is left who might not know.
    pub(super) is_awaited: bool,
}

impl PackTally {
    /// Roughly what the unneeded part takes on disk.
    pub(super) fn dead_stored(&self) -> u64 {
        share(self.stored_bytes, self.plain_bytes - self.kept_bytes, self.plain_bytes)
    }

    /// What the newest snapshots open in vain.
    const fn opened_in_vain(&self) -> u64 {
        self.opened_bytes - self.hot_bytes
    }
}

/// `part` of `whole` parts of `bytes`.
fn share(bytes: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return bytes;
    }
    let share = u128::from(bytes) * u128::from(part) / u128::from(whole);
    u64::try_from(share).unwrap_or(bytes)
}

/// How much waste is left where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thrift {
    /// So much of all packs may be unneeded, in parts of a thousand.
    pub unused_permille: u64,
    /// So much of what the newest snapshots open may be what they do not need, in parts of a
    /// thousand.
    pub vain_permille: u64,
    /// So many small packs of one class are written anew as few.
    pub small_packs: usize,
}

impl Thrift {
    /// Writes nothing anew, however much is wasted.
    pub const NOTHING_ANEW: Self =
        Self { unused_permille: 1000, vain_permille: 1000, small_packs: usize::MAX };
}

impl Default for Thrift {
    fn default() -> Self {
        Self { unused_permille: 50, vain_permille: 333, small_packs: 16 }
    }
}

/// Why a pack is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing in it is needed.
    Unneeded,
    /// An earlier prune condemned it.
    Condemned,
    /// Much in it is not needed.
    Sparse,
    /// The newest snapshots are scattered in it.
    Scattered,
    /// It is small.
    Small,
}

/// The packs to touch, by their number in `packs`. `small_bytes` says which are small.
pub(super) fn choose(
    packs: &[PackTally],
    thrift: &Thrift,
    small_bytes: &dyn Fn(PackClass) -> u64,
) -> Vec<(usize, Why)> {
    let mut chosen: Vec<Option<Why>> = packs.iter().map(outright).collect();
    let open = |chosen: &[Option<Why>]| -> Vec<usize> {
        let free = |n: &usize| chosen[*n].is_none() && is_candidate(&packs[*n]);
        (0..packs.len()).filter(free).collect()
    };

    let mut left = open(&chosen);
    let all: u64 = left.iter().map(|n| packs[*n].stored_bytes).sum();
    let mut unused: u64 = left.iter().map(|n| packs[*n].dead_stored()).sum();
    let limit = share(all, thrift.unused_permille, 1000);
    // The emptiest first: least is written for most room.
    left.sort_by_key(|n| {
        let pack = &packs[*n];
        std::cmp::Reverse((share(1_000_000, pack.dead_stored(), pack.stored_bytes), pack.id))
    });
    for n in left {
        let dead = packs[n].dead_stored();
        if unused <= limit || dead == 0 {
            break;
        }
        unused -= dead;
        chosen[n] = Some(Why::Sparse);
    }

    let mut left = open(&chosen);
    let mut vain: u64 = left.iter().map(|n| packs[*n].opened_in_vain()).sum();
    let opened: u64 = left.iter().map(|n| packs[*n].opened_bytes).sum();
    let limit = share(opened, thrift.vain_permille, 1000);
    left.sort_by_key(|n| {
        let pack = &packs[*n];
        std::cmp::Reverse((share(1_000_000, pack.opened_in_vain(), pack.plain_bytes), pack.id))
    });
    for n in left {
        let in_vain = packs[n].opened_in_vain();
        if vain <= limit || in_vain == 0 {
            break;
        }
        vain -= in_vain;
        chosen[n] = Some(Why::Scattered);
    }

    for class in PackClass::ALL {
        let is_small = |n: &usize| {
            packs[*n].class == Some(class) && packs[*n].stored_bytes < small_bytes(class)
        };
        let small: Vec<usize> = open(&chosen).into_iter().filter(is_small).collect();
        if small.len() >= thrift.small_packs.max(2) {
            for n in small {
                chosen[n] = Some(Why::Small);
            }
        }
    }
    chosen.into_iter().enumerate().filter_map(|(n, why)| Some((n, why?))).collect()
}

fn is_candidate(pack: &PackTally) -> bool {
    pack.id.is_some() && pack.stored_bytes > 0 && !pack.is_awaited
}

fn outright(pack: &PackTally) -> Option<Why> {
    if pack.id.is_none() || pack.is_awaited {
        None
    } else if pack.is_forced {
        Some(Why::Condemned)
    } else if pack.kept_chunks == 0 {
        // One that is not there either: then only the index is mended.
        Some(Why::Unneeded)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(number: u8, stored: u64, kept: u64, hot: u64, opened: u64) -> PackTally {
        PackTally {
            id: Some(ObjectId::from_bytes([number; 32])),
            class: Some(PackClass::Data),
            chunks: 10,
            kept_chunks: u64::from(kept > 0),
            plain_bytes: 1000,
            kept_bytes: kept,
            hot_bytes: hot,
            opened_bytes: opened,
            stored_bytes: stored,
            ..PackTally::default()
        }
    }

    const NONE_SMALL: fn(PackClass) -> u64 = |_| 0;

    #[test]
    fn the_emptiest_packs_are_written_anew_until_little_is_unneeded() {
        let packs = [pack(0, 1000, 1000, 0, 0), pack(1, 1000, 900, 0, 0), pack(2, 1000, 300, 0, 0)];
        let thrift = Thrift::default();
        assert_eq!(choose(&packs, &thrift, &NONE_SMALL), [(2, Why::Sparse)]);
        let none = Thrift { unused_permille: 0, ..thrift };
        assert_eq!(choose(&packs, &none, &NONE_SMALL), [(1, Why::Sparse), (2, Why::Sparse)]);
        let any = Thrift { unused_permille: 1000, ..thrift };
        assert_eq!(choose(&packs, &any, &NONE_SMALL), []);
    }

    #[test]
    fn what_nobody_needs_goes_and_what_is_awaited_is_left_alone() {
        let mut packs = [pack(0, 1000, 0, 0, 0), pack(1, 1000, 0, 0, 0), pack(2, 1000, 999, 0, 0)];
        packs[1].is_awaited = true;
        packs[2].is_forced = true;
        let chosen = choose(&packs, &Thrift::default(), &NONE_SMALL);
        assert_eq!(chosen, [(0, Why::Unneeded), (2, Why::Condemned)]);
    }

    #[test]
    fn a_pack_in_which_the_newest_snapshots_are_scattered_is_written_anew() {
        let packs = [pack(0, 1000, 1000, 900, 1000), pack(1, 1000, 1000, 100, 1000)];
        assert_eq!(choose(&packs, &Thrift::default(), &NONE_SMALL), [(1, Why::Scattered)]);
        let packs = [pack(0, 1000, 1000, 900, 1000), pack(1, 1000, 1000, 700, 1000)];
        assert_eq!(choose(&packs, &Thrift::default(), &NONE_SMALL), []);
    }

    #[test]
    fn many_small_packs_become_few() {
        let packs: Vec<_> = (0..20).map(|n| pack(n, 10, 1000, 1000, 1000)).collect();
        let chosen = choose(&packs, &Thrift::default(), &|_| 100);
        assert!(chosen.len() == 20 && chosen.iter().all(|(_, why)| *why == Why::Small));
        assert_eq!(choose(&packs[..5], &Thrift::default(), &|_| 100), []);
    }

    proptest! {
        #[test]
        fn what_is_left_wastes_no_more_than_was_allowed(
            drawn in prop::collection::vec((1_u64..5000, 0_u64..=1000, 0_u64..=1000), 0..40),
            unused_permille in 0_u64..1000,
        ) {
            let packs: Vec<_> = drawn.iter().enumerate().map(|(n, (stored, kept, hot))| {
                let hot = *hot.min(kept);
                pack(u8::try_from(n).unwrap(), *stored, *kept, hot, 1000.max(hot))
            }).collect();
            let thrift = Thrift { unused_permille, ..Thrift::default() };
            let chosen = choose(&packs, &thrift, &NONE_SMALL);
            let is_chosen = |n: usize| chosen.iter().any(|(one, _)| *one == n);
            let left = || packs.iter().enumerate().filter(|(n, _)| !is_chosen(*n));
            prop_assert!(left().all(|(_, pack)| pack.kept_chunks > 0));
            let candidates = packs.iter().filter(|pack| pack.kept_chunks > 0);
            let all: u64 = candidates.map(|pack| pack.stored_bytes).sum();
            let unused: u64 = left().map(|(_, pack)| pack.dead_stored()).sum();
            prop_assert!(unused <= all * unused_permille / 1000);
        }
    }
}
