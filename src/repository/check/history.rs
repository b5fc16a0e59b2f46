//! When each pack was last read whole and found sound: a local catalogue, safe to delete.
//!
//! ```text
//! magic · rows sorted by name: name 32, nanoseconds since 1970 8 · BLAKE3 of all before it 32
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::os::file;
use crate::repository::id::ObjectId;
use crate::repository::own_place::OwnPlace;
use crate::repository::repository::Inner;

const MAGIC: [u8; 8] = *b"snapchk\n";
const ROW_BYTES: usize = 40;
const NAME: &str = "checked";

/// When packs were read.
#[derive(Debug, Default)]
pub(super) struct History {
    times: BTreeMap<ObjectId, i64>,
}

impl History {
    /// When the pack was last read whole; `None` sorts first: never, as far as is known here.
    pub(super) fn read_at(&self, id: &ObjectId) -> Option<i64> {
        self.times.get(id).copied()
    }

    pub(super) fn note(&mut self, id: ObjectId, at: i64) {
        self.times.insert(id, at);
    }

    /// What is no longer there needs no memory.
    pub(super) fn keep_only(&mut self, listed: &BTreeSet<ObjectId>) {
        self.times.retain(|id, _| listed.contains(id));
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (id, at) in &self.times {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (said, hash) = bytes.split_last_chunk::<32>()?;
        let rows = said.strip_prefix(&MAGIC)?;
        if blake3::hash(said) != *hash {
            return None;
        }
        let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
        let row = |row: &[u8; ROW_BYTES]| {
            let (id, at) = row.split_first_chunk::<32>()?;
            let at = i64::from_le_bytes(*at.first_chunk()?);
            Some((ObjectId::from_bytes(*id), at))
        };
        let times = rows.iter().map(row).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { times })
    }

    fn read(dir: &Path) -> Self {
        fs::read(dir.join(NAME)).ok().and_then(|bytes| Self::decode(&bytes)).unwrap_or_default()
    }
}

impl Inner {
    /// What is known on this machine. A catalogue that cannot be read is an empty one.
    pub(super) fn check_history(&self) -> History {
        self.local_dir().map(|dir| History::read(&dir)).unwrap_or_default()
    }

    pub(super) fn keep_check_history(&self, history: &History) -> io::Result<()> {
        let Some(dir) = self.local_dir() else { return Ok(()) };
        file::create_dirs(&dir, 0o700)?;
        file::replace(&dir, NAME, &history.encode(), 0o600)
    }

    fn local_dir(&self) -> Option<PathBuf> {
        Some(OwnPlace::path(self.shelf.cache_dir()?, &self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_survives_being_stored_and_a_torn_one_is_empty() {
        let mut history = History::default();
        history.note(ObjectId::from_bytes([1; 32]), 7);
        history.note(ObjectId::from_bytes([2; 32]), -7);
        let bytes = history.encode();
        assert_eq!(History::decode(&bytes).unwrap().times, history.times);
        for cut in 0..bytes.len() {
            assert!(History::decode(&bytes[..cut]).is_none());
        }
    }
}
