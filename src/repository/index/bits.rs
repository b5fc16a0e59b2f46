//! As many bits as a table has rows, or frames.

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
