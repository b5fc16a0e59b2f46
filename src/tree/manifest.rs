//! The bytes of directory objects.
#![doc = include_str!("MANIFEST.md")]

mod leaf;
#[cfg(test)]
mod tests;

use super::wire::{Reader, Writer};
use super::{BadObject, Entry, Kind};
use crate::repository::ChunkId;

pub use leaf::{Packed, decode as decode_leaf, encode as encode_leaf};

/// A leaf that weighs this much ends.
const LEAF_WEIGHT_MAX: usize = 512 * 1024;
/// A leaf with this many entries ends at the next name that says so.
const LEAF_ENTRIES_MIN: usize = 4096;
/// One name in this many says so.
const NAMES_PER_CUT: u16 = 1024;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// What one object says: entries, or where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryObject {
    /// All entries.
    Leaf(Vec<Entry>),
    /// The leaves of a large directory, in order.
    Branch(Vec<Part>),
}

/// One leaf of a large directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its object.
    pub object: ChunkId,
    /// How many entries it has.
    pub entries: u64,
    /// The name of the first.
    pub first_name: Box<[u8]>,
}

/// Stores a directory by `put`, leaf by leaf, and returns the id of its object.
///
/// `entries` are sorted by name. With a `put` that only hashes, nothing is stored and the id is
/// the same.
pub fn put_directory<E>(
    entries: &[Entry],
    mut put: impl FnMut(&[u8]) -> Result<ChunkId, E>,
) -> Result<ChunkId, E> {
    let mut parts = Vec::new();
    let mut rest = entries;
    loop {
        let (leaf, after) = rest.split_at(leaf_length(rest));
        let object = put(&encode_leaf(leaf))?;
        if after.is_empty() && parts.is_empty() {
            return Ok(object);
        }
        let first_name = leaf.first().map_or_else(Box::default, |entry| entry.name.clone());
        parts.push(Part { object, entries: leaf.len() as u64, first_name });
        if after.is_empty() {
            return put(&encode_branch(&parts));
        }
        rest = after;
    }
}

/// Stores a directory whose entries are not all held at once: what comes out is what
/// [`put_directory`] makes of all of them.
#[derive(Default)]
pub struct DirectoryWriter {
    leaf: Vec<Entry>,
    weight: usize,
    is_full: bool,
    parts: Vec<Part>,
}

impl DirectoryWriter {
    /// Adds the next entry by name.
    pub fn push<E>(
        &mut self,
        entry: Entry,
        put: impl FnOnce(&[u8]) -> Result<ChunkId, E>,
    ) -> Result<(), E> {
        if self.is_full {
            self.end_leaf(put)?;
        }
        self.weight += weight_of(&entry);
        self.is_full = is_cut(self.weight, self.leaf.len() + 1, &entry);
        self.leaf.push(entry);
        Ok(())
    }

    /// Stores what is left; the id of the directory's object.
    pub fn finish<E>(
        mut self,
        mut put: impl FnMut(&[u8]) -> Result<ChunkId, E>,
    ) -> Result<ChunkId, E> {
        if self.parts.is_empty() {
            return put(&encode_leaf(&self.leaf));
        }
        self.end_leaf(&mut put)?;
        put(&encode_branch(&self.parts))
    }

    fn end_leaf<E>(&mut self, put: impl FnOnce(&[u8]) -> Result<ChunkId, E>) -> Result<(), E> {
        let object = put(&encode_leaf(&self.leaf))?;
        let first_name = self.leaf.first().map_or_else(Box::default, |entry| entry.name.clone());
        self.parts.push(Part { object, entries: self.leaf.len() as u64, first_name });
        self.leaf.clear();
        (self.weight, self.is_full) = (0, false);
        Ok(())
    }
}

/// Reads one object.
pub fn decode(raw: &[u8]) -> Result<DirectoryObject, BadObject> {
    match raw.first() {
        None => Err(BadObject::Short),
        Some(&LEAF) => Ok(DirectoryObject::Leaf(decode_leaf(raw)?)),
        Some(&BRANCH) => Ok(DirectoryObject::Branch(decode_branch(raw)?)),
        Some(other) => Err(BadObject::TooNew(*other)),
    }
}

/// How many of `entries` the next leaf takes.
fn leaf_length(entries: &[Entry]) -> usize {
    let mut weight = 0;
    for (index, entry) in entries.iter().enumerate() {
        weight += weight_of(entry);
        let count = index + 1;
        if is_cut(weight, count, entry) {
            return count;
        }
    }
    entries.len()
}

/// Whether a leaf ends after `last`.
fn is_cut(weight: usize, count: usize, last: &Entry) -> bool {
    weight >= LEAF_WEIGHT_MAX || count >= LEAF_ENTRIES_MIN && cuts_after(&last.name)
}

/// What an entry adds to a leaf, about; in memory it takes several times that.
pub(super) fn weight_of(entry: &Entry) -> usize {
    let attributes = entry.meta.xattrs.iter();
    let text = match &entry.kind {
        Kind::Symlink { target } => target.len(),
        _ => 0,
    };
    let group = entry.link_group.as_ref().map_or(0, |path| path.as_bytes().len());
    let attributes: usize = attributes.map(|attr| attr.name.len() + attr.value.len()).sum();
    64 + entry.name.len() + text + group + attributes
}

fn cuts_after(name: &[u8]) -> bool {
    let hash = blake3::hash(name);
    let [low, high, ..] = *hash.as_bytes();
    u16::from_le_bytes([low, high]).is_multiple_of(NAMES_PER_CUT)
}

fn encode_branch(parts: &[Part]) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(BRANCH);
    out.count(parts.len());
    for part in parts {
        out.raw(part.object.as_bytes());
    }
    for part in parts {
        out.number(part.entries);
    }
    leaf::put_names(&mut out, parts.iter().map(|part| &*part.first_name));
    out.0
}

fn decode_branch(raw: &[u8]) -> Result<Vec<Part>, BadObject> {
    let mut from = Reader(raw);
    from.byte()?;
    let count = from.count("leaves", 32 + 1 + 3)?;
    if count < 2 {
        return Err(BadObject::Number("leaves"));
    }
    let objects = (0..count).map(|_| from.array().map(ChunkId::from_bytes));
    let objects: Vec<_> = objects.collect::<Result<_, _>>()?;
    let counts: Vec<_> = (0..count).map(|_| from.number("counts")).collect::<Result<_, _>>()?;
    let names = leaf::take_names(&mut from, count)?;
    from.end()?;
    if counts.contains(&0) {
        return Err(BadObject::Number("counts"));
    }
    let parts = objects.into_iter().zip(counts).zip(names);
    Ok(parts.map(|((object, entries), first_name)| Part { object, entries, first_name }).collect())
}
