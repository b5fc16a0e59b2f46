//! Packs that were read from lately stay open: who restores what many backups saved takes a little
//! from each of them, again and again.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use crate::os::limits;

/// So many at most, and a part of what the process may have open.
const KEPT_MAX: u64 = 256;
const PART_OF_LIMIT: u64 = 4;

/// The open packs, by name.
pub(super) struct Opened {
    kept: Mutex<Kept>,
    most: usize,
}

#[derive(Default)]
struct Kept {
    packs: HashMap<String, (Arc<File>, u64)>,
    clock: u64,
}

impl Opened {
    pub(super) fn new() -> Self {
        let share = limits::open_files().map_or(KEPT_MAX, |limit| limit / PART_OF_LIMIT);
        let most = usize::try_from(share.min(KEPT_MAX)).expect("so many are few");
        Self { kept: Mutex::default(), most }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<File>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (file, used) = kept.packs.get_mut(name)?;
        *used = now;
        Some(Arc::clone(file))
    }

    pub(super) fn keep(&self, name: &str, file: &Arc<File>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.packs.len() >= self.most {
            let oldest = kept.packs.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| kept.packs.remove(&name));
        }
        kept.clock += 1;
        let now = kept.clock;
        if self.most > 0 {
            kept.packs.insert(name.to_owned(), (Arc::clone(file), now));
        }
    }

    /// A pack goes.
    pub(super) fn forget(&self, name: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).packs.remove(name);
    }

    /// Closes all; whether there were any.
    pub(super) fn close_all(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::take(&mut kept.packs).is_empty()
    }
}
