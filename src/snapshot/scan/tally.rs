//! What a scan counts, from many threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::meta::{FileKind, Stat};
use crate::snapshot::record::Counts;

#[derive(Default)]
pub(super) struct Tally {
    pub(super) files: Count,
    pub(super) directories: Count,
    pub(super) others: Count,
    pub(super) bytes: Count,
    pub(super) files_read: Count,
    pub(super) bytes_read: Count,
    pub(super) files_unchanged: Count,
    pub(super) problems: Count,
}

/// What one worker counts by itself of what is as it was: workers that count together wait for
/// each other.
#[derive(Default)]
pub(super) struct Same {
    files: u64,
    others: u64,
    bytes: u64,
}

impl Same {
    pub(super) fn add(&mut self, stat: &Stat) {
        match stat.kind {
            FileKind::File => {
                self.files += 1;
                self.bytes += stat.size;
            }
            _ => self.others += 1,
        }
    }
}

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    pub(super) fn add_same(&self, same: &Same) {
        self.files.add(same.files);
        self.files_unchanged.add(same.files);
        self.others.add(same.others);
        self.bytes.add(same.bytes);
    }

    /// What it came to.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            files: self.files.total(),
            directories: self.directories.total(),
            others: self.others.total(),
            bytes: self.bytes.total(),
            files_read: self.files_read.total(),
            bytes_read: self.bytes_read.total(),
            files_unchanged: self.files_unchanged.total(),
            problems: self.problems.total(),
            took_ms: 0,
        }
    }
}
