//! Lists of the chunks that make up a table's rows or a file's pages.

use crate::database::DatabaseError;
use crate::repository::ChunkId;

/// One chunk of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its id.
    pub id: ChunkId,
    /// Its length in bytes.
    pub len: u32,
    /// How many rows begin in it; 0 for the rest of a row that began before it.
    pub rows: u32,
}

/// How many chunks one list names: 4,096 of 64 KiB are 256 MiB of rows in a list of 160 KiB.
pub const REFS_PER_LIST: usize = 4096;

const REF_BYTES: usize = 40;

/// The bytes of a list.
pub fn encode_refs(refs: &[ChunkRef]) -> Vec<u8> {
    let mut out = Vec::with_capacity(refs.len() * REF_BYTES);
    for one in refs {
        out.extend_from_slice(one.id.as_bytes());
        out.extend_from_slice(&one.len.to_le_bytes());
        out.extend_from_slice(&one.rows.to_le_bytes());
    }
    out
}

/// Reads what [`encode_refs`] wrote.
pub fn decode_refs(bytes: &[u8]) -> Result<Vec<ChunkRef>, DatabaseError> {
    let (entries, rest) = bytes.as_chunks::<REF_BYTES>();
    if !rest.is_empty() || entries.len() > REFS_PER_LIST {
        return Err(DatabaseError::DamagedState { what: "a list of chunks" });
    }
    let word = |at: &[u8]| u32::from_le_bytes(at.try_into().expect("four bytes"));
    let read = |entry: &[u8; REF_BYTES]| ChunkRef {
        id: ChunkId::from_bytes(entry[..32].try_into().expect("an id has 32 bytes")),
        len: word(&entry[32..36]),
        rows: word(&entry[36..]),
    };
    Ok(entries.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_lists_stay_these_bytes_for_ever() {
        let one = ChunkRef { id: ChunkId::from_bytes([0xab; 32]), len: 0x0102_0304, rows: 5 };
        let mut golden = vec![0xab; 32];
        golden.extend_from_slice(&[4, 3, 2, 1, 5, 0, 0, 0]);
        assert_eq!(encode_refs(&[one]), golden);
        assert_eq!(decode_refs(&golden).expect("our own bytes"), [one]);
    }

    #[test]
    fn a_list_cut_short_is_damage() {
        assert!(decode_refs(&[0; 41]).is_err());
        assert!(decode_refs(&vec![0; 40 * (REFS_PER_LIST + 1)]).is_err());
    }
}
