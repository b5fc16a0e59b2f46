//! Directories too wide to be held: their entries are put aside in runs, while they are looked at,
//! and are read again run by run.

use std::fs::File;
use std::io::{self, Write};
use std::iter::{self, Zip};
use std::os::unix::fs::FileExt;
use std::vec;

use super::block::{decode_block, encode_block, encode_wide, hash_of};
use super::held::Held;
use super::tail::Place;
use super::write::Inner;
use super::{Block, Mark, StatCache, StatCacheWriter};
use crate::repository::ChunkId;
use crate::tree::wire::{Reader, Writer};
use crate::tree::{BadObject, Entry};

/// What is remembered of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// All of it.
    Whole(Held),
    /// Where the parts of it are.
    Wide(Wide),
}

/// A wide directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    /// The id of its directory object.
    pub object: ChunkId,
    /// In the order of names.
    pub(super) runs: Vec<Run>,
}

/// Where some entries of a wide directory are, which follow each other by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    offset: u64,
    length: u32,
    first_name: Box<[u8]>,
}

/// No path: a run is found by its place alone.
const RUN_KEY: &[u8] = b"//";

impl Recalled {
    /// The id of the directory's object.
    pub const fn object(&self) -> &ChunkId {
        match self {
            Self::Whole(held) => &held.object,
            Self::Wide(wide) => &wide.object,
        }
    }
}

impl Wide {
    /// The run that would hold `name`.
    pub fn run_of(&self, name: &[u8]) -> Option<&Run> {
        let beyond = self.runs.partition_point(|run| *run.first_name <= *name);
        self.runs.get(beyond.checked_sub(1)?)
    }
}

/// The entries of a directory, with a mark for each, sorted by name. Holds one run, however wide the
/// directory.
#[derive(Debug)]
pub struct Listed<'a> {
    cache: &'a StatCache,
    held: Zip<vec::IntoIter<Entry>, vec::IntoIter<Mark>>,
    runs: vec::IntoIter<Run>,
}

impl<'a> Listed<'a> {
    pub(super) fn new(cache: &'a StatCache, recalled: Recalled) -> Self {
        let (block, runs) = match recalled {
            Recalled::Whole(held) => {
                let block = held.into_block();
                ((block.entries, block.marks), Vec::new())
            }
            Recalled::Wide(wide) => (Default::default(), wide.runs),
        };
        Self { cache, held: iter::zip(block.0, block.1), runs: runs.into_iter() }
    }
}

impl Iterator for Listed<'_> {
    type Item = io::Result<(Entry, Mark)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.held.next() {
                return Some(Ok(next));
            }
            match self.runs.next()?.read(&self.cache.file) {
                Ok(block) => self.held = iter::zip(block.entries, block.marks),
                Err(error) => {
                    self.runs = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Run {
    pub(super) const BYTES_MIN: usize = 8 + 4 + 1;

    /// Tells it from the others of its cache.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The name that its entries begin with.
    pub const fn first_name(&self) -> &[u8] {
        &self.first_name
    }

    pub(super) fn read(&self, file: &File) -> io::Result<Block> {
        let raw = read_at(file, self.offset, self.length)?;
        let place = Place { hash: 0, offset: self.offset, length: self.length };
        match decode_block(&raw, RUN_KEY, place) {
            Ok(Some(Recalled::Whole(held))) => Ok(held.into_block()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.raw(&self.offset.to_le_bytes());
        out.raw(&self.length.to_le_bytes());
        out.bytes(&self.first_name);
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, BadObject> {
        Ok(Self {
            offset: u64::from_le_bytes(from.array()?),
            length: u32::from_le_bytes(from.array()?),
            first_name: from.bytes("runs")?.into(),
        })
    }
}

impl StatCacheWriter {
    /// Puts some entries of a wide directory aside; none if the file takes them no more, which
    /// [`Self::finish`] says too: then they must be held.
    pub fn put_aside(&self, entries: &[Entry], marks: &[Mark]) -> Option<Run> {
        let first_name = entries.first()?.name.clone();
        let nothing = ChunkId::from_bytes([0; 32]);
        let (head, leaf) = encode_block(RUN_KEY, &nothing, (entries, marks), false);
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.failed.is_some() {
            return None;
        }
        // What a full disk does not take must show now: the entries are nowhere else.
        let written = inner.append(&head, &leaf);
        let written = written.and_then(|place| inner.out.flush().map(|()| place));
        match written {
            Ok((offset, length)) => Some(Run { offset, length, first_name }),
            Err(error) => {
                inner.failed = Some(error);
                None
            }
        }
    }

    /// Reads entries that were put aside.
    pub fn take_up(&self, run: &Run) -> io::Result<Block> {
        let inner = self.inner.lock().expect("no holder of this lock panics");
        run.read(inner.out.get_ref())
    }

    /// Adds the block of a wide directory.
    pub fn add_wide(&self, key: &[u8], object: &ChunkId, runs: &[Run]) {
        let raw = encode_wide(key, object, runs);
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.failed.is_none() {
            inner.failed = inner.append_block(hash_of(key), &raw, &[]).err();
        }
    }
}

impl Inner {
    /// Takes over a wide directory of another cache, whose file is `from`.
    pub(super) fn adopt_wide(&mut self, key: &[u8], wide: &Wide, from: &File) -> io::Result<()> {
        let mut runs = Vec::with_capacity(wide.runs.len());
        for run in &wide.runs {
            let raw = read_at(from, run.offset, run.length)?;
            let (offset, length) = self.append(&raw, &[])?;
            runs.push(Run { offset, length, first_name: run.first_name.clone() });
        }
        self.append_block(hash_of(key), &encode_wide(key, &wide.object, &runs), &[])
    }
}

pub(super) fn read_at(file: &File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut raw = vec![0; length as usize];
    file.read_exact_at(&mut raw, offset)?;
    Ok(raw)
}
