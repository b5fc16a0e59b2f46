//! As many bits as a table has rows, or frames.

use std::sync::atomic::{AtomicU64, Ordering};

pub(in crate::repository) struct Bits(Vec<u64>);

impl Bits {
    pub(in crate::repository) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(in crate::repository) fn get(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    pub(in crate::repository) fn set(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }
}

/// The same, set by several threads. Each bit tells of itself only.
pub(in crate::repository) struct SharedBits(Vec<AtomicU64>);

impl SharedBits {
    pub(in crate::repository) fn new(count: usize) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(in crate::repository) fn get(&self, number: usize) -> bool {
        self.0[number / 64].load(Ordering::Relaxed) >> (number % 64) & 1 == 1
    }

    /// Whether it was not set before: of several threads one is told so.
    pub(in crate::repository) fn set(&self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        self.0[number / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}
