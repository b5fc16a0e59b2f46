//! The bytes of one block.

use super::Mark;
use super::held::{Entries, Held};
use super::tail::Place;
use super::wide::{Recalled, Run, Wide};
use crate::os::meta::{Inode, Stamp};
use crate::repository::ChunkId;
use crate::tree::wire::{Reader, Writer};
use crate::tree::{BadObject, Entry, manifest};

const MARK_BYTES: usize = 8 + 4 + 8 + 4 + 8 + 8 + 4 + 1;

/// Which block it is: all entries, or where they are.
const WHOLE: u8 = 0;
const WIDE: u8 = 1;

pub(super) fn hash_of(key: &[u8]) -> u64 {
    let hash = blake3::hash(key);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// A block in two parts: what is large is not copied together.
pub(super) fn encode_block(
    key: &[u8],
    object: &ChunkId,
    (entries, marks): (&[Entry], &[Mark]),
    holds_all: bool,
) -> (Vec<u8>, Vec<u8>) {
    let mut out = Writer(Vec::with_capacity(64 + key.len() + MARK_BYTES * marks.len()));
    out.raw(&[0; 8]);
    out.bytes(key);
    out.byte(WHOLE);
    out.raw(object.as_bytes());
    out.byte(holds_all.into());
    out.count(marks.len());
    for mark in marks {
        for stamp in [mark.mtime, mark.ctime] {
            out.raw(&stamp.secs.to_le_bytes());
            out.raw(&stamp.nanos.to_le_bytes());
        }
        out.raw(&mark.inode.dev.to_le_bytes());
        out.raw(&mark.inode.ino.to_le_bytes());
        out.raw(&mark.links.to_le_bytes());
        out.byte(mark.is_racy.into());
    }
    let leaf = manifest::encode_leaf(entries);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&out.0[8..]).update(&leaf);
    out.0[..8].copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (out.0, leaf)
}

/// The block of a directory whose entries lie in runs.
pub(super) fn encode_wide(key: &[u8], object: &ChunkId, runs: &[Run]) -> Vec<u8> {
    let mut out = Writer(vec![0; 8]);
    out.bytes(key);
    out.byte(WIDE);
    out.raw(object.as_bytes());
    out.count(runs.len());
    for run in runs {
        run.encode(&mut out);
    }
    let checksum = hash_of(&out.0[8..]).to_le_bytes();
    out.0[..8].copy_from_slice(&checksum);
    out.0
}

/// The key of a block, and where its runs are if it has any; `None` if it was damaged.
pub(super) fn key_of(raw: &[u8]) -> Option<(&[u8], Option<Wide>)> {
    let mut from = Reader(raw);
    let checksum = u64::from_le_bytes(from.array().ok()?);
    (hash_of(from.0) == checksum).then_some(())?;
    let key = from.bytes("key").ok()?;
    let wide = match from.byte().ok()? {
        WIDE => Some(take_wide(&mut from).ok()?),
        _ => None,
    };
    Some((key, wide))
}

fn take_wide(from: &mut Reader<'_>) -> Result<Wide, BadObject> {
    let object = ChunkId::from_bytes(from.array()?);
    let count = from.count("runs", Run::BYTES_MIN)?;
    let runs = (0..count).map(|_| Run::decode(from)).collect::<Result<_, _>>()?;
    Ok(Wide { object, runs })
}

/// `None` if it is the block of another key.
pub(super) fn decode_block(
    raw: &[u8],
    key: &[u8],
    place: Place,
) -> Result<Option<Recalled>, BadObject> {
    let mut from = Reader(raw);
    let checksum = u64::from_le_bytes(from.array()?);
    if hash_of(from.0) != checksum {
        return Err(BadObject::Short);
    }
    if from.bytes("key")? != key {
        return Ok(None);
    }
    if from.byte()? == WIDE {
        return Ok(Some(Recalled::Wide(take_wide(&mut from)?)));
    }
    let object = ChunkId::from_bytes(from.array()?);
    let holds_all = from.byte()? != 0;
    let count = from.count("marks", MARK_BYTES)?;
    let mut marks = Vec::with_capacity(count);
    for _ in 0..count {
        marks.push(take_mark(&mut from)?);
    }
    let (length, entries) = if let Some(packed) = manifest::Packed::take(from.0)? {
        (packed.len(), Entries::Packed(packed))
    } else {
        let entries = manifest::decode_leaf(from.0)?;
        (entries.len(), Entries::Plain(entries))
    };
    let held = Held { object, holds_all, place: Some(place), marks, entries };
    Ok((length == count).then_some(Recalled::Whole(held)))
}

fn take_mark(from: &mut Reader<'_>) -> Result<Mark, BadObject> {
    let mut stamp = || {
        let secs = i64::from_le_bytes(from.array()?);
        Ok::<_, BadObject>(Stamp { secs, nanos: u32::from_le_bytes(from.array()?) })
    };
    let (mtime, ctime) = (stamp()?, stamp()?);
    let dev = u64::from_le_bytes(from.array()?);
    let inode = Inode { dev, ino: u64::from_le_bytes(from.array()?) };
    let links = u32::from_le_bytes(from.array()?);
    Ok(Mark { mtime, ctime, inode, links, is_racy: from.byte()? != 0 })
}
