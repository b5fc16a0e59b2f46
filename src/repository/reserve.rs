//! Room that is kept for a prune.
//!
//! On a disk that is full to its last byte a prune could not even say that it is at work: its lease,
//! its record and the segments that it replaces need a little room before it frees any.

use super::repository::Inner;
use crate::os::{file, volume};

const NAME: &str = "reserve";
const BYTES: u64 = 1 << 20;
/// Where less is free than this, the reserve itself would be what is missing.
const FREE_BYTES_MIN: u64 = 32 << 20;

const _: () = assert!(BYTES * 16 <= FREE_BYTES_MIN, "it is small beside what is free");

impl Inner {
    /// Takes it, unless it is there or the disk is small. It is help, not a promise: what goes wrong
    /// here is no failure of the run.
    pub(super) fn keep_reserve(&self) {
        let path = self.location.join(NAME);
        let has_room =
            || volume::at(&self.location).is_ok_and(|at| at.free_bytes >= FREE_BYTES_MIN);
        if self.backend.traits().is_local && !path.exists() && has_room() {
            let _ = file::reserve(&path, BYTES);
        }
    }

    /// Gives it back, if there is not as much beside it.
    pub(super) fn give_reserve_back(&self) {
        let is_scarce = || volume::at(&self.location).is_ok_and(|at| at.free_bytes < BYTES);
        if self.backend.traits().is_local && is_scarce() {
            let _ = file::remove(&self.location.join(NAME));
        }
    }
}
