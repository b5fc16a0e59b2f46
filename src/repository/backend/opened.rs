//! Packs that were read from lately stay open: who restores what many backups saved takes a little
//! from each of them, again and again.

use std::fs::File;

use crate::os::limits;
use crate::repository::lately::Lately;

/// The open packs, by name.
pub(super) type Opened = Lately<String, File>;

/// So many at most, and a part of what the process may have open.
const KEPT_MAX: u64 = 256;
const PART_OF_LIMIT: u64 = 4;

pub(super) fn none() -> Opened {
    let share = limits::open_files().map_or(KEPT_MAX, |limit| limit / PART_OF_LIMIT);
    Lately::new(usize::try_from(share.min(KEPT_MAX)).expect("so many are few"))
}
