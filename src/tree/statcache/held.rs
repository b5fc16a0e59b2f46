//! What is remembered of one directory, all of it in memory.

use std::borrow::Cow;

use super::tail::Place;
use super::{Block, Mark};
use crate::os::meta::Stat;
use crate::repository::ChunkId;
use crate::tree::Entry;
use crate::tree::manifest::Packed;

/// What is remembered of one directory, all of it in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The id of its directory object.
    pub object: ChunkId,
    /// Each name that the directory had when it was listed has an entry here.
    pub holds_all: bool,
    /// Where it is stored, for [`StatCacheWriter::add_again`](super::StatCacheWriter::add_again);
    /// nowhere if it is not.
    pub place: Option<Place>,
    pub(super) marks: Vec<Mark>,
    pub(super) entries: Entries,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    Plain(Vec<Entry>),
    /// Most are only asked whether they are as they were.
    Packed(Packed),
}

impl From<Block> for Held {
    fn from(block: Block) -> Self {
        let Block { object, entries, marks, holds_all } = block;
        Self { object, holds_all, place: None, marks, entries: Entries::Plain(entries) }
    }
}

impl Held {
    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The name of an entry.
    pub fn name(&self, number: usize) -> &[u8] {
        match &self.entries {
            Entries::Plain(entries) => &entries[number].name,
            Entries::Packed(packed) => packed.name(number),
        }
    }

    /// An entry.
    pub fn entry(&self, number: usize) -> Cow<'_, Entry> {
        match &self.entries {
            Entries::Plain(entries) => Cow::Borrowed(&entries[number]),
            Entries::Packed(packed) => Cow::Owned(packed.entry(number)),
        }
    }

    /// What stat said of it.
    pub fn mark(&self, number: usize) -> Mark {
        self.marks[number]
    }

    /// All names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|number| self.name(number))
    }

    /// User and group of each entry.
    pub fn owners(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.len()).map(|number| match &self.entries {
            Entries::Plain(entries) => (entries[number].meta.uid, entries[number].meta.gid),
            Entries::Packed(packed) => packed.owner(number),
        })
    }

    /// The number of the entry called `name`, which is likely to be `next`.
    pub fn position(&self, name: &[u8], next: usize) -> Option<usize> {
        if next < self.len() && self.name(next) == name {
            return Some(next);
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Whether an entry is by all that `stat` tells as it was; never said of one that is linked
    /// from several names, nor where its entry has to be looked into for that.
    pub fn fits(&self, number: usize, stat: &Stat) -> bool {
        let mark = &self.marks[number];
        let Entries::Packed(packed) = &self.entries else { return false };
        !mark.is_racy && mark.is_of(stat) && packed.fits(number, stat)
    }

    /// The same with all entries.
    pub fn into_block(self) -> Block {
        let Self { object, holds_all, marks, entries, .. } = self;
        let entries = match entries {
            Entries::Plain(entries) => entries,
            Entries::Packed(packed) => (0..packed.len()).map(|at| packed.entry(at)).collect(),
        };
        Block { object, entries, marks, holds_all }
    }
}
