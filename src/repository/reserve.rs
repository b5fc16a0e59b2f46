//! Room that is kept for a prune.
//!
//! On a disk that is full to its last byte a prune could not even say that it is at work: its lease,
//! its record and the first segment that it replaces need a little room before it frees any. What
//! comes after that has the room of what went before.

use super::object::ObjectKind;
use super::repository::Inner;
use crate::os::{file, volume};

const NAME: &str = "reserve";
/// For a lease, a record of 8,192 packs, and a segment of 10,000 chunks.
const BYTES: u64 = 1 << 20;
/// What is needed beside a longer segment.
const BESIDE_BYTES: u64 = BYTES / 2;
/// Longer segments are of before there was a limit; nobody is to wonder at their reserve.
const BYTES_MAX: u64 = 16 << 20;
/// The reserve is small beside what is free; where it is not, it itself would be what is missing.
const SHARE: u64 = 16;
const FREE_BYTES_MIN: u64 = 32 << 20;

/// So many packs are given up at once where there is no room to write anything anew.
pub(super) const FRUGAL_PACKS_MAX: usize = 8192;

const _: () = assert!(FRUGAL_PACKS_MAX as u64 * 32 + (64 << 10) < BESIDE_BYTES, "it has room");

impl Inner {
    /// Takes it, unless it is there or the disk is small. It is help, not a promise: what goes wrong
    /// here is no failure of the run.
    pub(super) fn keep_reserve(&self) {
        self.reserve_for(0);
    }

    /// The same, with room for a segment of so many bytes.
    pub(super) fn reserve_for(&self, segment_bytes: u64) {
        if !self.backend.traits().is_local {
            return;
        }
        let path = self.location.join(NAME);
        let wanted = (segment_bytes + BESIDE_BYTES).clamp(BYTES, BYTES_MAX);
        let has = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let has_room = || {
            let free = volume::at(&self.location).map_or(0, |at| at.free_bytes);
            free >= FREE_BYTES_MIN && free / SHARE >= wanted - has
        };
        if has < wanted && has_room() {
            let _ = file::reserve(&path, wanted);
        }
    }

    /// Takes room for the longest segment there is.
    pub(super) fn reserve_for_index(&self) {
        let names = self.backend.list(ObjectKind::Index).unwrap_or_default();
        let length = |name: &String| self.backend.stat(ObjectKind::Index, name).ok().flatten();
        self.reserve_for(names.iter().filter_map(length).max().unwrap_or(0));
    }

    /// Gives it back, if there is not as much beside it.
    pub(super) fn give_reserve_back(&self) {
        let path = self.location.join(NAME);
        let Ok(bytes) = std::fs::metadata(&path).map(|meta| meta.len()) else { return };
        let is_scarce = || volume::at(&self.location).is_ok_and(|at| at.free_bytes < bytes);
        if self.backend.traits().is_local && is_scarce() {
            let _ = file::remove(&path);
        }
    }
}
