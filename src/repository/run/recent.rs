//! The chunks that this run has taken upon itself to store.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::repository::id::ChunkId;

const SHARDS: usize = 64;

/// A set that many workers ask at once. Ids are hashes already: they are spread as they are.
pub(super) struct Recent {
    shards: Vec<Mutex<HashSet<ChunkId, BuildHasherDefault<First8>>>>,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// `true` for the first who asks: the chunk is theirs to store. All others may rely on it,
    /// for if it is not stored the whole run fails.
    pub(super) fn claim(&self, id: &ChunkId) -> bool {
        self.shard(id).lock().unwrap_or_else(PoisonError::into_inner).insert(*id)
    }

    /// Forgets a chunk that the index now knows.
    pub(super) fn release(&self, id: &ChunkId) {
        self.shard(id).lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn shard(&self, id: &ChunkId) -> &Mutex<HashSet<ChunkId, BuildHasherDefault<First8>>> {
        // The last byte: the first ones place the id inside the shard.
        &self.shards[usize::from(id.as_bytes()[31]) % SHARDS]
    }
}

/// Takes the first eight bytes of an id as its hash.
#[derive(Default)]
struct First8(u64);

impl Hasher for First8 {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length prefix of an array, which says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_claimed_once_however_many_ask() {
        let recent = Recent::new();
        let id = |n: u32| ChunkId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes());
        let claimed: usize = std::thread::scope(|scope| {
            let claims = || (0..1000).filter(|n| recent.claim(&id(*n))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claims)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claimed, 1000);
        recent.release(&id(7));
        assert!(recent.claim(&id(7)) && !recent.claim(&id(8)));
    }
}
