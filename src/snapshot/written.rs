//! Files that were written and compared byte by byte a moment ago: whoever proves a tree need not
//! read them again while stat says that nobody has changed them since.

use std::sync::{Mutex, PoisonError};

use crate::os::meta::Stat;
use crate::repository::Stored;
use crate::tree::{Entry, Kind, Mtime};

/// So many are kept, 8 bytes each; further ones are read again.
const FILES_MAX: usize = 1 << 20;

/// Which files were compared, and as what. Filled by many threads, then asked.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Vec<u64>>);

/// The same, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proved(Vec<u64>);

impl Written {
    /// A file holds the bytes of `entry`, whatever name it has; `stat` was taken after they were
    /// compared.
    pub(super) fn note(&self, entry: &Entry, stat: &Stat) {
        let Some(note) = note_of(entry, stat) else { return };
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < FILES_MAX {
            notes.push(note);
        }
    }

    /// Ends the writing.
    pub(super) fn into_proved(self) -> Proved {
        let mut notes = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        notes.sort_unstable();
        Proved(notes)
    }
}

impl Proved {
    /// Whether the inode that `stat` describes holds the bytes of `entry`, and has its time.
    pub fn holds(&self, entry: &Entry, stat: &Stat) -> bool {
        let is_noted = |note| self.0.binary_search(&note).is_ok();
        Mtime::from(stat.mtime) == entry.meta.mtime && note_of(entry, stat).is_some_and(is_noted)
    }
}

/// The inode, the time of its last change and the name of its content in 64 bits: that a file which
/// somebody did change has one of a million notes happens once in 10^13.
fn note_of(entry: &Entry, stat: &Stat) -> Option<u64> {
    let Kind::File { content, .. } = &entry.kind else { return None };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&stat.inode.dev.to_le_bytes()).update(&stat.inode.ino.to_le_bytes());
    hasher.update(&stat.ctime.secs.to_le_bytes()).update(&stat.ctime.nanos.to_le_bytes());
    match content {
        Stored::Empty => &mut hasher,
        Stored::Chunk(id) | Stored::List(id) => hasher.update(id.as_bytes()),
    };
    let hash = hasher.finalize();
    Some(u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes")))
}
